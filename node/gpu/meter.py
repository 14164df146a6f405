"""Energy and telemetry over a span, from the sampler's samples, which are kept and hashed line by line.

A meter that finds the samples of an earlier life of the agent goes on with them, so that a restart in the middle of a
job leaves nothing out: a counter counts on meanwhile, and what it lacks is told (`first_ms`, `gap_seconds`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Protocol

from node.gpu.sampler import Sampler
from node.gpu.samples import Failure, Round, Sample, parse_line
from node.gpu.telemetry import GpuSpan
from node.records import EnergyReading

LONGEST_LINE = 16 * 1024

log = logging.getLogger(__name__)


class RootHasher(Protocol):
    """Hashes a stream into a root, such as the Merkle hasher of the content room."""

    def update(self, data: bytes) -> None:
        """Take the stream's next bytes."""
        ...

    def root(self) -> str:
        """The root (hex) over what came so far."""
        ...


NewHasher = Callable[[], RootHasher]


class SamplingMeter:
    """Adds samples up; holds a few numbers per GPU, however long it runs."""

    def __init__(self, sampler: Sampler, uuids: tuple[str, ...], hasher: RootHasher | None) -> None:
        self._sampler = sampler
        self._uuids = uuids
        self._hasher = hasher
        self._spans = {uuid: GpuSpan(uuid) for uuid in uuids}
        self._count = 0
        self._file: IO[bytes] | None = None

    def keep(self, file: IO[bytes]) -> None:
        """Write what is added from now on into a file."""
        self._file = file

    async def reading(self) -> EnergyReading:
        """What was used since the meter was started, up to a sample taken now."""
        await self._sampler.sample(self._uuids)
        spans = tuple(self._spans.values())
        joules, source = self._energy()
        total, count = (sum(each.utilisation[part] for each in spans) for part in (0, 1))
        return EnergyReading(
            joules=joules,
            source=source,
            utilisation_mean=total / count / 100 if count else None,
            samples=self._count,
            samples_root=self._hasher.root() if self._hasher is not None and self._count else None,
            gpus=tuple(each.telemetry() for each in spans),
            first_ms=_all_known(max, [each.first_ms for each in spans]),
            last_ms=_all_known(min, [each.last_ms for each in spans]),
        )

    def add(self, seen: Round) -> None:
        """Add what a round saw."""
        everything: tuple[Sample | Failure, ...] = (*seen.samples, *seen.failures)
        for each in everything:
            line = each.line()
            if self.account(each, line):
                self._write(line)

    def account(self, each: Sample | Failure, line: bytes) -> bool:
        """Add one, with its line, without writing that down; False: it says nothing new."""
        span = self._spans.get(each.uuid)
        if span is None:
            return False
        if isinstance(each, Failure):
            if not span.fail(each):
                return False
        else:
            span.add(each)
        self._count += 1
        if self._hasher is not None:
            self._hasher.update(line)
        return True

    def _write(self, line: bytes) -> None:
        if self._file is None:
            return
        try:
            self._file.write(line)
        except OSError as error:
            # A full disk must not end the job that is metered; the reading goes on without the file.
            log.warning("samples are not kept any more: %s", error.strerror or error)
            self._file = None

    def _energy(self) -> tuple[float | None, str]:
        """Of all GPUs together: the counter's where all have it."""
        energies = [each.energy() for each in self._spans.values()]
        known = [joules for joules, _ in energies if joules is not None]
        if not energies or len(known) < len(energies):
            return None, "none"
        return sum(known), "power" if any(source == "power" for _, source in energies) else "counter"


@asynccontextmanager
async def metering(
    sampler: Sampler, uuids: tuple[str, ...], samples: Path | None, hasher: RootHasher | None
) -> AsyncIterator[SamplingMeter]:
    """A meter that samples by itself while open; `samples` keeps the sample lines, and is gone on with where there are
    some already; `hasher` hashes them."""
    meter = SamplingMeter(sampler, uuids, hasher)
    clock = sampler.clock
    offset = clock.monotonic() - clock.time()
    file = None if samples is None else await asyncio.to_thread(_resume, samples, meter, offset)
    try:
        if file is not None:
            meter.keep(file)
        async with sampler.following(uuids, meter.add):
            await sampler.sample(uuids)
            yield meter
    finally:
        if file is not None:
            file.close()


def _resume(samples: Path, meter: SamplingMeter, offset: float) -> IO[bytes] | None:
    """Have the meter take what is there, up to the first line that is none (a crash may have cut the last)."""
    try:
        samples.parent.mkdir(parents=True, exist_ok=True)
        good = 0
        if samples.exists():
            with samples.open("rb") as earlier:
                while (line := earlier.readline(LONGEST_LINE)).endswith(b"\n"):
                    try:
                        meter.account(parse_line(line, offset), line)
                    except (ValueError, RecursionError):
                        break
                    good += len(line)
        file: IO[bytes] = samples.open("ab", buffering=0)
        file.truncate(good)
        return file
    except OSError as error:
        log.warning("samples are not kept: %s cannot be written: %s", samples, error.strerror or error)
        return None


def _all_known(choose: Callable[[list[int]], int], values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return choose(known) if known and len(known) == len(values) else None
