"""Finding what a job's evidence is worth: a function of the evidence and of nothing else.

It asks nobody and reads no clock, so that what is checked against a chain and what is checked from a bundle goes
through the same lines. None of them shows that a model's answer is right, nor which physical GPU did the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.chain.accounts import decode_job
from node.chain.clusters import Cluster
from node.content.cid import file_cid
from node.errors import ChainError, ProofError
from node.proof.block_checks import check_blocks, check_slots
from node.proof.card import verify_card
from node.proof.chain_checks import check_chain
from node.proof.checks import Ledger, Verification
from node.proof.commitments import Reveal
from node.proof.evidence import Document, Evidence
from node.proof.handed import check_handed, with_openings
from node.proof.receipt import Receipt, parse_receipt, verify_receipt
from node.proof.receipt_checks import check_commitments, check_names, check_samples, check_telemetry, state_rest
from node.proof.result_checks import check_logs, check_operations, read_result
from node.proof.settled import Settled
from node.proof.signed import KeysElsewhere, signed_settle
from node.proof.time_checks import check_times
from node.proof.work_checks import check_moment, check_work
from node.records import Address, Cid, Job, JobState

OFFLINE = "the chain was not asked"


def examine(evidence: Evidence) -> Verification:
    """Every line that the evidence allows. Raises nothing: what is wrong is a line that failed."""
    ledger, facts = Ledger(part="chain"), evidence.chain
    job = _account(ledger, evidence)
    landed = None if facts is None else facts.settled
    signed = _signed(ledger, evidence, landed)
    if facts is not None and landed is None:
        ledger.proven("settled", False, "no successful finish or complete of this job is in its history")
        return Verification(evidence.job, tuple(ledger.checks))
    settled = landed or signed
    node = settled.node(job) if settled is not None else None
    _settlement(ledger, landed, job, node)
    _pay(ledger, evidence.cluster, landed, job)
    ledger.part = "receipt"
    receipt = _receipt(ledger, evidence, settled, node)
    if receipt is not None:
        check_names(ledger, evidence.cluster, evidence.job, settled, job, receipt)
        check_slots(ledger, receipt, _settled_slot(evidence, landed))
        check_blocks(ledger, receipt, facts)
        check_times(ledger, receipt, facts, job)
        check_telemetry(ledger, receipt)
        check_samples(ledger, receipt, evidence.samples)
        check_commitments(ledger, receipt, evidence.reveal)
        state_rest(ledger, receipt)
    ledger.part = "result"
    result = _result(ledger, evidence, settled, receipt)
    if receipt is not None:
        _ran(ledger, evidence, receipt, result)
        ledger.part = "receipts"
        assert evidence.receipt is not None
        check_chain(ledger, evidence, receipt, evidence.receipt.cid, landed)
        ledger.part = "work"
        _work(ledger, evidence, receipt, _settled_slot(evidence, landed))
    ledger.part = "host"
    _card(ledger, evidence, node or (None if receipt is None else Address(receipt.node)), receipt)
    return Verification(evidence.job, tuple(ledger.checks), offline=facts is None)


def _ran(ledger: Ledger, evidence: Evidence, receipt: Receipt, result: Mapping[str, Any] | None) -> None:
    """What receipt and result say of the operations; of a confidential job both as its owner knows them."""
    if evidence.handed is not None:
        check_handed(ledger, evidence.handed, result)
        receipt, result = with_openings(receipt, evidence.reveal or Reveal()), evidence.handed
    check_operations(ledger, receipt, result)
    check_logs(ledger, receipt, result)


def _settled_slot(evidence: Evidence, landed: Settled | None) -> int | None:
    if landed is not None:
        return landed.transaction.slot
    return None if evidence.settle is None else evidence.settle.slot


# --- chain --------------------------------------------------------------------------------------------------


def _account(ledger: Ledger, evidence: Evidence) -> Job | None:
    if evidence.chain is None:
        ledger.skipped("job_account", OFFLINE)
        return None
    if evidence.chain.job is None:
        ledger.skipped("job_account", "the account is closed: cleaned, or never there")
        return None
    try:
        job = decode_job(evidence.chain.job, evidence.cluster)
    except ChainError as error:
        ledger.proven("job_account", False, error.message)
        return None
    ledger.proven(
        "job_account",
        job.state is JobState.DONE,
        f"state {job.state.name.lower()}, node {job.node}, market {job.market}",
    )
    return job


def _signed(ledger: Ledger, evidence: Evidence, landed: Settled | None) -> Settled | None:
    """Check the settle transaction as it was signed, which needs no chain; None where it is not at hand or wrong."""
    if evidence.settle is None or not evidence.settle.wire:
        ledger.skipped("settle_signed", "the settle transaction's own bytes are not at hand")
        return None
    try:
        signed = signed_settle(evidence.settle.wire, evidence.settle.slot, evidence.cluster, evidence.job)
    except KeysElsewhere as error:
        ledger.skipped("settle_signed", error.message)
        return None
    except ProofError as error:
        ledger.proven("settle_signed", False, error.message)
        return None
    signature = signed.transaction.signature
    if landed is not None and (signature, signed.instruction) != (landed.transaction.signature, landed.instruction):
        told = f"the transaction {signature} is not the one that settled the job, {landed.transaction.signature}"
        ledger.proven("settle_signed", False, told)
        return None
    told = f"the bytes of {signature} settle this job; the signatures of {', '.join(signed.transaction.signers)} hold"
    ledger.proven("settle_signed", True, told)
    return signed


def _settlement(ledger: Ledger, landed: Settled | None, job: Job | None, node: Address | None) -> None:
    if landed is None or node is None:
        ledger.skipped("settled", OFFLINE)
        ledger.skipped("result_on_chain", OFFLINE)
        return
    transaction = landed.transaction
    kind = "finish" if landed.finish else "complete"
    ledger.proven(
        "settled",
        landed.signed_by(node),
        f"{kind} in slot {transaction.slot}, transaction {transaction.signature}, signed by node {node}",
    )
    if job is not None:
        ledger.proven("result_on_chain", job.result_cid == landed.result, f"the job account holds {job.result_cid}")


def _pay(ledger: Ledger, cluster: Cluster, landed: Settled | None, job: Job | None) -> None:
    if landed is None:
        ledger.skipped("pay", OFFLINE)
        return
    if job is None:
        ledger.skipped("pay", "price and times went with the job account")
        return
    due = job.price * max(0, min(job.time_end - job.time_start, job.timeout))
    if not landed.finish:
        ledger.skipped("pay", f"the poster ended the job, and that transaction paid; due are {due} micro-NOS")
        return
    paid = landed.paid(cluster)
    if paid is None and due:
        ledger.skipped("pay", "the endpoint did not record token balances")
        return
    ledger.proven(
        "pay",
        (paid or 0) == due,
        f"{paid or 0} micro-NOS for {job.time_end - job.time_start} s at {job.price} a second",
    )


# --- documents ----------------------------------------------------------------------------------------------


def _body(ledger: Ledger, name: str, document: Document | None, absent: str) -> bytes | None:
    """The bytes of a document, once it is shown that they are those that its CID names."""
    if document is None:
        ledger.skipped(name, absent)
        return None
    if document.body is None:
        if document.refused:
            ledger.proven(name, False, document.detail)
        else:
            ledger.skipped(name, document.detail)
        return None
    if not document.matched and (found := file_cid(document.body)) != document.cid:
        ledger.proven(name, False, f"{len(document.body):,} bytes have CID {found}, not {document.cid}")
        return None
    ledger.proven(name, True, f"{len(document.body):,} bytes match {document.cid}")
    return document.body


def _receipt(ledger: Ledger, evidence: Evidence, settled: Settled | None, node: Address | None) -> Receipt | None:
    """The receipt, if it is the one that the settle transaction names and the node signed it."""
    if settled is None or node is None:
        ledger.skipped("memo", "the settle transaction is not at hand")
    else:
        cid = settled.receipt(node)
        named = cid is not None and (evidence.receipt is None or evidence.receipt.cid == cid)
        other = "" if evidence.receipt is None else f", not {evidence.receipt.cid}"
        told = "no memo names a receipt" if cid is None else f"receipt {cid}" + ("" if named else other)
        told += "" if evidence.chain is not None else ", in the transaction as it was signed"
        if not ledger.proven("memo", named, told):
            return None
    body = _body(ledger, "receipt_cid", evidence.receipt, "there is no receipt")
    if body is None:
        return None
    try:
        receipt = parse_receipt(body) if node is None else verify_receipt(body, node)
    except ProofError as error:
        ledger.proven("receipt_signature", False, error.message)
        return None
    ledger.proven("receipt_signature", True, f"signed by {receipt.node}")
    return receipt


def _result(
    ledger: Ledger, evidence: Evidence, settled: Settled | None, receipt: Receipt | None
) -> Mapping[str, Any] | None:
    """The result document, if it is the one that the settle transaction (or else the receipt) names."""
    document, named = evidence.result, None
    if settled is not None:
        named = settled.result
    elif receipt is not None:
        named = Cid(receipt.result)
    if document is not None and named is not None and document.cid != named:
        ledger.proven("result_cid", False, f"the document is {document.cid}, the job's result {named}")
        return None
    body = _body(ledger, "result_cid", document, "there is no result document")
    return None if body is None else read_result(ledger, body)


def _work(ledger: Ledger, evidence: Evidence, receipt: Receipt, settled_slot: int | None) -> None:
    claim = receipt.work
    if claim is None:
        ledger.skipped("work", "the receipt names no GPU work proof")
        return
    document = evidence.work
    if document is not None and document.cid != claim.cid:
        ledger.proven("work_cid", False, f"the document is {document.cid}, the receipt names {claim.cid}")
        return
    body = _body(ledger, "work_cid", document, f"the proof {claim.cid} is not at hand")
    if body is not None:
        check_work(ledger, body, receipt, claim, evidence.chain)
        check_moment(ledger, settled_slot, evidence.chain)


def _card(ledger: Ledger, evidence: Evidence, node: Address | None, receipt: Receipt | None) -> None:
    document = evidence.card
    if document is None or node is None:
        none = "there is no host card" if evidence.chain is None else "no transaction of the NodeAccount names one"
        ledger.skipped("host_card", none)
        return
    body = _body(ledger, "host_card_cid", document, "")
    if body is None:
        return
    try:
        card = verify_card(body, node)
    except ProofError as error:
        ledger.proven("host_card", False, error.message)
        return
    ledger.proven("host_card", True, f"signed by {node}, lists {len(card.gpus)} GPUs")
    if receipt is not None and receipt.gpus:
        used = {gpu.uuid for gpu in receipt.gpus}
        listed = {gpu.uuid for gpu in card.gpus}
        # The newest card may be younger than the job: a GPU that has left since is no contradiction.
        if used <= listed:
            ledger.consistent("gpus", True, "the host card lists the receipt's GPUs")
        else:
            ledger.skipped("gpus", "the newest host card does not list the receipt's GPUs; it may be younger")
