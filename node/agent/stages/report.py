"""report: result and receipt, made, kept and uploaded.

Both files are kept on this host and their CIDs are in the journal before the first upload, so that a restart uploads
the very same bytes: the CID that goes on-chain is decided once.

While the run is there, the job waits until one store has each document: whoever pays for a result must be able to read
it. What other stores have not taken by then is the courier's (node/agent/courier.py). Once the run is gone (its poster
ended the job, or it was taken away) nothing is paid for the result any more, and the outcome is recorded without
waiting for a store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from node.agent.courier import HEAD_START
from node.agent.edges import Drawer, JobDesk, LaneMarket, Publisher, ReceiptFacts
from node.agent.receipt_chain import NewestReceipt, link_of
from node.agent.waiting import patiently
from node.errors import ChainError, ContentError, GpunodeError
from node.job.travel import without_content
from node.journal.journal import Journal
from node.proof.commitments import Reveal
from node.records import Assignment, Cid, Outcome, Plan, Report
from node.retry import Clock, Retry

UPLOAD_RETRY = Retry(attempts=1, total=0.0, first=2.0, longest=60.0)  # only its waits: uploads are never given up
HEAD_RETRY = Retry(attempts=1, total=0.0, first=0.5, longest=15.0)  # likewise: settling needs the chain anyway
KEPT_LIMIT = 1 << 30
"""Bytes read back of a file that this host made itself."""


@dataclass(frozen=True, slots=True)
class ReportServices:
    """What the stage needs."""

    desk: JobDesk
    drawer: Drawer
    publisher: Publisher
    journal: Journal
    clock: Clock
    on_trouble: Callable[[GpunodeError], None]
    is_gone: Callable[[], Awaitable[bool]]
    """Whether the run is over for good; raises ChainError where that cannot be told."""
    reveal: Callable[[Outcome], Awaitable[Reveal]]
    """What the commitments of a confidential job's receipt are made of, durable."""
    newest_receipt: NewestReceipt
    """Asked of the chain where the journal knows no earlier receipt."""


@dataclass(frozen=True, slots=True)
class _Papers:
    """Both documents, as they are uploaded."""

    result_cid: Cid
    result: bytes
    receipt_cid: Cid
    receipt: bytes


async def seal(
    assignment: Assignment,
    outcome: Outcome,
    market: LaneMarket,
    clock: Clock,
    on_trouble: Callable[[GpunodeError], None],
) -> Outcome:
    """The outcome with a slot and blockhash that show it was not written before: the receipt's end."""
    if outcome.end_blockhash is not None:
        return outcome
    slot, blockhash = await patiently(
        lambda: market.head(assignment), on=(ChainError,), waits=HEAD_RETRY, clock=clock, on_trouble=on_trouble
    )
    return replace(outcome, end_slot=slot, end_blockhash=blockhash)


async def report(assignment: Assignment, plan: Plan | None, outcome: Outcome, services: ReportServices) -> Report:
    """Make and upload both documents; returns when at least one store has each, or the run is gone.

    `plan` is None when no definition was admitted. Raises ContentError when this host's own folder cannot be written.
    """
    papers = await _kept(assignment, services) or await _made(assignment, plan, outcome, services)
    job = assignment.job.address
    result, receipt = f"{job}.json", f"{job}.receipt.json"
    await services.journal.uploads.owe(
        job,
        [(papers.result_cid, result), (papers.receipt_cid, receipt)],
        services.publisher.store_names,
        due=services.clock.time() + HEAD_START,
    )
    stores = await _upload(result, papers.result, papers.result_cid, services)
    await _upload(receipt, papers.receipt, papers.receipt_cid, services)
    return Report(
        job=assignment.job.address,
        result_cid=papers.result_cid,
        receipt_cid=papers.receipt_cid,
        result_bytes=len(papers.result),
        receipt_bytes=len(papers.receipt),
        stores=stores,
    )


async def _kept(assignment: Assignment, services: ReportServices) -> _Papers | None:
    """The documents an earlier life of the agent made; None when there are none, or they are damaged."""
    link = await services.journal.receipt(assignment.run.address)
    if link is None:
        return None
    try:
        return _Papers(
            link.result_cid,
            await services.drawer.fetch(link.result_cid, KEPT_LIMIT),
            link.receipt_cid,
            await services.drawer.fetch(link.receipt_cid, KEPT_LIMIT),
        )
    except ContentError as error:
        services.on_trouble(error)
        return None


async def _made(assignment: Assignment, plan: Plan | None, outcome: Outcome, services: ReportServices) -> _Papers:
    result = await asyncio.to_thread(services.desk.result, plan, outcome)
    reveal = None
    if outcome.receive is not None:
        result = await asyncio.to_thread(without_content, result, outcome.handover or "")
        reveal = await services.reveal(outcome)
    result_cid = await services.drawer.add_file("result", result)
    link = await link_of(assignment, services.journal, services.newest_receipt)
    proof = await services.journal.work.newest(assignment.lane)
    ladder = await services.journal.work.ladder_for([gpu.uuid for gpu in plan.gpus] if plan is not None else [])
    facts = ReceiptFacts(
        assignment=assignment,
        plan=plan,
        outcome=outcome,
        result_cid=result_cid,
        previous=link.previous,
        genesis=await services.journal.meta("genesis_hash"),
        previous_reason=link.reason,
        seen=link.seen,
        reveal=reveal,
        work=None if proof is None else proof.reference,
        ladder=ladder,
    )
    receipt = await asyncio.to_thread(services.desk.receipt, facts)
    receipt_cid = await services.drawer.add_file("receipt", receipt)
    await services.journal.link_receipt(
        *(assignment.run.address, assignment.lane, result_cid, receipt_cid),
        work=None if proof is None else proof.reference.sha256,
        ladder=ladder,
    )
    return _Papers(result_cid, result, receipt_cid, receipt)


async def _upload(name: str, data: bytes, cid: Cid, services: ReportServices) -> tuple[str, ...]:
    """The stores that took the document; none where the run was gone before one did."""
    failures = 0
    while True:
        try:
            _, stores = await services.publisher.publish(name, data)
        except ContentError as error:
            services.on_trouble(error)
            if await _is_gone(services):
                return ()
        else:
            await services.journal.uploads.took(cid, stores)
            return stores
        await services.clock.sleep(UPLOAD_RETRY.wait(min(failures, 10)))
        failures += 1


async def _is_gone(services: ReportServices) -> bool:
    try:
        return await services.is_gone()
    except ChainError as error:
        services.on_trouble(error)
        return False
