"""The receipt's times against those of blocks, which the cluster agrees on to a second or so."""

from __future__ import annotations

from node.proof.checks import Ledger
from node.proof.evidence import ChainFacts
from node.proof.receipt import Receipt
from node.proof.settled import Settled
from node.records import Job

SECONDS = 10.0
"""By which times may differ: block times are whole seconds, voted on, and a host's clock may be stepped."""
SHARE = 0.05
"""Of a span's length, beside that."""


def check_times(ledger: Ledger, receipt: Receipt, facts: ChainFacts | None, job: Job | None) -> None:
    """Whether the time that the receipt says the work took fits between its blocks, and these into the job's."""
    if facts is None:
        ledger.skipped("times", "the chain was not asked")
        return
    start, end = _time(facts, receipt.start.slot), None if receipt.end is None else _time(facts, receipt.end.slot)
    if start is None or end is None:
        ledger.skipped("times", "the endpoint does not know the times of both blocks")
        return
    took = (receipt.ended_ms - receipt.started_ms) / 1000
    wrong = []
    if not 0 <= took <= (end - start) * (1 + SHARE) + SECONDS:
        wrong.append(f"the work is said to have taken {took:.1f} s, between blocks that are {end - start} s apart")
    if job is not None and start < job.time_start - SECONDS:
        wrong.append(f"the work's first block is {job.time_start - start} s older than the run on the chain")
    last = _settled_time(facts.settled, job)
    if last is not None and end > last + SECONDS:
        wrong.append(f"the work's last block is {end - last} s younger than the job's end on the chain")
    told = f"{took:.1f} s of work, between blocks {end - start} s apart"
    told += "" if job is None else f"; the job lasted {job.time_end - job.time_start} s on the chain"
    ledger.consistent("times", not wrong, "; ".join(wrong) or told)


def _time(facts: ChainFacts, slot: int) -> int | None:
    block = facts.blocks.get(slot)
    return None if block is None else block.time


def _settled_time(settled: Settled | None, job: Job | None) -> int | None:
    if settled is not None and settled.transaction.time is not None:
        return settled.transaction.time
    return job.time_end if job is not None and settled is not None and settled.finish else None
