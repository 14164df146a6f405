"""What all GPUs of a host are like now: one sampler, and one closer look every few seconds, for whoever asks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from node.errors import GpuError
from node.gpu.sampler import Sampler
from node.gpu.samples import Round, Sample, is_number
from node.gpu.state import GpuState
from node.gpu.throttle import UNWANTED
from node.records import Gpu
from node.retry import Clock

LOOK_SECONDS = 5.0
"""Between two closer looks: processes, faults."""
SHARED_SECONDS = 2.0
"""For which one answer on what GPUs there are serves all who ask."""
STALE_SAMPLE, STALE_LOOK = 5.0, 20.0
"""Seconds after which what was seen is not "now" any more."""
LONGEST_STEP = 5.0
"""Seconds that one sample may stand for."""

log = logging.getLogger(__name__)


def local_day(now: float) -> str:
    """The day of a unix time in this host's time zone."""
    return time.strftime("%Y-%m-%d", time.localtime(now))


class Watchable(Protocol):
    """What is asked of the provider of GPUs."""

    @property
    def sampler(self) -> Sampler:
        """The one."""
        ...

    async def inventory(self) -> tuple[Gpu, ...]:
        """Raises GpuError."""
        ...

    async def looks(self, uuids: tuple[str, ...]) -> tuple[GpuState, ...]:
        """Of those that can be read; raises GpuError where none can."""
        ...


class SlowedWindow:
    """For how much of the last while a GPU was slowed down by what no owner sets on purpose."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._parts: deque[tuple[float, float, bool]] = deque()
        self._last: float | None = None
        self.covered = 0.0
        """Seconds that are known of."""
        self.slowed = 0.0

    def add(self, at: float, mask: int) -> None:
        """The reasons at this moment, which stand for the time since the moment before."""
        step = 0.0 if self._last is None else at - self._last
        self._last = at
        if 0 < step <= LONGEST_STEP:
            bad = bool(mask & UNWANTED)
            self._parts.append((at, step, bad))
            self.covered += step
            self.slowed += step if bad else 0.0
        while self._parts and at - self._parts[0][0] >= self.seconds:
            _, gone, was_bad = self._parts.popleft()
            self.covered -= gone
            self.slowed -= gone if was_bad else 0.0


@dataclass(slots=True)
class _Seen:
    sample: Sample | None = None
    state: GpuState | None = None
    state_at: float = 0.0
    window: SlowedWindow | None = None
    day: str = ""
    day_since_ms: int = 0
    day_energy_mj: int | None = None
    last_mj: int | None = None


class GpuMonitor:
    """Follows every GPU while `run` runs."""

    def __init__(self, gpus: Watchable, clock: Clock, day: Callable[[float], str], window: float = 600.0) -> None:
        """`day` names the day of a unix time, where the owner lives; `window`: seconds for which it is remembered what
        slowed a GPU down."""
        self._gpus = gpus
        self._clock = clock
        self._day = day
        self._window = window
        self._seen: dict[str, _Seen] = {}
        self._asking = asyncio.Lock()
        self._answer: tuple[float, tuple[Gpu, ...] | GpuError] | None = None
        self.gpus: tuple[Gpu, ...] = ()
        """As last told of."""

    async def run(self) -> NoReturn:
        """Go on until cancelled."""
        while True:
            uuids = await self._uuids()
            async with self._gpus.sampler.following(uuids, self.add):
                while uuids and {*uuids} == {*await self._uuids()}:
                    await self.look(uuids)
                    await self._clock.sleep(LOOK_SECONDS)
            await self._clock.sleep(0.0 if uuids else LOOK_SECONDS)

    async def once(self) -> None:
        """Look at everything now, instead of `run`; raises GpuError where the GPUs cannot be listed."""
        uuids = tuple(sorted(gpu.uuid for gpu in await self.inventory()))
        async with self._gpus.sampler.following(uuids, self.add):
            await self._gpus.sampler.sample(uuids)
        await self.look(uuids)

    async def _uuids(self) -> tuple[str, ...]:
        """Of all GPUs; while the driver does not say, of those that there were."""
        try:
            await self.inventory()
        except GpuError as error:
            log.debug("the GPUs cannot be listed: %s", error.line)
        return tuple(sorted(gpu.uuid for gpu in self.gpus))

    async def inventory(self) -> tuple[Gpu, ...]:
        """The GPUs there are, by one question for all who ask at about the same time; raises GpuError."""
        async with self._asking:
            now = self._clock.monotonic()
            if self._answer is None or now - self._answer[0] >= SHARED_SECONDS:
                try:
                    self.gpus = await self._gpus.inventory()
                    self._answer = (self._clock.monotonic(), self.gpus)
                except GpuError as error:
                    self._answer = (self._clock.monotonic(), error)
            answer = self._answer[1]
        if isinstance(answer, GpuError):
            raise answer
        return answer

    async def look(self, uuids: tuple[str, ...]) -> None:
        """Look at processes and faults of these GPUs; what cannot be seen grows old."""
        try:
            states = await self._gpus.looks(uuids)
        except GpuError as error:
            log.debug("the GPUs cannot be looked at: %s", error.line)
            return
        for state in states:
            seen = self._seen.setdefault(state.uuid, _Seen())
            seen.state, seen.state_at = state, self._clock.monotonic()

    def add(self, seen: Round) -> None:
        """Take what the sampler saw."""
        for sample in seen.samples:
            known = self._seen.setdefault(sample.uuid, _Seen())
            known.sample = sample
            if is_number(sample.throttle):
                known.window = known.window or SlowedWindow(self._window)
                known.window.add(sample.at, sample.throttle)
            if is_number(sample.energy_mj):
                self._count_energy(known, sample.energy_mj, sample.time_ms)

    def sample(self, uuid: str) -> Sample | None:
        """The latest, where it is of now."""
        seen = self._seen.get(uuid)
        if seen is None or seen.sample is None or self._clock.monotonic() - seen.sample.at > STALE_SAMPLE:
            return None
        return seen.sample

    def state(self, uuid: str) -> GpuState | None:
        """The latest closer look, where it is of now."""
        seen = self._seen.get(uuid)
        if seen is None or seen.state is None or self._clock.monotonic() - seen.state_at > STALE_LOOK:
            return None
        return seen.state

    def slowed(self, uuid: str) -> SlowedWindow | None:
        """What is remembered of it; None: it does not say."""
        seen = self._seen.get(uuid)
        return None if seen is None else seen.window

    def energy_today(self, uuid: str) -> tuple[float, int] | None:
        """Joules by its counter, and the unix milliseconds since when: midnight, or when it was first looked at."""
        seen = self._seen.get(uuid)
        if seen is None or seen.day_energy_mj is None:
            return None
        return seen.day_energy_mj / 1000, seen.day_since_ms

    def _count_energy(self, seen: _Seen, energy_mj: int, time_ms: int) -> None:
        day = self._day(time_ms / 1000)
        if seen.day != day or seen.day_energy_mj is None:
            seen.day, seen.day_since_ms, seen.day_energy_mj = day, time_ms, 0
        elif seen.last_mj is not None:
            # A driver that was loaded anew counts from zero.
            grown = energy_mj - seen.last_mj
            seen.day_energy_mj += grown if grown >= 0 else energy_mj
        seen.last_mj = energy_mj
