"""Waiting for work, and watching over a job while it runs.

A pushed notification only wakes the watcher; what is true is read from accounts. The market is read every 5 seconds
while the socket is proven alive and every second while it is suspect, so a silent socket costs seconds, not minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from node.chain import accounts
from node.chain.subscription import Changed, Notice, Subscriptions
from node.errors import AccountMalformed, RpcUnavailable
from node.market.context import MarketContext
from node.market.effects import is_queued, run_filters
from node.market.join import runs_of
from node.records import Address, Assignment, Job, JobState, Run
from node.retry import Clock, sleep_or

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
        self.pushed: Run | None = None
        """A run of this node that a notification showed, not yet taken up."""

    async def pump(self, notices: AsyncIterator[Notice], context: MarketContext) -> None:
        """Ring for each notice, for as long as there are any."""
        async for notice in notices:
            if isinstance(notice, Changed):
                self._remember(notice, context)
            self._rung.set()

    def _remember(self, notice: Changed, context: MarketContext) -> None:
        try:
            run = accounts.decode_run(notice.account, context.cluster)
        except AccountMalformed:
            # A closed account is pushed empty by some endpoints; the reads that follow tell what it means.
            return
        if run.node == context.node:
            self.pushed = run

    async def wait(self) -> None:
        """Return at the next notice, or after 5 seconds (1 while the socket is suspect)."""
        began = self._clock.monotonic()
        # In naps of a second: whether the socket is suspect is asked again after each.
        while not await sleep_or(self._clock, POLL_SUSPECT, self._rung):
            if self._clock.monotonic() - began >= (POLL_SUSPECT if self._subscriptions.suspect else POLL_ALIVE):
                return
        self._rung.clear()


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
        while True:
            try:
                event: LaneEvent | None = await self._look(bell)
            except RpcUnavailable:
                # Unknown is not failed: the place in the queue is what it was until an endpoint says otherwise.
                event = last
            if event is not None and event != last:
                last = event
                yield event
            await bell.wait()

    async def _look(self, bell: _Bell) -> LaneEvent:
        pushed, bell.pushed = bell.pushed, None
        if pushed is not None and (run := await self.context.ledger.run(pushed.address)) is not None:
            return Assigned(await assignment_of(self.context, run))
        market = await self.context.ledger.market(self.market)
        if is_queued(market, self.context.node):
            return Queued(market.queue.index(self.context.node) + 1, len(market.queue))
        runs = await runs_of(self.context)
        return Assigned(await assignment_of(self.context, runs[0])) if runs else NotQueued()


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
                job, run = await self._look()
            except RpcUnavailable:
                await bell.wait()
                continue
            if run is None:
                yield _ending(job, self.context.node)
                return
            if job is not None and job.timeout != timeout:
                timeout = job.timeout
                yield JobExtended(timeout)
            await bell.wait()

    async def _look(self) -> tuple[Job | None, Run | None]:
        """Job and run in one view, so that one cannot be older than the other."""
        context = self.context
        job, run = await context.rpc.get_accounts(
            [self.assignment.job.address, self.assignment.run.address], min_context_slot=self.assignment.slot
        )
        owner = context.cluster.jobs
        return (
            None if job is None or job.owner != owner else accounts.decode_job(job, context.cluster),
            None if run is None or run.owner != owner else accounts.decode_run(run, context.cluster),
        )


async def assignment_of(context: MarketContext, run: Run) -> Assignment:
    """The record of a job given to this lane, with the slot and blockhash at which it was seen."""
    head = await context.rpc.get_latest_blockhash()
    job = await context.ledger.job(run.job)
    if job is None:
        raise AccountMalformed(
            f"run {run.address} names job {run.job}, which does not exist",
            hint="the run can be given back with `gpunode stop --quit`",
        )
    return Assignment(
        lane=context.lane,
        run=run,
        job=job,
        slot=head.slot,
        blockhash=head.blockhash,
        seen_at=context.clock.time(),
    )


def _ending(job: Job | None, node: Address) -> JobEnded | RunGone:
    if job is not None and job.state is JobState.DONE and job.node == node:
        return JobEnded(job)
    return RunGone(job)
