"""Waiting for work, and watching over a job while it runs.

A pushed notification only wakes the watcher; what is true is read from accounts. The market is read every 5 seconds
while the socket is proven alive and every second while it is suspect, so a silent socket costs seconds, not minutes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

from node.chain import accounts
from node.chain.replies import Seen
from node.chain.subscription import Changed, Notice, Subscriptions
from node.errors import AccountMalformed, ChainError, RpcUnavailable
from node.market.context import MarketContext
from node.market.effects import is_queued, run_filters
from node.market.join import read_runs
from node.market.ledger import Ledger
from node.records import Address, Assignment, Job, JobState, Run
from node.retry import Clock, sleep_or

log = logging.getLogger(__name__)

POLL_ALIVE = 5.0
POLL_SUSPECT = 1.0


@dataclass(frozen=True, slots=True)
class Assigned:
    """The chain gave the lane a job."""

    assignment: Assignment


@dataclass(frozen=True, slots=True)
class Queued:
    """The lane waits; `position` from 1."""

    position: int
    length: int


@dataclass(frozen=True, slots=True)
class NotQueued:
    """The lane is neither in the queue nor has it a run."""


LaneEvent = Assigned | Queued | NotQueued


@dataclass(frozen=True, slots=True)
class JobExtended:
    """The poster extended the job; `timeout` is the new total in seconds."""

    timeout: int


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The poster ended the job."""

    job: Job


@dataclass(frozen=True, slots=True)
class RunGone:
    """The run is closed, and not by the poster's `end`; `job` is None when its account is closed too."""

    job: Job | None


JobEvent = JobExtended | JobEnded | RunGone


class _Bell:
    """Rings when something was pushed or when it is time to look anyway."""

    def __init__(self, subscriptions: Subscriptions, clock: Clock) -> None:
        self._subscriptions = subscriptions
        self._clock = clock
        self._rung = asyncio.Event()
        self._deaf = False
        self.is_rung = True
        """Whether a notification asked for the next look, or it is only time for one."""
        self.pushed: Seen[Run] | None = None
        """A run of this node that a notification showed, not yet taken up."""

    async def pump(self, notices: AsyncIterator[Notice], context: MarketContext) -> None:
        """Ring for each notice, for as long as there are any."""
        try:
            async for notice in notices:
                if isinstance(notice, Changed):
                    self._remember(notice, context)
                self._rung.set()
        except ChainError as error:
            # The endpoint pushes nothing of this kind: reading often is all that is left.
            log.warning("no notifications: %s (%s)", error.message, error.hint)
            self._deaf = True

    def _remember(self, notice: Changed, context: MarketContext) -> None:
        try:
            run = accounts.decode_run(notice.account, context.cluster)
        except AccountMalformed:
            # A closed account is pushed empty by some endpoints; the reads that follow tell what it means.
            return
        if run.node == context.node:
            self.pushed = Seen(run, notice.account.slot)

    async def wait(self) -> None:
        """Return at the next notice, or after 5 seconds (1 while the socket is suspect)."""
        began = self._clock.monotonic()
        # In naps of a second: whether the socket is suspect is asked again after each.
        while not await sleep_or(self._clock, POLL_SUSPECT, self._rung):
            suspect = self._deaf or self._subscriptions.suspect
            if self._clock.monotonic() - began >= (POLL_SUSPECT if suspect else POLL_ALIVE):
                self.is_rung = False
                return
        self._rung.clear()
        self.is_rung = True


