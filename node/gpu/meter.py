"""Energy and utilisation over a span, from samples once a second.

Energy is the difference of the GPUs' own counters; where one has none, power samples are integrated; where those are
missing or have gaps, it is "not available". It is never estimated from anything else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from node.errors import GpuError
from node.gpu.samples import Sample, is_number
from node.records import EnergyReading
from node.retry import Clock

SAMPLE_SECONDS = 1.0
LONGEST_GAP_SECONDS = 5.0
"""Between two power samples; beyond it an integral would be a guess."""

log = logging.getLogger(__name__)

TakeSamples = Callable[[], Awaitable[tuple[Sample, ...]]]


class RootHasher(Protocol):
    """Hashes a stream into a root, such as the Merkle hasher of the content room."""

    def update(self, data: bytes) -> None:
        """Take the stream's next bytes."""
        ...

    def root(self) -> str:
        """The root (hex) over what came so far."""
        ...


NewHasher = Callable[[], RootHasher]


@dataclass(slots=True)
class _Span:
    """One GPU since the meter was started."""

    first: Sample
    last: Sample
    counted: bool
    """All samples had a counter and it never went back."""
    powered: bool
    """All samples had a power and no gap was too long."""
    power_joules: float = 0.0

    def add(self, sample: Sample) -> None:
        before, now = self.last.energy_mj, sample.energy_mj
        self.counted = self.counted and is_number(before) and is_number(now) and now >= before
        seconds = sample.at - self.last.at
        earlier, later = self.last.power_mw, sample.power_mw
        if is_number(earlier) and is_number(later) and seconds <= LONGEST_GAP_SECONDS:
            self.power_joules += (earlier + later) / 2 / 1000 * seconds
        else:
            self.powered = False
        self.last = sample

    def counter_joules(self) -> float:
        begin, end = self.first.energy_mj, self.last.energy_mj
        return (end - begin) / 1000 if is_number(begin) and is_number(end) else 0.0


class SamplingMeter:
    """Adds samples up; holds a few numbers per GPU, however long it runs."""

    def __init__(
        self, take: TakeSamples, uuids: tuple[str, ...], samples: IO[bytes] | None, hasher: RootHasher | None
    ) -> None:
        self._take = take
        self._uuids = uuids
        self._file = samples
        self._hasher = hasher
        self._spans: dict[str, _Span] = {}
        self._count = 0
        self._utilisation_sum = 0
        self._utilisation_count = 0
        self._lock = asyncio.Lock()

    async def sample(self) -> None:
        """Take and add one round of samples; a driver that does not answer leaves a gap."""
        async with self._lock:
            try:
                samples = await self._take()
            except GpuError:
                return
            for sample in samples:
                self.add(sample)

    async def reading(self) -> EnergyReading:
        """What was used since the meter was started, up to a sample taken now."""
        await self.sample()
        joules, source = self._energy()
        mean = self._utilisation_sum / self._utilisation_count / 100 if self._utilisation_count else None
        return EnergyReading(
            joules=joules,
            source=source,
            utilisation_mean=mean,
            samples=self._count,
            samples_root=self._hasher.root() if self._hasher is not None and self._count else None,
        )

    def add(self, sample: Sample) -> None:
        """Add one sample."""
        line = sample.line()
        if self._hasher is not None:
            self._hasher.update(line)
        if self._file is not None:
            try:
                self._file.write(line)
            except OSError as error:
                # A full disk must not end the job that is metered; the reading goes on without the file.
                log.warning("samples are not kept any more: %s", error.strerror or error)
                self._file = None
        self._count += 1
        if is_number(sample.utilisation):
            self._utilisation_sum += sample.utilisation
            self._utilisation_count += 1
        span = self._spans.get(sample.uuid)
        if span is None:
            counted, powered = is_number(sample.energy_mj), is_number(sample.power_mw)
            self._spans[sample.uuid] = _Span(sample, sample, counted, powered)
        else:
            span.add(sample)

    def _energy(self) -> tuple[float | None, str]:
        spans = [self._spans.get(uuid) for uuid in self._uuids]
        known = [span for span in spans if span is not None and span.last is not span.first]
        if not known or len(known) < len(spans):
            return None, "none"
        if all(span.counted for span in known):
            return sum(span.counter_joules() for span in known), "counter"
        if all(span.powered for span in known):
            return sum(span.power_joules for span in known), "power"
        return None, "none"


@asynccontextmanager
async def metering(
    take: TakeSamples, uuids: tuple[str, ...], clock: Clock, samples: Path | None, hasher: RootHasher | None
) -> AsyncIterator[SamplingMeter]:
    """A meter that samples by itself while open; `samples` takes the sample lines, `hasher` hashes them."""
    file = _opened(samples) if samples is not None else None
    try:
        meter = SamplingMeter(take, uuids, file, hasher)
        await meter.sample()
        async with asyncio.TaskGroup() as group:
            ticking = group.create_task(_tick(meter, clock))
            try:
                yield meter
            finally:
                ticking.cancel()
    finally:
        if file is not None:
            file.close()


def _opened(samples: Path) -> IO[bytes] | None:
    try:
        samples.parent.mkdir(parents=True, exist_ok=True)
        return samples.open("wb", buffering=0)
    except OSError as error:
        log.warning("samples are not kept: %s cannot be written: %s", samples, error.strerror or error)
        return None


async def _tick(meter: SamplingMeter, clock: Clock) -> None:
    while True:
        await clock.sleep(SAMPLE_SECONDS)
        await meter.sample()
