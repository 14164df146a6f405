"""One GPU over a span, added up from its samples: a few numbers, however long it lasts.

Energy is the difference of the GPU's own counter; where it has none, power samples are integrated; where those are
missing or have gaps, it is "not available". It is never estimated from anything else.
"""

from __future__ import annotations

from collections import Counter

from node.gpu.samples import Failure, Reading, Sample, is_number, number
from node.gpu.throttle import reasons
from node.gpu.xids import describe
from node.records import GpuTelemetry

LONGEST_GAP_SECONDS = 5.0
"""Between two samples; beyond it an integral would be a guess."""
MOST_ERRORS = 16
"""Told of one GPU: what else happened is not news."""


class GpuSpan:
    """Adds up the samples of one GPU."""

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid
        self._first: Sample | None = None
        self._last: Sample | None = None
        self._samples = 0
        self._counted = True
        """All samples had a counter and it never went back."""
        self._powered = True
        """All samples had a power and no gap was too long."""
        self._power_joules = 0.0
        self._gap_seconds = 0.0
        self._utilisation = [0, 0]
        self._memory_most: int | None = None
        self._power_most: int | None = None
        self._temperature_most: int | None = None
        self._throttled: Counter[str] = Counter()
        """Milliseconds."""
        self._xids: Counter[int] = Counter()
        self._uncorrected = 0
        self._failures: dict[str, None] = {}

    @property
    def utilisation(self) -> tuple[int, int]:
        """The sum of the samples' percents, and how many there were."""
        return self._utilisation[0], self._utilisation[1]

    @property
    def first_ms(self) -> int | None:
        """Unix milliseconds of the first sample."""
        return None if self._first is None else self._first.time_ms

    @property
    def last_ms(self) -> int | None:
        """Unix milliseconds of the last sample."""
        return None if self._last is None else self._last.time_ms

    def add(self, sample: Sample) -> None:
        """Add the next sample."""
        self._samples += 1
        self._counted = self._counted and is_number(sample.energy_mj)
        self._powered = self._powered and is_number(sample.power_mw)
        if is_number(sample.utilisation):
            self._utilisation[0] += sample.utilisation
            self._utilisation[1] += 1
        self._memory_most = _most(self._memory_most, sample.memory_bytes)
        self._power_most = _most(self._power_most, sample.power_mw)
        self._temperature_most = _most(self._temperature_most, sample.temperature)
        self._xids.update(sample.xids)
        if self._first is None:
            self._first = sample
        if self._last is not None:
            self._add_interval(self._last, sample)
        self._last = sample

    def fail(self, failure: Failure) -> bool:
        """Note that it could not be read; whether that is news."""
        if failure.reason in self._failures or len(self._failures) >= MOST_ERRORS:
            return False
        self._failures[failure.reason] = None
        return True

    def _add_interval(self, before: Sample, now: Sample) -> None:
        if is_number(before.energy_mj) and is_number(now.energy_mj) and now.energy_mj < before.energy_mj:
            self._counted = False
        if is_number(before.ecc_uncorrected) and is_number(now.ecc_uncorrected):
            # After a new start of the driver the count begins again: all of it is new then.
            grown = now.ecc_uncorrected - before.ecc_uncorrected
            self._uncorrected += grown if grown >= 0 else now.ecc_uncorrected
        seconds = now.at - before.at
        if not 0 <= seconds <= LONGEST_GAP_SECONDS:
            self._gap_seconds += max(0.0, seconds)
            self._powered = False
            return
        if is_number(before.power_mw) and is_number(now.power_mw):
            self._power_joules += (before.power_mw + now.power_mw) / 2 / 1000 * seconds
        for reason in reasons(now.throttle) if is_number(now.throttle) else ():
            self._throttled[reason] += round(seconds * 1000)

    def energy(self) -> tuple[float | None, str]:
        """Joules, and by what (`counter`, `power`, `none`)."""
        first, last = self._first, self._last
        if first is None or last is None or first is last:
            return None, "none"
        if self._counted and is_number(first.energy_mj) and is_number(last.energy_mj):
            return (last.energy_mj - first.energy_mj) / 1000, "counter"
        return (self._power_joules, "power") if self._powered else (None, "none")

    def telemetry(self) -> GpuTelemetry:
        """All of it."""
        joules, source = self.energy()
        total, count = self._utilisation
        seconds = 0.0 if self._first is None or self._last is None else self._last.at - self._first.at
        return GpuTelemetry(
            uuid=self.uuid,
            samples=self._samples,
            seconds=max(0.0, seconds),
            joules=joules,
            source=source,
            utilisation_mean=total / count / 100 if count else None,
            memory_most=self._memory_most,
            power_most=None if self._power_most is None else self._power_most / 1000,
            temperature_most=self._temperature_most,
            throttled=tuple((reason, spent / 1000) for reason, spent in sorted(self._throttled.items()) if spent),
            errors=self._errors(),
            gap_seconds=self._gap_seconds,
        )

    def _errors(self) -> tuple[str, ...]:
        told = [describe(xid) + (f", {count} times" if count > 1 else "") for xid, count in sorted(self._xids.items())]
        if self._uncorrected:
            told.append(f"{self._uncorrected} uncorrected memory errors")
        return tuple([*told, *self._failures][:MOST_ERRORS])


def _most(known: int | None, reading: Reading) -> int | None:
    value = number(reading)
    return known if value is None else value if known is None else max(known, value)
