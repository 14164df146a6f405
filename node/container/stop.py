"""The word that ends a running operation."""

from __future__ import annotations

import asyncio

from node.records import EndCause


class StopSignal:
    """Tells a running operation to end, once, with the cause (deadline, poster or host)."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self._cause: EndCause | None = None

    @property
    def cause(self) -> EndCause | None:
        """Why to end, or None."""
        return self._cause

    def request(self, cause: EndCause) -> None:
        """Ask for the end; the first cause stands."""
        if self._cause is None:
            self._cause = cause
            self._requested.set()

    async def wait(self) -> EndCause:
        """Wait until the end is asked for."""
        await self._requested.wait()
        assert self._cause is not None
        return self._cause
