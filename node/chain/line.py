"""Who asks an endpoint next, where its rate does not let all ask at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from node.chain.standing import Standing
from node.retry import Clock, sleep_or
from node.turns import current_lane

_pressing: ContextVar[bool] = ContextVar("pressing", default=False)


@contextmanager
def pressing() -> Iterator[None]:
    """In the block, what is asked of the chain goes before what others ask: pay is at stake."""
    token = _pressing.set(True)
    try:
        yield
    finally:
        _pressing.reset(token)


class Line:
    """Those who wait for one endpoint. First what is pressing, then the lane that had fewest turns since there was
    last nobody waiting, then who came first: one lane in trouble does not eat what all may ask."""

    def __init__(self, standing: Standing, clock: Clock) -> None:
        self._standing = standing
        self._clock = clock
        self._waiting: list[tuple[int, str, bool, str]] = []
        self._had: Counter[str] = Counter()
        self._number = 0
        self._changed = asyncio.Event()

    async def turn(self, method: str) -> None:
        """Return when the method may be asked; that is then booked."""
        self._number += 1
        mine = (self._number, current_lane.get(), _pressing.get(), method)
        self._waiting.append(mine)
        try:
            while (wait := self._wait(mine)) > 0 or self._before(mine):
                # Who is before us may ask now and will, and then wakes us.
                await sleep_or(self._clock, wait if wait > 0 else 1.0, self._changed)
            self._standing.take(method, self._clock.monotonic())
            self._had[mine[1]] += 1
        finally:
            self._waiting.remove(mine)
            if not self._waiting:
                self._had.clear()
            self._changed.set()
            self._changed = asyncio.Event()

    def _before(self, mine: tuple[int, str, bool, str]) -> bool:
        """Whether another one that may ask now comes first."""
        return min((each for each in self._waiting if self._wait(each) <= 0), key=self._rank) != mine

    def _rank(self, each: tuple[int, str, bool, str]) -> tuple[bool, int, int]:
        number, lane, is_pressing, _ = each
        return (not is_pressing, self._had[lane], number)

    def _wait(self, each: tuple[int, str, bool, str]) -> float:
        return self._standing.wait(each[3], self._clock.monotonic())
