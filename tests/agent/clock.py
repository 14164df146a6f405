"""Time that tests move themselves: nothing really waits."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from node.journal.journal import Journal

QUIET = 12
"""Rounds in a row without work in a thread after which nothing is thought to go on any more."""
LONGEST = 2000
"""Rounds, a second and more: for what stays in a thread because the test wants it so."""


class _Threads(ThreadPoolExecutor):
    """The loop's threads, which say whether they have work: on a busy machine it takes longer than any wait."""

    def __init__(self) -> None:
        super().__init__(thread_name_prefix="test")
        self.pending = 0
        self._lock = threading.Lock()

    def submit(self, *arguments: Any, **more: Any) -> Future[Any]:
        with self._lock:
            self.pending += 1
        future = super().submit(*arguments, **more)
        future.add_done_callback(self._less)
        return future

    def _less(self, _: Future[Any]) -> None:
        with self._lock:
            self.pending -= 1


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
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: _Threads | None = None

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
        threads = self._threads()
        quiet = 0
        for _ in range(LONGEST):
            for _ in range(10):
                await asyncio.sleep(0)
            if self.journal is not None:
                await self.journal._database.read(lambda db: None)
            await asyncio.sleep(0.0005)
            quiet = 0 if threads.pending else quiet + 1
            if quiet == QUIET:
                return

    def _threads(self) -> _Threads:
        loop = asyncio.get_running_loop()
        if self._pool is None or self._loop is not loop:
            self._loop, self._pool = loop, _Threads()
            loop.set_default_executor(self._pool)
        return self._pool

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
