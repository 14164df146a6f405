"""What jobs used, sample by sample: kept in memory while the agent runs, and thinned out so that it stays small."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from node.api.owner.port import OwnerPort, StatSample
from node.errors import GpunodeError
from node.records import Address

log = logging.getLogger(__name__)

EVERY = 5.0
"""Seconds between samples."""
SAMPLES = 1440
"""Kept of one operation: two hours, then every second one goes, and so on."""
OPERATIONS = 512
"""Of which samples are kept, the latest."""
SHORTEST, LONGEST = 1, 1800
"""Seconds between samples that may be asked for."""

_Key = tuple[Address, str]


class _Series:
    """Samples of one operation, oldest first."""

    def __init__(self) -> None:
        self.samples: list[StatSample] = []
        self._gap_ms = 0

    def add(self, sample: StatSample) -> None:
        if self.samples and sample.timestamp_ms - self.samples[-1].timestamp_ms < self._gap_ms:
            return
        self.samples.append(sample)
        if len(self.samples) > SAMPLES:
            self.samples = self.samples[::2]
            span = self.samples[-1].timestamp_ms - self.samples[0].timestamp_ms
            self._gap_ms = span // len(self.samples)


class StatHistory:
    """Samples of all jobs that run."""

    def __init__(
        self, port: OwnerPort, *, every: float = EVERY, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._port = port
        self._every = every
        self._sleep = sleep
        self._series: OrderedDict[_Key, _Series] = OrderedDict()

    async def keep(self) -> None:
        """Take samples for as long as the API runs."""
        while True:
            await self._sleep(self._every)
            for job in self._port.running():
                try:
                    samples = await self._port.stats(job)
                except GpunodeError as error:
                    log.info("what job %s uses cannot be seen: %s", job, error)
                else:
                    self.add(job, samples)

    def add(self, job: Address, samples: tuple[StatSample, ...]) -> None:
        """Keep samples."""
        for sample in samples:
            key = (job, sample.operation)
            self._series.setdefault(key, _Series()).add(sample)
            self._series.move_to_end(key)
        while len(self._series) > OPERATIONS:
            self._series.popitem(last=False)

    def between(self, job: Address, start_ms: int | None, end_ms: int | None, interval: int) -> list[StatSample]:
        """Samples of a span, at most one in `interval` seconds of each operation, oldest first."""
        found: list[StatSample] = []
        for (address, _), series in self._series.items():
            if address != job:
                continue
            last = None
            for sample in series.samples:
                at = sample.timestamp_ms
                if (start_ms is not None and at < start_ms) or (end_ms is not None and at > end_ms):
                    continue
                # Half a second of grace: samples come a little late, never exactly on time.
                if last is None or at - last >= interval * 1000 - 500:
                    found.append(sample)
                    last = at
        return sorted(found, key=lambda sample: sample.timestamp_ms)


def parse_interval(text: str | None) -> int:
    """Seconds between samples, 5 by default. Raises ValueError with what may be said of it."""
    if text is None:
        return 5
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and SHORTEST <= int(text) <= LONGEST):
        raise ValueError(f"Invalid interval. Allowed values (seconds): {SHORTEST} to {LONGEST}")
    return int(text)


def parse_moment(text: str | None) -> int | None:
    """Unix milliseconds. Raises ValueError."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise ValueError("start and end must be valid timestamps (ms)")
    return int(text)
