"""The word that ends a running operation."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from node.records import EndCause


class StopWord(Protocol):
    """What an operation is told of its end."""

    @property
    def cause(self) -> EndCause | None:
        """Why to end, or None."""
        ...

    async def wait(self) -> EndCause:
        """Wait until the end is asked for."""
        ...


class StopSignal:
    """Tells a running operation to end, once, with the cause (deadline, poster or host)."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self._cause: EndCause | None = None
        self.asked_at = 0.0
        """When; seconds of the process's own clock."""

    @property
    def cause(self) -> EndCause | None:
        """Why to end, or None."""
        return self._cause

    def request(self, cause: EndCause) -> None:
        """Ask for the end; the first cause stands."""
        if self._cause is None:
            self._cause = cause
            self.asked_at = time.monotonic()
            self._requested.set()

    async def wait(self) -> EndCause:
        """Wait until the end is asked for."""
        await self._requested.wait()
        assert self._cause is not None
        return self._cause


class EitherSignal:
    """Two signals as one word: the first that was asked stands."""

    def __init__(self, one: StopSignal, other: StopSignal) -> None:
        self._signals = (one, other)

    @property
    def cause(self) -> EndCause | None:
        """Why to end, or None."""
        asked = [signal for signal in self._signals if signal.cause is not None]
        return min(asked, key=lambda signal: signal.asked_at).cause if asked else None

    async def wait(self) -> EndCause:
        """Wait until the end is asked for by either."""
        if self.cause is None:
            async with asyncio.TaskGroup() as group:
                waits = [group.create_task(signal.wait()) for signal in self._signals]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for task in waits:
                    task.cancel()
        assert self.cause is not None
        return self.cause
