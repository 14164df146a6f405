"""What stands in the way of taking jobs, by subject, for the lanes to read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from node.errors import LaneDegraded

HOST = ""
"""In place of a lane's name: what concerns every lane."""
GPU = "gpu"
"""Its failure ends work at hand: a job that has lost its GPU has nothing left to run on."""


class HealthBoard:
    """The hindrances of the host and of each lane. Lanes read; whoever looks after a subject writes.

    Read by itself it says what concerns the whole host.
    """

    def __init__(self) -> None:
        self._hindrances: dict[tuple[str, str], LaneDegraded] = {}
        self._lost: dict[tuple[str, str], LaneDegraded] = {}
        self._changed = asyncio.Event()

    def put(self, subject: str, hindrance: LaneDegraded | None, *, lane: str = HOST) -> None:
        """The subject stands in the way of a lane (of every lane), or (None) does not any more."""
        if hindrance is None:
            self._hindrances.pop((lane, subject), None)
        else:
            self._hindrances[lane, subject] = hindrance
        self._ring()

    def put_lost(self, loss: LaneDegraded | None, *, lane: str = HOST, subject: str = GPU) -> None:
        """What the lane works with is known to be gone (or its owner takes it), or (None) is not any more."""
        if loss is None:
            self._lost.pop((lane, subject), None)
        else:
            self._lost[lane, subject] = loss
        self._ring()

    def hindrance(self, lane: str = HOST) -> LaneDegraded | None:
        """What came first of what stands in the way of this lane; None: nothing does."""
        return next((each for (of, _), each in self._hindrances.items() if of in (HOST, lane)), None)

    async def hindered(self, lane: str = HOST) -> None:
        """Return as soon as something stands in the way of this lane."""
        while self.hindrance(lane) is None:
            await self._changed.wait()

    async def lost(self, lane: str = HOST) -> LaneDegraded:
        """Return as soon as what the lane works with is gone, with what is known of it."""
        while True:
            loss = next((each for (of, _), each in self._lost.items() if of in (HOST, lane)), None)
            if loss is not None:
                return loss
            await self._changed.wait()

    def _ring(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


@dataclass(frozen=True, slots=True)
class LaneHealth:
    """The board as one lane reads it: what concerns the host, and what concerns this lane alone."""

    board: HealthBoard
    lane: str

    def hindrance(self) -> LaneDegraded | None:
        """Why this lane must take no job now."""
        return self.board.hindrance(self.lane)

    async def hindered(self) -> None:
        """Return as soon as there is a hindrance."""
        await self.board.hindered(self.lane)

    async def lost(self) -> LaneDegraded:
        """Return as soon as this lane's GPUs are gone."""
        return await self.board.lost(self.lane)
