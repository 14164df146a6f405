"""A lane's GPU work proofs: made while it waits in the queue with nothing else to do, and ended at once for a job."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from node.agent.work_room import Bidder, WorkRoom
from node.errors import GpunodeError, JournalError
from node.gpu.work.session import WorkChain
from node.records import Gpu, LaneStatus
from node.records_proofs import WorkOutlook
from node.retry import Clock

log = logging.getLogger(__name__)

LOOK_AGAIN = 60.0
"""Seconds until a GPU is looked at again that was in use, or a lane whose last job is still being settled."""
LONGEST = 3_600.0
"""Seconds at most until it is asked again whether one is due: the host's clock may be set meanwhile."""

StatusNow = Callable[[], LaneStatus]
Shift = Callable[[asyncio.Event, StatusNow], Coroutine[Any, Any, None]]
"""What a lane does from when its event says that it is queued, until cancelled."""
UsersOf = Callable[[str], Awaitable[tuple[str, ...]]]
"""Who else uses a GPU, by its UUID, in words. Raises GpuError."""


async def no_shift(queued: asyncio.Event, status: StatusNow) -> None:
    """For lanes that make no proofs."""


class WorkShift:
    """One per lane."""

    def __init__(self, lane: str, node: str, room: WorkRoom, chain: WorkChain, users: UsersOf, clock: Clock) -> None:
        """`node`: the lane's key; `chain`: as the lane's key sees and signs it."""
        self._lane = lane
        self._node = node
        self._room = room
        self._chain = chain
        self._users = users
        self._clock = clock
        self._why = "the lane has not been queued yet"

    async def run(self, queued: asyncio.Event, status: StatusNow) -> None:
        """Make proofs from when the lane is `queued` until cancelled, which is awaited until the helper's process is
        gone. Raises nothing: what goes wrong is told and waited out."""
        if self._room.terms.engine is None:
            return
        await queued.wait()
        while True:
            try:
                wait = await self._turn(status())
            except GpunodeError as error:
                log.warning("work proof: %s", error.line)
                await self._tell(f"no work proof: {error.line}", "warning")
                wait = LOOK_AGAIN
            except Exception:
                # A bug in it must not take the lane's jobs along.
                log.exception("the work proof failed unexpectedly")
                wait = LOOK_AGAIN
            await self._clock.sleep(wait)

    async def outlook(self, status: LaneStatus) -> WorkOutlook:
        """What there is and what is due. Raises JournalError."""
        terms, now = self._room.terms, self._clock.time()
        newest = await self._room.journal.work.newest(self._lane)
        running = self._room.running == self._lane
        if terms.engine is None:
            return WorkOutlook(self._lane, None, terms.why, running, None, newest)
        bidder = self._bidder(status)
        verdict = self._room.verdict(bidder, queued=True, idle=True)
        never = terms.daily_joules <= 0
        due = None if never or running else now + verdict.again_in
        why = f"{terms.why}; {self._why if verdict.go else verdict.reason}"
        return WorkOutlook(self._lane, terms.engine, why, running, due, newest)

    async def _turn(self, status: LaneStatus) -> float:
        """Make one if it is time; seconds until it is asked again."""
        bidder = self._bidder(status)
        # What is being settled has used the GPU a moment ago, and its stage may still send its result.
        verdict = self._room.verdict(bidder, queued=True, idle=not status.trailing)
        self._why = verdict.reason
        if not verdict.go:
            return min(verdict.again_in, LOOK_AGAIN if status.trailing else LONGEST)
        users = () if bidder.gpu is None else await self._users(bidder.gpu)
        if users:
            self._why = users[0]
            return LOOK_AGAIN
        began = self._clock.monotonic()
        try:
            await self._room.prove(bidder)
        except asyncio.CancelledError:
            log.info("a work proof was cut off after %.1f s", self._clock.monotonic() - began)
            raise
        return 1.0  # for the lane's next GPU

    def _bidder(self, status: LaneStatus) -> Bidder:
        """For which of the lane's GPUs: the one whose newest proof is the oldest."""
        gpu = None
        if self._room.terms.engine == "cuda" and status.gpus:
            gpu = min(status.gpus, key=self._last).uuid
        return Bidder(self._lane, self._node, gpu, self._chain)

    def _last(self, gpu: Gpu) -> float:
        return self._room.keeper.last(Bidder(self._lane, self._node, gpu.uuid, self._chain).turn) or 0.0

    async def _tell(self, text: str, level: str) -> None:
        try:
            await self._room.journal.add_event(text, lane=self._lane, level=level)
        except JournalError as error:
            log.error("%s; the journal cannot keep that: %s", text, error.line)
