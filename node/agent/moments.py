"""Moments of a job's way that no record has: when its container ran, by the engine, and when it first wrote a line."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from node.bounded_json import read_json
from node.container.log import order_key

HEAD = 64 * 1024
"""Bytes of a log file in which its first line is looked for."""


def milliseconds(timestamp: str) -> int | None:
    """Unix milliseconds of an engine's time; None of one that is none, or that never came (`0001-01-01...`)."""
    key = order_key(timestamp)
    try:
        moment = datetime.fromisoformat(f"{key[:19]}+00:00")
        found = int(moment.timestamp()) * 1000 + int(key[20:23] or 0)
    except (ValueError, OverflowError):
        return None
    return found if found > 0 else None


def first_output(logs: Iterable[Path]) -> int | None:
    """When the first line of any container in these kept logs was written (unix ms); None: there is none yet, or it
    cannot be read. Blocks."""
    return min((at for path in logs if (at := _first_line(path)) is not None), default=None)


def _first_line(path: Path) -> int | None:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    for line in head.split(b"\n"):
        try:
            entry = read_json(line, limit=HEAD, depth=2)
            if entry["type"] in ("stdout", "stderr"):
                return milliseconds(str(entry["timestamp"]))
        except (ValueError, KeyError, TypeError):
            continue
    return None