@asynccontextmanager
async def _listening(
    context: MarketContext, subscriptions: Subscriptions, topic: AbstractAsyncContextManager[AsyncIterator[Notice]]
) -> AsyncIterator[_Bell]:
    bell = _Bell(subscriptions, context.clock)
    async with topic as notices:
        pump = asyncio.create_task(bell.pump(notices, context))
        try:
            yield bell
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class LaneWatch:
    """Follows a lane's place in its market and the runs of its key."""

    context: MarketContext
    market: Address
    subscriptions: Subscriptions

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[LaneEvent]]:
        """What is true now comes first, then each change. Reads that fail for want of an endpoint are tried again."""
        topic = self.subscriptions.program(self.context.cluster.jobs, run_filters(self.context.node))
        async with _listening(self.context, self.subscriptions, topic) as bell:
            yield self._follow(bell)

    async def _follow(self, bell: _Bell) -> AsyncIterator[LaneEvent]:
        last: LaneEvent | None = None
        passed: set[Address] = set()
        while True:
            try:
                event: LaneEvent | None = await self._look(bell, passed)
            except RpcUnavailable:
                # Unknown is not failed: the place in the queue is what it was until an endpoint says otherwise.
                event = last
            if event is not None and event != last:
                last = event
                yield event
                if isinstance(event, Assigned):
                    # Who asks for more did not take it up; it must not hide the next one.
                    passed.add(event.assignment.run.address)
            await bell.wait()

    async def _look(self, bell: _Bell, passed: set[Address]) -> LaneEvent:
        context = self.context
        if (pushed := bell.pushed) is not None and pushed.value.address not in passed:
            run = await context.ledger.run(pushed.value.address, min_context_slot=pushed.slot)
            if run is not None:
                return Assigned(await assignment_of(context, run, pushed.slot))
        if bell.pushed is pushed:
            bell.pushed = None
        ledger = context.ledger if bell.is_rung else context.patient_ledger
        seen = await ledger.seen_market(self.market, min_context_slot=context.own_slot)
        if is_queued(seen.value, context.node):
            return Queued(seen.value.queue.index(context.node) + 1, len(seen.value.queue))
        # From no earlier view than the queue: see `place`.
        runs = await read_runs(context, seen.slot)
        fresh = [run for run in runs.value if run.address not in passed]
        return Assigned(await assignment_of(context, fresh[0], runs.slot)) if fresh else NotQueued()


@dataclass(frozen=True, slots=True)
class JobWatch:
    """Follows one job: extended, ended by its poster, or taken away."""

    context: MarketContext
    assignment: Assignment
    subscriptions: Subscriptions

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[JobEvent]]:
        """What changed since the assignment comes first, then each change; ends after JobEnded or RunGone."""
        topic = self.subscriptions.account(self.assignment.job.address)
        async with _listening(self.context, self.subscriptions, topic) as bell:
            yield self._follow(bell)

    async def _follow(self, bell: _Bell) -> AsyncIterator[JobEvent]:
        timeout = self.assignment.job.timeout
        while True:
            try:
                job, run = await self._look(self.context.ledger if bell.is_rung else self.context.patient_ledger)
                ending = None if run is not None else await self._ending(job)
            except RpcUnavailable:
                await bell.wait()
                continue
            if ending is not None:
                yield ending
                return
            if job is not None and job.timeout != timeout:
                timeout = job.timeout
                yield JobExtended(timeout)
            await bell.wait()

    async def _look(self, ledger: Ledger) -> tuple[Job | None, Run | None]:
        assignment = self.assignment
        return await ledger.job_and_run(
            assignment.job.address, assignment.run.address, min_context_slot=assignment.slot
        )

    async def _ending(self, job: Job | None) -> JobEnded | RunGone:
        """What a run that is gone means. Raises RpcUnavailable while that may change."""
        if job is not None and job.state is JobState.DONE and job.node == self.context.node:
            return JobEnded(job)
        # Paid work is thrown away for this: one endpoint's word at one moment is not enough.
        final = replace(self.context, rpc=self.context.rpc.pinned("finalized"))
        job, run = await self._look(final.ledger)
        if run is not None:
            raise RpcUnavailable("the run is gone, but not yet for good", hint="it is looked at again")
        return RunGone(job)


async def assignment_of(context: MarketContext, run: Run, slot: int) -> Assignment:
    """The record of a job given to this lane, with a slot and blockhash at which it was there; `slot` is that of the
    view that showed the run."""
    # No older view: whoever reads from the assignment's slot on must find run and job.
    head = await context.rpc.get_latest_blockhash(min_context_slot=slot)
    job = await context.ledger.job(run.job, min_context_slot=slot)
    if job is None:
        raise AccountMalformed(
            f"run {run.address} names job {run.job}, which does not exist",
            hint="only the market's administrator can close such a run",
        )
    return Assignment(
        lane=context.lane,
        run=run,
        job=job,
        slot=max(head.slot, slot),
        blockhash=head.blockhash,
        seen_at=context.clock.time(),
    )
