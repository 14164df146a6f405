"""What simulated GPUs are made to be like, by a file that is read at every look: for trying out what a host does then.

Either words: the index of a GPU (as long as it stands there, that GPU has fallen off the bus) and `hang` (the driver
does not answer). Or JSON: {"hang": false, "gpus": {"0": {...}}}, by index, with any of

    "lost": true
    "temperature", "throttle", "power_mw", "energy_mj", "memory_bytes", "utilisation", "clock_mhz": numbers
    "processes": [{"pid": 1, "used": 1073741824, "names": ["blender"]}]
    "faults": {"remap_pending": 1}, "counters": {"ecc_volatile": 1}, "xids": {"79": 1}

What is left out is not available.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.gpu.samples import Sample, sample_of
from node.gpu.state import GpuState, parse_row

LOST_NAME = "simulated-gpus-lost"
"""The file, in the data folder."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the file says."""

    is_hanging: bool = False
    gpus: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By index, as text."""

    def is_lost(self, index: int) -> bool:
        """Whether the GPU has fallen off the bus."""
        return bool(self._of(index).get("lost"))

    def sample(self, index: int, uuid: str, at: float, time_ms: int) -> Sample:
        """What it measures."""
        return sample_of(self._of(index), uuid, at, time_ms, ())

    def state(self, index: int, uuid: str) -> GpuState:
        """What it is left with; raises GpuError where the file makes no sense."""
        told = self._of(index)
        row: dict[str, Any] = {"vram_used": told.get("memory_bytes"), "processes": None}
        row |= {name: {} for name in ("settings", "counters", "faults", "xids")}
        kept = {name: told[name] for name in ("processes", "counters", "faults", "xids") if name in told}
        return parse_row({**row, **kept, "epoch": "simulated", "uuid": uuid})

    def _of(self, index: int) -> Mapping[str, Any]:
        found = self.gpus.get(str(index))
        return found if isinstance(found, Mapping) else {}


def read_scenario(file: Path | None) -> Scenario:
    """The file as it is now; one that is not there, or makes no sense, says nothing."""
    try:
        text = "" if file is None else file.read_text("utf-8")
    except (OSError, ValueError):
        return Scenario()
    if not text.lstrip().startswith("{"):
        words = frozenset(text.split())
        return Scenario("hang" in words, {word: {"lost": True} for word in words})
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return Scenario()
    gpus = body.get("gpus")
    return Scenario(bool(body.get("hang")), gpus if isinstance(gpus, dict) else {})
