"""Jobs of one key, one after the other, each with its receipt, settled on a chain in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from node.chain import memo as chain_memo
from node.chain.clusters import DEVNET
from node.chain.replies import BlockSummary
from node.content.cid import file_cid
from node.proof.checks import Label, Verification
from node.proof.memo import receipt_memo
from node.proof.verify import verify_job
from node.records import Address, Cid, Signature

from .test_receipt import ASSIGNMENT, JOB, NODE, OUTCOME, RUN, address, receipt
from .world import TIME, World, finish, wired

FIRST = "the first receipt of this journal"


@dataclass(frozen=True, slots=True)
class Told:
    """One job of the series."""

    job: Address
    receipt: Cid
    settle: Signature
    slot: int
    """Of its settlement."""


@dataclass
class Series:
    """A key's jobs on a chain, and a transaction of it from before."""

    world: World = field(default_factory=World)
    jobs: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world.land(wired(10, chain_memo.memo(NODE, "hello")), NODE)

    def add(
        self,
        *,
        after: Told | None = None,
        slot: int | None = None,
        settled: int | None = None,
        anchored: bool = True,
        text: str | None = None,
        **changes: Any,
    ) -> Told:
        """A job whose work began in `slot` and that was settled 20 slots later (or in `settled`).

        `after`: the one that its receipt names, None: it names none. `anchored`: whether its settlement is on the
        chain. `text`: the memo, where it is another than the right one.
        """
        number = len(self.jobs)
        slot = 1000 + 100 * number if slot is None else slot
        at = slot + 20 if settled is None else settled
        job, run = address(100 + number), address(150 + number)
        result = self.world.keep(b'{"opStates":[],"startTime":%d,"status":"success"}' % number)
        given = replace(ASSIGNMENT, job=replace(JOB, address=job), run=replace(RUN, address=run), slot=slot)
        arguments: dict[str, Any] = {
            "assignment": given,
            "outcome": replace(OUTCOME, job=job, end_slot=slot + 10),
            "result": result,
            "previous": None if after is None else (after.receipt, after.settle),
            "previous_reason": FIRST if after is None else "",
        }
        cid = self.world.keep(receipt(**{**arguments, **changes}))
        memo = receipt_memo(cid) if text is None else text
        settle = wired(at, finish(result, job, run), chain_memo.memo(NODE, memo))
        if anchored:
            self.world.land(settle, NODE, job, run)
        for moment, blockhash in ((slot, given.blockhash), (slot + 10, OUTCOME.end_blockhash or "")):
            self.world.blocks[moment] = BlockSummary(moment, blockhash, moment, TIME + moment)
        told = Told(job, cid, settle.signature, at)
        self.jobs.append(told)
        return told

    def line(self, count: int) -> list[Told]:
        """So many jobs, each of whose receipts names the one before."""
        for _ in range(count):
            self.add(after=self.jobs[-1] if self.jobs else None)
        return self.jobs

    def forget(self, told: Told) -> None:
        """Take a settlement off the chain, as a fork does."""
        del self.world.transactions[told.settle]
        self.world.history = {
            key: [entry for entry in entries if entry.signature != told.settle]
            for key, entries in self.world.history.items()
        }

    async def verify(self, told: Told, length: int = 10) -> Verification:
        """What `gpunode verify` finds."""
        return await verify_job(told.job, cluster=DEVNET, chain=self.world, content=self.world, chain_length=length)


def lines(verification: Verification) -> dict[str, tuple[Label, bool | None]]:
    """Label and outcome of each line."""
    return {check.name: (check.label, check.ok) for check in verification.checks}


def detail(verification: Verification, name: str) -> str:
    """What a line says."""
    return next(check.detail for check in verification.checks if check.name == name)


def failed(verification: Verification) -> list[str]:
    """Names of the lines that failed."""
    return [check.name for check in verification.checks if check.ok is False]


NOBODY = Cid(file_cid(b"nobody keeps this"))
