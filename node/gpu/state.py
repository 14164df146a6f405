"""What a GPU is left with: who uses it, what is set, what has failed. What is not offered is absent, never zero."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from node.errors import GpuError


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that has a context on the GPU."""

    pid: int
    """As the host counts."""
    used_bytes: int | None
    """Of the GPU's memory; None where the driver does not say."""
    names: tuple[str, ...] = field(default=(), compare=False)
    """What it is called, the most telling first; not kept."""


@dataclass(frozen=True, slots=True)
class GpuState:
    """One GPU at one moment, less what changes by itself (temperature, load, current clocks)."""

    uuid: str
    processes: tuple[GpuProcess, ...] | None = None
    """None: not available."""
    vram_used_bytes: int | None = None
    settings: Mapping[str, int] = field(default_factory=dict)
    """What a privileged user may set, by the names of node.gpu.hygiene; MHz, milliwatts, NVML's numbers of modes."""
    counters: Mapping[str, int] = field(default_factory=dict)
    """What only grows: uncorrected memory errors."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """What is 0 as long as all is well."""
    epoch: str = ""
    """Names the life of the helper process that `xids` were seen in."""
    xids: Mapping[str, int] = field(default_factory=dict)
    """How often the driver has reported which error in that life, by the error's number."""
    link: Mapping[str, int] = field(default_factory=dict, compare=False)
    """Of PCIe, now: `width` in lanes, `generation`; both fall while a GPU idles. Not kept."""

    @property
    def is_blank(self) -> bool:
        """Whether nothing at all is known of it."""
        known = (self.settings, self.counters, self.faults, self.xids)
        return self.processes is None and self.vram_used_bytes is None and not any(known)

    def text(self) -> str:
        """As JSON, for the journal."""
        processes = None if self.processes is None else [[each.pid, each.used_bytes] for each in self.processes]
        body = {
            "uuid": self.uuid,
            "processes": processes,
            "vram_used": self.vram_used_bytes,
            "settings": dict(self.settings),
            "counters": dict(self.counters),
            "faults": dict(self.faults),
            "epoch": self.epoch,
            "xids": dict(self.xids),
        }
        return json.dumps(body, separators=(",", ":"), sort_keys=True)


def parse_text(text: str) -> GpuState:
    """The state that `text` wrote; raises ValueError."""
    try:
        body = json.loads(text)
        processes = body["processes"]
        return GpuState(
            uuid=str(body["uuid"]),
            processes=None if processes is None else tuple(GpuProcess(pid, used) for pid, used in processes),
            vram_used_bytes=body["vram_used"],
            settings=_numbers(body["settings"]),
            counters=_numbers(body["counters"]),
            faults=_numbers(body["faults"]),
            epoch=str(body["epoch"]),
            xids=_numbers(body["xids"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"no state of a GPU: {error}") from error


def parse_row(row: Mapping[str, Any]) -> GpuState:
    """A state off the helper's wire; raises GpuError where it makes no sense."""
    try:
        processes, used = row["processes"], row["vram_used"]
        return GpuState(
            uuid=str(row["uuid"]),
            # A dictionary in a list's place is "unavailable".
            processes=tuple(
                GpuProcess(int(each["pid"]), each["used"], tuple(map(str, each.get("names", ())))) for each in processes
            )
            if isinstance(processes, list)
            else None,
            vram_used_bytes=used if isinstance(used, int) else None,
            settings=_numbers(row["settings"]),
            counters=_numbers(row["counters"]),
            faults=_numbers(row["faults"]),
            epoch=str(row["epoch"]),
            xids=_numbers(row["xids"]),
            link=_numbers(row.get("link", {})),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GpuError(f"the GPU driver's answer makes no sense: {error}", hint="update nvidia-ml-py") from error


def _numbers(values: Mapping[str, Any]) -> dict[str, int]:
    return {str(name): int(value) for name, value in values.items()}
