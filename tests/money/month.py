"""A month of jobs on the real market programs, with every way in which a job can end, and forks in between.

Time on the chain leaps from job to job; the journal, the outbox and the settling are the agent's own.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from node.agent.reopening import reopening
from node.chain import addresses
from node.chain.fees import FeePolicy
from node.chain.outbox import Outbox
from node.chain.policy import NODE_KINDS, POSTER_KINDS, SpendingPolicy
from node.chain.rpc import Rpc
from node.chain.wallet import Wallet
from node.content.cid import file_cid
from node.errors import RpcUnavailable
from node.journal.journal import Journal
from node.localnet.app import Localnet
from node.market import funds
from node.market.context import MarketContext
from node.market.effects import effect_of_row
from node.market.join import join, read_runs
from node.market.poster import Poster
from node.market.settle import Settler
from node.market.watch import assignment_of
from node.records import (
    Address,
    Assignment,
    EndCause,
    EnergyReading,
    LanePhase,
    LaneStatus,
    Outcome,
    Plan,
    Settlement,
    Stage,
)
from node.retry import Retry, SystemClock
from node.settings import StakeSettings
from tests.market.conftest import FAST

PRICE = 1_000
UNTIL_FINAL = Retry(attempts=200, total=60.0, first=0.02, factor=1.0, longest=0.05)


class ChainClock(SystemClock):
    """Waits in real time, and dates by the chain's."""

    def __init__(self, net: Localnet) -> None:
        self._net = net

    def time(self) -> float:
        return self._net.time()


@dataclass
class Worker:
    """One lane."""

    context: MarketContext
    wallet: Path
    payout: Address | None
    reopened: asyncio.Event

    def accounts(self, net: Localnet) -> list[Address]:
        """Token accounts that its pay may reach."""
        owners = {self.context.node, self.payout or self.context.node}
        return [addresses.token_account(net.cluster, owner) for owner in sorted(owners)]


