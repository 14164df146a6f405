"""Time, waiting, and retry policies, which are declared beside the call they belong to.

Not here: what is worth a retry. The caller names the error classes; everything else passes through.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """Time as the agent sees it; tests pass a fake one so that nothing really waits."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def time(self) -> float:
        """Unix seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Suspend the calling task."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        return asyncio.get_running_loop().time()

    def time(self) -> float:
        """Unix seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Suspend the calling task."""
        await asyncio.sleep(seconds)


async def sleep_or(clock: Clock, seconds: float, *events: asyncio.Event) -> bool:
    """Wait until one of the events is set (True) or the seconds have passed (False)."""
    if any(event.is_set() for event in events):
        return True
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(clock.sleep(seconds)), *(group.create_task(_set(event)) for event in events)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
    return any(event.is_set() for event in events)


async def _set(event: asyncio.Event) -> None:
    await event.wait()


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and for how long a call is tried.

    `attempts` counts the first try; `total` bounds the seconds from the first try to the last start; waits
    grow from `first` by `factor` up to `longest` seconds, each cut by a random share of up to `jitter` (0–1)
    so that many callers do not come back at once.
    """

    attempts: int
    total: float
    first: float = 0.2
    factor: float = 2.0
    longest: float = 15.0
    jitter: float = 0.3

    def wait(self, attempt: int) -> float:
        """Seconds to wait after the given failed attempt (0 = the first)."""
        base = min(self.longest, self.first * self.factor**attempt)
        return base * (1.0 - self.jitter * random.random())  # noqa: S311 (spreading load is no secret)

    async def call(
        self,
        function: Callable[[], Awaitable[T]],
        *,
        on: tuple[type[Exception], ...],
        clock: Clock | None = None,
    ) -> T:
        """Await `function()` until it succeeds, raising its last error when the policy is spent."""
        clock = clock or SystemClock()
        started = clock.monotonic()
        attempt = 0
        while True:
            try:
                return await function()
            except on:
                pause = self.wait(attempt)
                attempt += 1
                if attempt >= self.attempts or clock.monotonic() + pause - started > self.total:
                    raise
                await clock.sleep(pause)
