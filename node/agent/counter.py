"""A lane's dealings with its market, over the market room."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from node.agent.edges import Standing
from node.agent.heartbeat import keep_quiet
from node.agent.registrar import Registrar
from node.chain.line import pressing
from node.chain.subscription import Subscriptions
from node.market import funds, join
from node.market.context import MarketContext
from node.market.settle import Settler
from node.market.watch import JobEvent, JobWatch, LaneEvent, LaneWatch, assignment_of
from node.records import Address, Assignment, Cid, Gpu, Run, Settlement, Signature

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MarketCounter:
    """The LaneMarket of the running agent."""

    context: MarketContext
    market: Address
    subscriptions: Subscriptions
    registrar: Registrar
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a settled job was opened again."""

    @property
    def node(self) -> Address:
        """The lane's key."""
        return self.context.node

    async def prepare(self) -> None:
        """See that the lane can join; make what may be made."""
        await funds.prepare(self.context, await self.context.ledger.market(self.market))

    async def register(self, gpus: tuple[Gpu, ...]) -> None:
        """Bring the NodeAccount and the host card up to date."""
        await self.registrar.ensure(self.context, gpus)

    async def resume(self) -> None:
        """See the transactions of an earlier life through."""
        for ended in await self.context.outbox.resume(self.context.lane):
            if ended.failure is not None:
                # Decided as well: whoever wanted it looks at the chain before it does anything else.
                log.warning("the earlier transaction %s came to nothing: %s", ended.row.key, ended.failure.message)

    async def tend(self) -> None:
        """See landed transactions through to finality."""
        # From here on its task goes round whatever the lane does: no sign that the lane is well.
        keep_quiet()
        await self.context.outbox.tend(self.context.lane)

    async def reopened(self) -> None:
        """Return when a settled job was opened again since the last time."""
        await self.news.wait()
        self.news.clear()

    async def is_gone(self, assignment: Assignment) -> bool:
        """Whether the chain has finalized that the run is over."""
        return await Settler(self.context).is_gone(assignment)

    async def standing(self) -> Standing:
        """Where the lane stands now."""
        now = await join.place(self.context, self.market)
        return Standing(now.runs, now.position, await join.is_leaving(self.context))

    async def assignment(self, run: Run) -> Assignment:
        """The record of a run of our key."""
        return await assignment_of(self.context, run, await self.context.rpc.get_slot())

    async def join(self) -> None:
        """Send `work`."""
        await join.join(self.context, self.market)

    async def leave(self) -> Signature | None:
        """Leave the queue."""
        return await join.leave(self.context, self.market)

    def watch(self) -> AbstractAsyncContextManager[AsyncIterator[LaneEvent]]:
        """Follow the lane's place and runs."""
        return LaneWatch(self.context, self.market, self.subscriptions).events()

    def watch_job(self, assignment: Assignment) -> AbstractAsyncContextManager[AsyncIterator[JobEvent]]:
        """Follow one job."""
        return JobWatch(self.context, assignment, self.subscriptions).events()

    async def timeout_of(self, assignment: Assignment) -> int | None:
        """Seconds that the job is paid for in all."""
        job = await self.context.ledger.job(assignment.job.address, min_context_slot=assignment.slot)
        return None if job is None else job.timeout

    async def settle(self, assignment: Assignment, result: Cid, memo: str) -> Settlement:
        """Get a result on-chain."""
        with pressing():
            return await Settler(self.context).settle(assignment, result, memo)

    async def quit(self, assignment: Assignment, reason: str) -> Settlement:
        """Give a job back."""
        with pressing():
            return await Settler(self.context).quit(assignment, reason)

    async def head(self, assignment: Assignment) -> tuple[int, str]:
        """A recent slot and its blockhash."""
        # An endpoint that lags could otherwise end a job before it began.
        latest = await self.context.rpc.get_latest_blockhash(min_context_slot=assignment.slot)
        return latest.slot, latest.blockhash
