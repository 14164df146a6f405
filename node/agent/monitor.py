"""Watches one job from assignment to the end of its work: the chain, the deadline, the operator.

Whatever ends the work first asks the stop signal, which the run stage obeys.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from node.agent.edges import LaneMarket
from node.container.stop import StopSignal
from node.errors import ChainError
from node.journal.journal import Journal
from node.market.watch import JobEvent, JobExtended
from node.records import Assignment, EndCause, JobState
from node.retry import Clock, Retry, sleep_or

log = logging.getLogger(__name__)

WATCH_RETRY = Retry(attempts=1, total=0.0, first=0.5, longest=15.0)  # only its growing waits: watching never ends
LONGEST_SLEEP = 3600.0
"""A deadline may be years away; waking hourly also notices a clock that was set."""


class JobMonitor:
    """The signals of one job. `stop` is asked at most once, by what ended the work first."""

    def __init__(self, assignment: Assignment, market: LaneMarket, journal: Journal, clock: Clock) -> None:
        self.assignment = assignment
        self.stop = StopSignal()
        self.timeout = assignment.job.timeout
        """Seconds, as last extended."""
        self.quit_reason = ""
        """Why the operator or this host gives the job up; empty: it does not."""
        self._market = market
        self._journal = journal
        self._clock = clock
        self._extended = asyncio.Event()

    @property
    def deadline(self) -> float:
        """Unix seconds at which the paid time is over."""
        return float(self.assignment.run.time + self.timeout)

    @property
    def remaining(self) -> float:
        """Seconds of paid time left; not below 0."""
        return max(self.deadline - self._clock.time(), 0.0)

    def quit(self, reason: str) -> None:
        """Give the job up: the containers stop and the job goes back unpaid."""
        self.quit_reason = self.quit_reason or reason
        self.stop.request(EndCause.HOST)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch while the block runs."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._watch_chain()), group.create_task(self._watch_deadline())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def _watch_chain(self) -> None:
        failures = 0
        while True:
            try:
                async with self._market.watch_job(self.assignment) as events:
                    async for event in events:
                        failures = 0
                        if await self._take(event):
                            return
            except ChainError as error:
                # Unknown is not failed: the work goes on, the deadline is known, and watching is tried again.
                log.warning("cannot watch job %s: %s", self.assignment.job.address, error)
            await self._clock.sleep(WATCH_RETRY.wait(min(failures, 8)))
            failures += 1

    async def _take(self, event: JobEvent) -> bool:
        """Act on an event; True when nothing more can come."""
        if isinstance(event, JobExtended):
            if event.timeout > self.timeout:
                self.timeout = event.timeout
                await self._journal.set_timeout(self.assignment.run.address, event.timeout)
                self._extended.set()
            return False
        job = event.job
        ended = job is not None and job.state is JobState.DONE
        self.stop.request(EndCause.STOPPED if ended else EndCause.HOST)
        return True

    async def _watch_deadline(self) -> None:
        while self.remaining > 0:
            self._extended.clear()
            await sleep_or(self._clock, min(self.remaining, LONGEST_SLEEP), self._extended)
        self.stop.request(EndCause.EXPIRED)
