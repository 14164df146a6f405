"""Where this host's GPU work proofs are made: one at a time over all lanes, within one day's energy.

The journal knows of a proof before it begins, with the most that it can cost, and of its root before the memo is sent.
So whatever ends the agent, no energy is forgotten, and the next life gives up what cannot be gone on with: the rows to
open are in the helper's memory, which ended with this process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn, Protocol

from node.agent.edges import MeterMaker
from node.errors import GpuError, GpunodeError, JournalError
from node.gpu.work.keeper import DAY, Verdict, WorkKeeper, WorkRun
from node.gpu.work.session import WorkChain, WorkMade, WorkOrder, make_proof
from node.journal.journal import Journal
from node.market.work_anchor import work_key
from node.records import Cid, LaneStatus, Signature, WorkReference
from node.records_proofs import KeptProof, ProofsKnown, WorkOutlook
from node.retry import Clock

log = logging.getLogger(__name__)

CPU_WATTS = 60.0
"""More than one processor core uses."""
TIDY_EVERY = 3_600.0
KEPT_DAYS = 7.0
"""For which a document is kept that no receipt names: as long as stores are offered it."""
SCRATCH = "work"
"""Folder for documents while they are made, in the data folder."""

Make = Callable[..., Awaitable[WorkMade]]


class WorkDrawer(Protocol):
    """Where documents are kept. Methods raise a ContentError."""

    async def add_file(self, name: str, data: bytes) -> Cid:
        """Keep the bytes durably."""
        ...

    async def remove(self, cid: Cid) -> None:
        """Forget them."""
        ...


class Looking(Protocol):
    """A lane's shift."""

    async def outlook(self, status: LaneStatus) -> WorkOutlook:
        """What there is and what is due. Raises JournalError."""
        ...


@dataclass(frozen=True, slots=True)
class WorkTerms:
    """What is made here."""

    engine: str | None
    """`cuda`, `cpu`, or None: nothing."""
    why: str
    """Which engine, or why none."""
    interval: float
    """Seconds."""
    seconds: float
    daily_joules: float
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Bidder:
    """Who has a proof made."""

    lane: str
    node: str
    gpu: str | None
    """UUID; None: on the processors."""
    chain: WorkChain

    @property
    def name(self) -> str:
        """Of the GPU, as the proof names it."""
        return self.gpu or "cpu"

    @property
    def turn(self) -> str:
        """Whose turn it is, for the keeper."""
        return f"{self.lane} {self.name}"


