"""Watches one job from assignment to the end of its work: the chain, the deadline, the operator.

Whatever ends the work first asks the stop signal, which the run stage obeys.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from node.agent.edges import ChainTime, LaneMarket
from node.container.stop import StopSignal
from node.errors import ChainError, JournalError
from node.journal.journal import Journal
from node.market.watch import JobEvent, JobExtended
from node.records import Assignment, EndCause, JobState
from node.retry import Clock, Retry, sleep_or

log = logging.getLogger(__name__)

WATCH_RETRY = Retry(attempts=1, total=0.0, first=0.5, longest=15.0)  # only its growing waits: watching never ends
LONGEST_SLEEP = 3600.0
"""A deadline may be years away."""
LAST_LOOK = 30.0
"""Seconds for which the chain is asked for a last extension when the time seems to be over and no endpoint answers."""


class JobMonitor:
    """The signals of one job. `stop` is asked at most once, by what ended the work first."""

    def __init__(
        self, assignment: Assignment, market: LaneMarket, journal: Journal, clock: Clock, chain: ChainTime
    ) -> None:
        self.assignment = assignment
        self.stop = StopSignal()
        self.timeout = assignment.job.timeout
        """Seconds, as last extended."""
        self.quit_reason = ""
        """Why the operator or this host gives the job up; empty: it does not."""
        self._market = market
        self._journal = journal
        self._clock = clock
        self._chain = chain
        self._moved = asyncio.Event()
        self._stopped_at = float("inf")
        self._quitting = asyncio.Event()

    @property
    def deadline(self) -> float:
        """Unix seconds by the chain's clock at which the paid time is over."""
        return float(self.assignment.run.time + self.timeout)

    @property
    def remaining(self) -> float:
        """Seconds of paid time left; not below 0."""
        # No job was given before it was given: a host's clock that is behind cannot make its time longer.
        return max(self.deadline - max(self._chain.time(), self.assignment.run.time), 0.0)

    def quit(self, reason: str) -> None:
        """Give the job up: the containers stop, once that is durable, and the job goes back unpaid."""
        self.quit_reason = self.quit_reason or reason
        self._quitting.set()

    def expire(self) -> None:
        """End the job as if its paid time were over, because who pays for it says so."""
        self._end(EndCause.EXPIRED)

    def quit_before(self, reason: str) -> None:
        """An earlier life of the agent was giving the job up: what has ended since was stopped by us."""
        self.quit_reason = self.quit_reason or reason
        self._stopped_at = 0.0
        self.stop.request(EndCause.HOST)

    def ended_before_stop(self, ended_ms: int) -> bool:
        """Whether something that ended then (unix milliseconds) had ended by itself before anybody asked it to."""
        return ended_ms < self._stopped_at * 1000

    async def is_over(self) -> bool:
        """Whether the paid time is over, the poster's newest extension included."""
        if self.remaining > 0:
            return False
        # A push may be late, and the job extended while the agent was down: the chain is asked before paid work is
        # thrown away, but no stretch of silence is worked for nothing.
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(self._ask_chain())
            waiting = group.create_task(self._clock.sleep(LAST_LOOK))
            await asyncio.wait((asking, waiting), return_when=asyncio.FIRST_COMPLETED)
            asking.cancel()
            waiting.cancel()
        return self.remaining <= 0

    async def _ask_chain(self) -> None:
        failures = 0
        while True:
            try:
                # Its clock too: where it was not read yet, the host's may be wrong by hours.
                await self._chain.sync()
                timeout = await self._market.timeout_of(self.assignment)
                if timeout is not None:
                    await self._extend(timeout)
                return
            except ChainError as error:
                log.warning("the paid time of job %s is over by what is known: %s", self.assignment.job.address, error)
            await self._clock.sleep(WATCH_RETRY.wait(min(failures, 8)))
            failures += 1

    def _end(self, cause: EndCause) -> None:
        if self.stop.cause is None:
            self._stopped_at = min(self._stopped_at, self._clock.time())
        self.stop.request(cause)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch while the block runs."""
        async with asyncio.TaskGroup() as group:
            watches = (self._watch_chain, self._watch_deadline, self._watch_clock, self._watch_quit)
            tasks = [group.create_task(watch()) for watch in watches]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def _watch_quit(self) -> None:
        await self._quitting.wait()
        asked = self._clock.time()
        try:
            # Otherwise a container that we stop before the agent dies would be taken for one that failed by itself.
            await self._journal.set_quit(self.assignment.run.address, self.quit_reason)
        except JournalError as error:
            log.warning("job %s is given up, and the journal cannot keep that: %s", self.assignment.job.address, error)
        self._stopped_at = min(self._stopped_at, asked)
        self._end(EndCause.HOST)

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
            await self._extend(event.timeout)
            return False
        job = event.job
        ended = job is not None and job.state is JobState.DONE
        self._end(EndCause.STOPPED if ended else EndCause.HOST)
        return True

    async def _extend(self, timeout: int) -> None:
        if timeout > self.timeout:
            self.timeout = timeout
            await self._journal.set_timeout(self.assignment.run.address, timeout)
            self._moved.set()

    async def _watch_deadline(self) -> None:
        while not await self.is_over():
            self._moved.clear()
            await sleep_or(self._clock, min(self.remaining, LONGEST_SLEEP), self._moved)
        self._end(EndCause.EXPIRED)

    async def _watch_clock(self) -> None:
        while True:
            await self._chain.corrected()
            self._moved.set()
