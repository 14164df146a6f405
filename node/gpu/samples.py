"""What a GPU measures at one moment, with a typed "not available"."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeGuard


@dataclass(frozen=True, slots=True)
class NotAvailable:
    """A value that this GPU or driver does not offer; never a zero."""

    reason: str


Reading = int | NotAvailable


@dataclass(frozen=True, slots=True)
class Sample:
    """One GPU at one moment."""

    uuid: str
    at: float
    """Monotonic seconds, for spans."""
    time_ms: int
    """Unix milliseconds, for people and proofs."""
    energy_mj: Reading
    """Millijoules since the driver was loaded."""
    power_mw: Reading
    utilisation: Reading
    """Percent of the time that a kernel ran."""

    def line(self) -> bytes:
        """Canonical bytes that samples' Merkle roots are made over: JSON with sorted keys, null = not available."""
        body = {
            "energy_mj": number(self.energy_mj),
            "power_mw": number(self.power_mw),
            "time_ms": self.time_ms,
            "utilisation": number(self.utilisation),
            "uuid": self.uuid,
        }
        return json.dumps(body, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def number(reading: Reading) -> int | None:
    """The value, or None where it is not available."""
    return reading if is_number(reading) else None


def is_number(reading: Reading) -> TypeGuard[int]:
    """Whether there is a value."""
    return not isinstance(reading, NotAvailable)


def parse_reading(value: Any) -> Reading:
    """A value off the helper's wire; anything but a number is "not available"."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    reason = value.get("unavailable") if isinstance(value, dict) else None
    return NotAvailable(str(reason or "no number"))
