"""One look a second at all GPUs that anybody wants to follow: one task and one request, however many follow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from node.errors import GpuError
from node.gpu.helper import DriverSilent
from node.gpu.samples import Round
from node.retry import Clock, sleep_or

SAMPLE_SECONDS = 1.0
LONGEST_PAUSE = 16.0
"""Between rounds that see nothing."""
SHUNNED_SECONDS = 30.0
"""For which a GPU whose reads do not return is left out, so that those beside it can be read."""

Take = Callable[[tuple[str, ...]], Awaitable[Round]]
"""Looks at GPUs by their UUIDs; raises GpuError where nothing of them can be read."""
Add = Callable[[Round], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Follower:
    uuids: frozenset[str]
    add: Add


class Sampler:
    """The only one of its GPUs. It runs in whichever of its followers came first: no task outlives what it is for."""

    def __init__(self, take: Take, clock: Clock) -> None:
        self._take = take
        self._clock = clock
        self._followers: list[_Follower] = []
        self._driving = asyncio.Lock()
        self._driver: asyncio.Task[None] | None = None
        self._reading = asyncio.Lock()
        self._is_split = False
        self._shunned: dict[str, float] = {}
        """Until when, by UUID."""

    @property
    def clock(self) -> Clock:
        """By which it samples."""
        return self._clock

    @asynccontextmanager
    async def following(self, uuids: Iterable[str], add: Add) -> AsyncIterator[None]:
        """While open, `add` gets what each round saw of these GPUs; it must neither block nor raise."""
        follower = _Follower(frozenset(uuids), add)
        self._followers.append(follower)
        stop = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(self._drive(stop))
                try:
                    yield
                finally:
                    # A request under way is let finish: cut off, it would cost the helper process.
                    stop.set()
                    if self._driver is not task:
                        task.cancel()
        finally:
            self._followers.remove(follower)

    async def sample(self, uuids: Iterable[str]) -> bool:
        """Look at these GPUs at once, beside the rounds; what cannot be read leaves a gap. Whether any could."""
        async with self._reading:
            seen = await self._look(tuple(sorted(set(uuids))))
        self._tell(seen)
        return bool(seen.samples)

    async def _drive(self, stop: asyncio.Event) -> None:
        async with self._driving:
            self._driver = asyncio.current_task()
            try:
                due, pause = self._clock.monotonic(), SAMPLE_SECONDS
                while not stop.is_set():
                    due = max(due + pause, self._clock.monotonic())
                    await sleep_or(self._clock, due - self._clock.monotonic(), stop)
                    if not stop.is_set():
                        # Each look at a driver that is gone may cost a process.
                        seen = await self.sample({uuid for each in self._followers for uuid in each.uuids})
                        pause = SAMPLE_SECONDS if seen or self._is_split else min(pause * 2, LONGEST_PAUSE)
            finally:
                self._driver = None

    async def _look(self, uuids: tuple[str, ...]) -> Round:
        now = self._clock.monotonic()
        self._shunned = {uuid: until for uuid, until in self._shunned.items() if until > now}
        wanted = tuple(uuid for uuid in uuids if uuid not in self._shunned)
        if not wanted:
            return Round(())
        if self._is_split:
            return await self._look_one_by_one(wanted)
        try:
            return await self._take(wanted)
        except DriverSilent:
            self._is_split = len(wanted) > 1
        except GpuError:
            pass
        return Round(())

    async def _look_one_by_one(self, uuids: tuple[str, ...]) -> Round:
        """After a round that hung: which of them it is."""
        self._is_split = False
        seen = []
        for uuid in uuids:
            try:
                seen.append(await self._take((uuid,)))
            except DriverSilent:
                self._shunned[uuid] = self._clock.monotonic() + SHUNNED_SECONDS
            except GpuError:
                continue
        return Round(
            tuple(sample for each in seen for sample in each.samples),
            tuple(failure for each in seen for failure in each.failures),
        )

    def _tell(self, seen: Round) -> None:
        for each in tuple(self._followers):
            samples = tuple(sample for sample in seen.samples if sample.uuid in each.uuids)
            failures = tuple(failure for failure in seen.failures if failure.uuid in each.uuids)
            if samples or failures:
                each.add(Round(samples, failures))
