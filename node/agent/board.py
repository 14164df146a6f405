"""What a lane shows of itself: its state with a reason, in memory, in the journal and in the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from node.journal.journal import Journal
from node.records import Address, Gpu, LanePhase, LaneStatus, Stage
from node.retry import Clock

log = logging.getLogger(__name__)


class Board:
    """The one holder of a lane's status."""

    def __init__(self, status: LaneStatus, journal: Journal, clock: Clock) -> None:
        self.status = status
        self._journal = journal
        self._clock = clock
        self._news: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()

    async def show(
        self,
        phase: LanePhase,
        reason: str,
        *,
        position: int | None = None,
        length: int | None = None,
        job: Address | None = None,
        stage: Stage | None = None,
        level: str = "info",
    ) -> None:
        """Enter a state; silent when nothing changed."""
        before = self.status
        changed = (before.phase, before.reason) != (phase, reason)
        if phase is LanePhase.QUEUED is before.phase:
            # A long queue moves often, and a place in it is no fact that must survive.
            changed = False
        self.status = replace(
            before,
            phase=phase,
            reason=reason,
            since=self._clock.time() if before.phase is not phase else before.since,
            position=position,
            queue_length=length,
            job=job,
            stage=stage,
        )
        if changed:
            await self._journal.save_lane(self.status)
            await self.note(f"{phase.value}: {reason}", job=job or "", level=level)

    async def note(self, text: str, *, job: str = "", level: str = "info") -> None:
        """One line of what happened, in the log and in the journal."""
        log.log(logging.getLevelNamesMapping()[level.upper()], "%s", text)
        await self._journal.add_event(text, lane=self.status.lane, job=job, level=level)

    def progress(self, line: str) -> None:
        """One line on long work; empty: none."""
        self.status = replace(self.status, progress=line)

    def set_gpus(self, gpus: tuple[Gpu, ...]) -> None:
        """The lane's GPUs as found."""
        self.status = replace(self.status, gpus=gpus)

    def set_trailing(self, jobs: tuple[Address, ...]) -> None:
        """Jobs whose pay is on its way while the lane goes on."""
        self.status = replace(self.status, trailing=jobs)

    def leave_job(self) -> None:
        """The lane works on no job any more."""
        self.status = replace(self.status, job=None, stage=None, progress="")

    def later(self, show: Callable[[], Awaitable[None]]) -> None:
        """Leave something to be shown to `tell`: for callers that cannot wait for the journal."""
        self._news.put_nowait(show)

    async def tell(self) -> None:
        """Show what is left to be shown, in order, until cancelled."""
        while True:
            await (await self._news.get())()
