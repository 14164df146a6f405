"""Time that tests move themselves: nothing really waits."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

from node.journal.journal import Journal


class FakeClock:
    """A node.retry.Clock that stands still until `advance` or `until` moves it."""

    def __init__(self, journal: Journal | None = None, now: float = 1_700_000_000.0) -> None:
        self.now = now
        self.skew = 0.0
        """Seconds by which somebody has set the host's clock."""
        self.journal = journal
        self._started = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self.now - self._started

    def time(self) -> float:
        return self.now + self.skew

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), future))
        await future

    async def settle(self) -> None:
        """Let every task run until all wait for time, for the journal's thread or for the test."""
        for _ in range(12):
            for _ in range(10):
                await asyncio.sleep(0)
            if self.journal is not None:
                await self.journal._database.read(lambda db: None)
            await asyncio.sleep(0.0005)

    async def advance(self, seconds: float) -> None:
        """Move time forward, waking sleepers in order."""
        goal = self.now + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= goal:
            wake, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self.now = max(self.now, wake)
            future.set_result(None)
            await self.settle()
        self.now = goal
        await self.settle()

    async def until(self, condition: Callable[[], bool], *, limit: float = 0.0) -> None:
        """Wait until the condition holds, moving time from sleeper to sleeper for at most `limit` seconds of it."""
        goal = self.now + limit
        for _ in range(400):
            await self.settle()
            if condition():
                return
            if self._sleepers and self._sleepers[0][0] <= goal:
                await self.advance(self._sleepers[0][0] - self.now)
        raise AssertionError(f"never happened within {limit} s of fake time")
