"""What a GPU measures at one moment, with a typed "not available"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard


@dataclass(frozen=True, slots=True)
class NotAvailable:
    """A value that this GPU or driver does not offer; never a zero."""

    reason: str


Reading = int | NotAvailable

UNREAD = NotAvailable("not read")


@dataclass(frozen=True, slots=True)
class Sample:
    """One GPU at one moment."""

    uuid: str
    at: float
    """Monotonic seconds, for spans."""
    time_ms: int
    """Unix milliseconds, for people and proofs."""
    energy_mj: Reading = UNREAD
    """Millijoules since the driver was loaded."""
    power_mw: Reading = UNREAD
    utilisation: Reading = UNREAD
    """Percent of the time that a kernel ran."""
    memory_bytes: Reading = UNREAD
    """In use, by whomever."""
    temperature: Reading = UNREAD
    """Degrees Celsius."""
    clock_mhz: Reading = UNREAD
    """Of the multiprocessors."""
    throttle: Reading = UNREAD
    """Why clocks are lower than they could be: NVML's bit mask, see node.gpu.throttle."""
    ecc_corrected: Reading = UNREAD
    """Memory errors since the driver was loaded."""
    ecc_uncorrected: Reading = UNREAD
    xids: tuple[int, ...] = ()
    """Errors that the driver has reported since the sample before, by NVIDIA's numbers, ascending."""

    def line(self) -> bytes:
        """Canonical bytes that samples' Merkle roots are made over: JSON with sorted keys, null = not available."""
        readings = {name: number(getattr(self, name)) for name in READINGS}
        return _line({**readings, "time_ms": self.time_ms, "uuid": self.uuid, "xids": list(self.xids)})


READINGS = (
    "clock_mhz",
    "ecc_corrected",
    "ecc_uncorrected",
    "energy_mj",
    "memory_bytes",
    "power_mw",
    "temperature",
    "throttle",
    "utilisation",
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A GPU that could not be read: lost, or in need of a reset."""

    uuid: str
    time_ms: int
    reason: str

    def line(self) -> bytes:
        """Canonical bytes beside those of samples."""
        return _line({"failure": self.reason, "time_ms": self.time_ms, "uuid": self.uuid})


@dataclass(frozen=True, slots=True)
class Round:
    """What one look at several GPUs saw."""

    samples: tuple[Sample, ...]
    failures: tuple[Failure, ...] = ()


def parse_line(line: bytes, monotonic_offset: float) -> Sample | Failure:
    """What `line` wrote, in an earlier life of the agent; the offset is monotonic less unix seconds. Raises
    ValueError."""
    body = json.loads(line)
    try:
        uuid, time_ms = body["uuid"], body["time_ms"]
        if not isinstance(uuid, str) or not isinstance(time_ms, int):
            raise TypeError("no uuid or time")
        if "failure" in body:
            return Failure(uuid, time_ms, str(body["failure"]))
        return sample_of(body, uuid, time_ms / 1000 + monotonic_offset, time_ms, tuple(map(int, body.get("xids", ()))))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no sample: {error}") from error


def sample_of(values: Mapping[str, Any], uuid: str, at: float, time_ms: int, xids: tuple[int, ...]) -> Sample:
    """A sample of values by the names of `READINGS`; anything but a number is "not available"."""
    return Sample(uuid, at, time_ms, **{name: parse_reading(values.get(name)) for name in READINGS}, xids=xids)


def _line(body: Mapping[str, Any]) -> bytes:
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
