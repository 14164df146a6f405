"""Who may go next, where only so many may at a time: lanes take turns, and what takes long keeps nobody out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

from node.retry import Clock, SystemClock, sleep_or

current_lane: ContextVar[str] = ContextVar("current_lane", default="")
"""The lane that the present task works for, set for its own task and all that are started from it; empty: the agent."""

LONG = 60.0
"""Seconds after which one that goes on no longer counts as one of the places: a small one must not wait for it."""
MOST = 4
"""Times the places that may go on at once, the long ones included."""


class Turns:
    """Places for transfers, shared by all lanes."""

    def __init__(self, places: int, clock: Clock | None = None) -> None:
        self._places = places
        self._clock = clock or SystemClock()
        self._running: list[tuple[float, str]] = []
        self._waiting: list[tuple[int, str]] = []
        self._number = 0
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def turn(self, on_wait: Callable[[int], None] = lambda _others: None) -> AsyncIterator[None]:
        """Hold a place for the block. Of those that wait, it is the turn of the lane with the fewest under way, then of
        the one that has waited longest. `on_wait` is told how many are under way, if there is no place yet."""
        self._number += 1
        mine = (self._number, current_lane.get())
        self._waiting.append(mine)
        try:
            if self._next() != mine:
                on_wait(len(self._running))
            while self._next() != mine:
                changed = self._changed
                await sleep_or(self._clock, self._until_one_is_long(), changed)
        finally:
            self._waiting.remove(mine)
            self._wake()
        place = (self._clock.monotonic(), mine[1])
        self._running.append(place)
        self._wake()
        try:
            yield
        finally:
            self._running.remove(place)
            self._wake()

    def _next(self) -> tuple[int, str] | None:
        """Who may go now."""
        since = self._clock.monotonic() - LONG
        young = sum(1 for began, _ in self._running if began > since)
        if not self._waiting or young >= self._places or len(self._running) >= MOST * self._places:
            return None
        busy = Counter(lane for _, lane in self._running)
        return min(self._waiting, key=lambda each: (busy[each[1]], each[0]))

    def _until_one_is_long(self) -> float:
        now = self._clock.monotonic()
        left = [began + LONG - now for began, _ in self._running if began + LONG > now]
        return min(left, default=LONG) + 0.001

    def _wake(self) -> None:
        # A new event for who waits from now on: one that stayed set would keep them from waiting.
        self._changed.set()
        self._changed = asyncio.Event()


def waiting_line(others: int) -> str:
    """What one that has no place yet says, for people."""
    return f"waiting for its turn: {others} transfers are under way"