class Month:
    """The chain, the lanes and the poster."""

    def __init__(self, net: Localnet, rpc: Rpc, journal: Journal, folder: Path, seed: int) -> None:
        self.net, self.rpc, self.journal = net, rpc, journal
        self.random = random.Random(seed)
        self.clock = ChainClock(net)
        self.workers: list[Worker] = []
        self.ends: dict[str, int] = {}
        self._folder = folder
        assert net.market is not None
        self.market = net.market
        wallet = Wallet.create(folder / "poster.json")
        net.endow(wallet.address, sol=100, nos=10_000)
        self.poster = Poster(self._context(wallet, "poster", None, None))

    def _context(
        self, wallet: Wallet, lane: str, payout: Address | None, undone: asyncio.Event | None
    ) -> MarketContext:
        kinds = POSTER_KINDS if undone is None else NODE_KINDS
        policy = SpendingPolicy(self.net.cluster, kinds, payout=payout)
        told = {} if undone is None else {"undone": reopening(self.journal, undone)}
        outbox = Outbox(
            self.rpc,
            wallet.signer(policy),
            self.journal.outbox,
            FeePolicy(),
            self.clock,
            pace=FAST,
            effects=effect_of_row(self.net.cluster),
            **({} if undone is None else {"book": self.journal.outbox.book}),
            **told,
        )
        return MarketContext(
            self.net.cluster, self.rpc, outbox, lane, wallet.address, payout, StakeSettings(), self.clock
        )

    async def hire(self, lane: str, payout: Address | None = None) -> None:
        """One more lane, ready to join."""
        path = self._folder / f"{lane}.json"
        wallet, reopened = Wallet.create(path), asyncio.Event()
        self.net.endow(wallet.address, sol=1)
        context = self._context(wallet, lane, payout, reopened)
        await self.journal.save_lane(
            LaneStatus(lane, wallet.address, self.market, LanePhase.CHECKING, "", self.clock.time())
        )
        await funds.prepare(context, await context.ledger.market(self.market))
        self.workers.append(Worker(context, path, payout, reopened))

    async def job(self) -> None:
        """One job from its posting to its pay."""
        worker = self.random.choice(self.workers)
        context = worker.context
        timeout = self.random.randrange(60, 7200)
        post = partial(self.poster.post, definition=file_cid(b"a definition"), seconds=timeout)
        await self.journal.set_queued(context.lane, self.clock.time())
        if self.random.random() < 0.5:
            await join(context, self.market)
            await self._maybe_fork(worker, "work")
            self.net.leaps.seconds(self.random.randrange(1, 4000))
            posted = await post(await context.ledger.market(self.market))
        else:
            posted = await post(await context.ledger.market(self.market))
            await join(context, self.market)
        given = await self._given(context, posted.job)
        run = given.run.address
        await self.journal.begin_job(given)
        await self.journal.finish_stage(run, Stage.ADMIT, Plan(posted.job, "net", ()), Stage.RUN)
        end = self.random.choice(("finish", "finish", "finish", "finish", "late", "ended", "quit"))
        self.ends[end] = self.ends.get(end, 0) + 1
        worked = timeout + self.random.randrange(60, 600) if end == "late" else self.random.randrange(1, timeout)
        self.net.leaps.seconds(worked)
        await self.journal.finish_stage(run, Stage.RUN, self._outcome(given, worked), Stage.REPORT)
        if end == "ended":
            await self.poster.stop(posted.job)
        await self._settle(context, given, end)
        if end != "ended" and self.random.random() < 0.15:
            await self._fork_settling(worker, given, end)
        self.net.leaps.seconds(60)
        await self.tidy(worker)

    async def _given(self, context: MarketContext, job: Address) -> Assignment:
        async def look() -> Assignment:
            runs = await read_runs(context, 0)
            mine = [run for run in runs.value if run.job == job]
            if not mine:
                raise RpcUnavailable("not yet")
            return await assignment_of(context, mine[0], runs.slot)

        return await UNTIL_FINAL.call(look, on=(RpcUnavailable,))

    def _outcome(self, given: Assignment, worked: int) -> Outcome:
        now = round(self.clock.time() * 1000)
        metered = EnergyReading(worked * 250.5, "counter") if self.random.random() < 0.8 else None
        return Outcome(given.job.address, EndCause.COMPLETED, now - worked * 1000, now, (), energy=metered)

    async def _settle(self, context: MarketContext, given: Assignment, end: str) -> Settlement:
        settler, result = Settler(context), file_cid(given.run.address.encode())

        async def settle() -> Settlement:
            if end == "quit":
                return await settler.quit(given, "a test")
            return await settler.settle(given, result, f"gpunode/1 r={result}")

        # As the agent does: what is not final yet is looked at again.
        settled = await UNTIL_FINAL.call(settle, on=(RpcUnavailable,))
        await self.journal.settle(given.run.address, settled)
        return settled

    async def _maybe_fork(self, worker: Worker, kind: str) -> None:
        if self.random.random() < 0.15:
            rows = [row for row in await self.journal.outbox.pending(worker.context.lane) if row.kind == kind]
            if rows and rows[0].slot is not None:
                self._fork(rows[0].slot)
                await join(worker.context, self.market)

    def _fork(self, slot: int) -> None:
        self.ends["forks"] = self.ends.get("forks", 0) + 1
        self.net.faults.set({"kind": "fork", "slot": slot - 1})

    async def _fork_settling(self, worker: Worker, given: Assignment, end: str) -> None:
        """The chain takes the settlement back; it is brought about again, in another block."""
        (summary,) = await self.journal.job(given.run.address)
        assert summary.settlement is not None
        if summary.settlement.slot is None:
            return
        self._fork(summary.settlement.slot)
        await self.tidy(worker)
        if worker.reopened.is_set():
            worker.reopened.clear()
            await self._settle(worker.context, given, end)

    async def tidy(self, worker: Worker) -> None:
        """As the agent's own task does, until everything of a lane is final."""
        async with asyncio.timeout(60):
            while await self.journal.outbox.pending(worker.context.lane):
                await worker.context.outbox.tidy(worker.context.lane)
                await asyncio.sleep(0.01)
                self.net.advance(8)