@dataclass(slots=True)
class WorkRoom:
    """One per agent."""

    terms: WorkTerms
    journal: Journal
    drawer: WorkDrawer
    stores: Sequence[str]
    """Names of the stores that are to have each document."""
    meters: MeterMaker
    scratch: Path
    clock: Clock
    make: Make = make_proof
    shifts: dict[str, Looking] = field(default_factory=dict)
    """Of each lane, by its name; filled in once they are made."""
    keeper: WorkKeeper = field(init=False)
    running: str | None = field(default=None, init=False)
    """Lane whose proof is under way."""

    async def open(self, watts: float | None) -> None:
        """Go on where an earlier life of the agent was; `watts`: the highest power limit of this host's GPUs. Raises
        JournalError."""
        terms, now = self.terms, self.clock.time()
        limit = CPU_WATTS if terms.engine == "cpu" else watts
        self.keeper = WorkKeeper(
            interval=terms.interval,
            seconds=terms.seconds,
            daily_joules=terms.daily_joules,
            power_limit_watts=limit,
        )
        for lost in await self.journal.work.open():
            # It ended with that life, at the latest now.
            joules = min(lost.joules, self.keeper.most(now - lost.began))
            await self.journal.work.give_up(lost.id, "lost", joules, None if lost.root is None else work_key(lost.root))
            anchored = "" if lost.root is None else f"; the memo of its root {lost.root[:16]}… may be on the chain"
            await self.journal.add_event(
                f"a work proof ended with the agent and is given up: what would open it is gone{anchored}",
                lane=lost.lane,
                level="warning",
            )
        past = await self.journal.work.past(now - DAY)
        runs = [WorkRun(each.began, each.joules, each.done, f"{each.lane} {each.gpu}") for each in past]
        self.keeper = WorkKeeper(
            interval=terms.interval,
            seconds=terms.seconds,
            daily_joules=terms.daily_joules,
            history=runs,
            power_limit_watts=limit,
        )
        await asyncio.to_thread(_emptied, self.scratch)

    def verdict(self, bidder: Bidder, *, queued: bool, idle: bool) -> Verdict:
        """Whether its proof is to begin now."""
        return self.keeper.verdict(self.clock.time(), queued=queued, idle=idle, gpu=bidder.turn)

    async def prove(self, bidder: Bidder) -> KeptProof:
        """Make, anchor, open and keep a proof. Cancelled, it leaves when the helper's process is gone. Raises GpuError,
        ChainError, ContentError or JournalError."""
        assert self.terms.engine is not None
        began = self.clock.time()
        self.keeper.begin(began, bidder.turn)
        self.running = bidder.lane
        path = self.scratch / f"{bidder.lane}.json"
        try:
            run = await self.journal.work.begin(bidder.lane, bidder.name, self.terms.engine, self.keeper.most())
            proof, body = await self._made(bidder, run, path)
            ended = self.keeper.end(self.clock.time(), joules=proof.joules if proof.metered else None)
        except BaseException as error:
            cut = isinstance(error, asyncio.CancelledError)
            now = self.clock.time()
            ended = self.keeper.cut(now) if cut else self.keeper.fail(now)
            await self._give_up("cut" if cut else "failed", ended)
            if isinstance(error, OSError):
                raise GpuError(f"the work proof's document cannot be read: {error.strerror or error}") from None
            raise
        finally:
            self.running = None
            path.unlink(missing_ok=True)
        return await self._kept(run, replace(proof, joules=ended.joules), body)

    async def known(self, lanes: Iterable[LaneStatus]) -> ProofsKnown:
        """All that is known of proofs. Raises JournalError."""
        return ProofsKnown(
            work=tuple([await self.shifts[lane.lane].outlook(lane) for lane in lanes if lane.lane in self.shifts]),
            ladders=await self.journal.work.ladders(),
            joules_today=self.keeper.spent(self.clock.time()),
            daily_joules=self.terms.daily_joules,
        )

    async def tidy(self) -> NoReturn:
        """Remove documents that nobody needs, now and again, until cancelled."""
        while True:
            await self.clock.sleep(TIDY_EVERY)
            try:
                await self.prune()
            except GpunodeError as error:
                log.warning("old work proofs stay for now: %s", error.line)

    async def prune(self) -> int:
        """Remove documents that nobody needs; how many. Raises JournalError or ContentError."""
        found = await self.journal.work.superfluous(self.clock.time() - KEPT_DAYS * DAY)
        for _, cid in found:
            await self.drawer.remove(cid)
        if found:
            await self.journal.work.forget([run for run, _ in found])
        return len(found)

    async def _made(self, bidder: Bidder, run: int, path: Path) -> tuple[KeptProof, bytes]:
        terms = self.terms
        order = WorkOrder(bidder.node, terms.engine or "", bidder.gpu, terms.seconds, terms.size)

        async def on_root(root: str) -> None:
            await self.journal.work.rooted(run, root)

        async with self._metered(bidder.gpu) as joules:
            made = await self.make(order, bidder.chain, path, on_root=on_root)
            used = await joules()
        if used is None and made.done.millijoules is not None:
            used = made.done.millijoules / 1000
        body = await asyncio.to_thread(path.read_bytes)
        cid = await self.drawer.add_file("work", body)
        return self._record(bidder, made, cid, used), body

    def _record(self, bidder: Bidder, made: WorkMade, cid: Cid, joules: float | None) -> KeptProof:
        reference = WorkReference(
            sha256=made.opened.sha256,
            cid=cid,
            root=made.done.root,
            signature=Signature(made.anchored.signature),
            engine=made.done.engine,
            gpu=bidder.name,
            made_ms=round(self.clock.time() * 1000),
        )
        return KeptProof(
            lane=bidder.lane,
            reference=reference,
            size=made.done.size,
            rounds=made.done.rounds,
            document_bytes=made.opened.size,
            milliseconds=made.done.milliseconds,
            joules=joules or 0.0,
            metered=joules is not None,
            seed_slot=made.seed.slot,
            seed_time=made.seed.time,
            anchor_slot=made.anchored.slot,
            anchor_time=made.anchored.time,
        )

    async def _kept(self, run: int, proof: KeptProof, body: bytes) -> KeptProof:
        root = proof.reference.root
        await self.journal.work.done(run, proof, f"{root[:16]}.work.json", self.stores)
        rate = "" if proof.rate is None else f", at least {proof.rate / 1e12:,.3f} TOP/s by the chain's clock"
        await self.journal.add_event(
            f"work proof made: {proof.reference.engine}, size {proof.size}, {proof.rounds} rounds in"
            f" {proof.milliseconds / 1000:.1f} s{rate}; {len(body):,} bytes, {proof.reference.cid}",
            lane=proof.lane,
        )
        return proof

    async def _give_up(self, outcome: str, ended: WorkRun) -> None:
        try:
            # Asked of the journal: a write that was cut short is there or is not.
            for left in await self.journal.work.open():
                if left.began < ended.at:
                    continue  # made, and its end could not be kept: the next life sees to it
                key = None if left.root is None else work_key(left.root)
                await self.journal.work.give_up(left.id, outcome, ended.joules, key)
                if left.root is not None:
                    text = f"a work proof was given up unopened: the memo of its root {left.root[:16]}…"
                    await self.journal.add_event(f"{text} may be on the chain", lane=left.lane)
        except JournalError as error:
            # The row stands with the most it can have cost; the next life closes it.
            log.error("that a work proof has ended cannot be kept: %s", error.line)

    @asynccontextmanager
    async def _metered(self, gpu: str | None) -> AsyncIterator[Callable[[], Awaitable[float | None]]]:
        """Joules of the GPU so far, None where nothing meters them."""
        if gpu is None:
            yield _unmetered
            return
        async with self.meters.meter((gpu,)) as meter:

            async def joules() -> float | None:
                return (await meter.reading()).joules

            yield joules


async def _unmetered() -> float | None:
    return None


def _emptied(folder: Path) -> None:
    """What an earlier life left there is of no use."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in folder.iterdir():
        if file.is_file():
            file.unlink(missing_ok=True)
