"""Checking a job from outside: with a chain and a source of content, and nothing from the node itself.

What each line is worth is its label (node/proof/checks.py). None of them shows that a model's answer is right, nor
which physical GPU did the work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from node.bounded_json import JsonRefused, read_json
from node.chain.accounts import decode_job
from node.chain.clusters import Cluster
from node.chain.memo import memos
from node.content.merkle import MerkleHasher
from node.errors import ChainError, ContentError, ContentMismatch, ContentNotFile, ProofError
from node.job.result import is_newest_part
from node.proof.card import verify_card
from node.proof.checks import Ledger, Verification
from node.proof.memo import RECEIPT_KEY, memo_cid
from node.proof.receipt import OperationClaim, Receipt, verify_receipt
from node.proof.settled import ChainReader, Settled, find_card, find_settled
from node.records import Address, Cid, FetchedDefinition, Job, JobState

DOCUMENT_LIMIT = 1 << 20
"""Bytes of a receipt or a host card."""
RESULT_LIMIT = 64 << 20
"""Bytes of a result document."""
_DONE = {"success", "failed", "stopped", "validation-error", "logistics-error", "waiting-for-result", "init error", ""}


class ContentReader(Protocol):
    """Fetches bytes that match their CID."""

    async def fetch(self, cid: Cid, limit: int) -> FetchedDefinition:
        """Raises ContentUnavailable, ContentMismatch or ContentTooLarge."""
        ...


@dataclass(frozen=True, slots=True)
class _Case:
    """One verification on its way."""

    address: Address
    cluster: Cluster
    chain: ChainReader
    content: ContentReader
    ledger: Ledger


async def verify_job(job: Address, *, cluster: Cluster, chain: ChainReader, content: ContentReader) -> Verification:
    """Check one settled job. Raises ChainError if the chain cannot be read; what is wrong with the job is a check."""
    case = _Case(job, cluster, chain, content, Ledger())
    on_chain = await _account(case)
    settled = await find_settled(chain, cluster, job)
    if settled is None:
        case.ledger.proven("settled", False, "no successful finish or complete of this job is in its history")
        return Verification(job, tuple(case.ledger.checks))
    node = _settlement(case, settled, on_chain)
    receipt = await _receipt(case, settled, node)
    result = await _result(case, settled.result)
    _pay(case, settled, on_chain)
    if receipt is not None:
        _agreement(case, settled, on_chain, receipt)
        _operations(case, receipt, result)
        _logs(case, receipt, result)
        _statements(case, receipt)
    await _host_card(case, node, receipt)
    return Verification(job, tuple(case.ledger.checks))


# --- chain ------------------------------------------------------------------------------------------


async def _account(case: _Case) -> Job | None:
    raw = await case.chain.get_account(case.address)
    if raw is None:
        case.ledger.skipped("job_account", "the account is closed: cleaned, or never there")
        return None
    try:
        job = decode_job(raw, case.cluster)
    except ChainError as error:
        case.ledger.proven("job_account", False, error.message)
        return None
    case.ledger.proven(
        "job_account",
        job.state is JobState.DONE,
        f"state {job.state.name.lower()}, node {job.node}, market {job.market}",
    )
    return job


def _settlement(case: _Case, settled: Settled, job: Job | None) -> Address:
    """Check the settle transaction; the node is the job account's, else whoever signed the instruction."""
    transaction = settled.transaction
    signers = [key for key in settled.instruction.accounts if key in transaction.signers]
    node = job.node if job is not None else signers[-1] if signers else transaction.signers[0]
    kind = "finish" if settled.finish else "complete"
    case.ledger.proven(
        "settled",
        settled.signed_by(node),
        f"{kind} in slot {transaction.slot}, transaction {transaction.signature}, signed by node {node}",
    )
    if job is not None:
        case.ledger.proven(
            "result_on_chain", job.result_cid == settled.result, f"the job account holds {job.result_cid}"
        )
    return node


def _pay(case: _Case, settled: Settled, job: Job | None) -> None:
    if job is None:
        case.ledger.skipped("pay", "price and times went with the job account")
        return
    due = job.price * max(0, min(job.time_end - job.time_start, job.timeout))
    if not settled.finish:
        case.ledger.skipped("pay", f"the poster ended the job, and that transaction paid; due are {due} micro-NOS")
        return
    paid = settled.paid(case.cluster)
    if paid is None and due:
        case.ledger.skipped("pay", "the endpoint did not record token balances")
        return
    case.ledger.proven(
        "pay",
        (paid or 0) == due,
        f"{paid or 0} micro-NOS for {job.time_end - job.time_start} s at {job.price} a second",
    )


# --- content ----------------------------------------------------------------------------------------


async def _fetch(case: _Case, name: str, cid: Cid, limit: int) -> bytes | None:
    try:
        body = (await case.content.fetch(cid, limit)).body
    except (ContentMismatch, ContentNotFile) as error:
        case.ledger.proven(name, False, error.message)
        return None
    except ContentError as error:
        case.ledger.skipped(name, error.message)
        return None
    case.ledger.proven(name, True, f"{len(body):,} bytes match {cid}")
    return body


async def _receipt(case: _Case, settled: Settled, node: Address) -> Receipt | None:
    texts = memos(settled.transaction, signer=node)
    cid = next((found for text in texts if (found := memo_cid(text, RECEIPT_KEY)) is not None), None)
    if not case.ledger.proven("memo", cid is not None, f"receipt {cid}" if cid else "no memo names a receipt"):
        return None
    assert cid is not None
    body = await _fetch(case, "receipt_cid", cid, DOCUMENT_LIMIT)
    if body is None:
        return None
    try:
        receipt = verify_receipt(body, node)
    except ProofError as error:
        case.ledger.proven("receipt_signature", False, error.message)
        return None
    case.ledger.proven("receipt_signature", True, f"signed by {node}")
    return receipt


async def _result(case: _Case, cid: Cid) -> Mapping[str, Any] | None:
    body = await _fetch(case, "result_cid", cid, RESULT_LIMIT)
    if body is None:
        return None
    try:
        document = read_json(body, limit=RESULT_LIMIT)
    except JsonRefused:
        document = None
    shaped = (
        isinstance(document, dict)
        and isinstance(document.get("status"), str)
        and document["status"] in _DONE
        and isinstance(document.get("opStates"), list)
        and all(isinstance(state, dict) for state in document["opStates"])
    )
    detail = (
        f"status {document['status']!r}, {len(document['opStates'])} operations" if shaped else "no result document"
    )
    case.ledger.consistent("result_shape", shaped, detail)
    return document if shaped else None


async def _host_card(case: _Case, node: Address, receipt: Receipt | None) -> None:
    cid = await find_card(case.chain, case.cluster, node)
    if cid is None:
        case.ledger.skipped("host_card", "no transaction of the NodeAccount names a host card")
        return
    body = await _fetch(case, "host_card_cid", cid, DOCUMENT_LIMIT)
    if body is None:
        return
    try:
        card = verify_card(body, node)
    except ProofError as error:
        case.ledger.proven("host_card", False, error.message)
        return
    case.ledger.proven("host_card", True, f"signed by {node}, lists {len(card.gpus)} GPUs")
    if receipt is not None and receipt.gpus:
        used = {gpu.uuid for gpu in receipt.gpus}
        listed = {gpu.uuid for gpu in card.gpus}
        # The newest card may be younger than the job: a GPU that has left since is no contradiction.
        if used <= listed:
            case.ledger.consistent("gpus", True, "the host card lists the receipt's GPUs")
        else:
            case.ledger.skipped("gpus", "the newest host card does not list the receipt's GPUs; it may be younger")


# --- the receipt against the rest ---------------------------------------------------------------------


def _agreement(case: _Case, settled: Settled, job: Job | None, receipt: Receipt) -> None:
    chain = receipt.chain
    expected: dict[str, tuple[object, object]] = {
        "program": (chain.program, case.cluster.jobs),
        "job": (receipt.job, case.address),
        "result": (receipt.result, settled.result),
    }
    if case.cluster.genesis_hash is not None:
        expected["genesis"] = (chain.genesis, case.cluster.genesis_hash)
    if settled.finish:
        expected["run"] = (receipt.run, settled.run())
    if job is not None:
        expected |= {
            "definition": (receipt.definition, job.definition_cid),
            "market": (receipt.market, job.market),
            "poster": (receipt.poster, job.project),
        }
    wrong = [f"{name} is {said}, on the chain {held}" for name, (said, held) in expected.items() if said != held]
    case.ledger.consistent("receipt_names_job", not wrong, "; ".join(wrong) or ", ".join(expected) + " agree")
    before = receipt.start.slot <= settled.transaction.slot and (
        receipt.end is None or receipt.start.slot <= receipt.end.slot <= settled.transaction.slot
    )
    case.ledger.consistent(
        "slots", before, f"work began at slot {receipt.start.slot}, settled at {settled.transaction.slot}"
    )


def _logs(case: _Case, receipt: Receipt, result: Mapping[str, Any] | None) -> None:
    if result is None:
        case.ledger.skipped("log_root", "there is no result to compare with")
        return
    states = result["opStates"]
    if not states:
        case.ledger.skipped("log_root", "the result tells of no operations")
        return
    claims = [claim for claim in receipt.operations if claim.log is not None]
    outcomes = {claim.id: _log_agrees(claim, _state_of(claim, states)) for claim in claims}
    wrong = [name for name, outcome in outcomes.items() if outcome is False]
    if wrong:
        case.ledger.consistent(
            "log_root", False, f"the result's log of {', '.join(wrong)} is not the one that the receipt hashed"
        )
    elif not outcomes or None in outcomes.values():
        case.ledger.skipped("log_root", "the result holds no log, or only the newest part of one")
    else:
        case.ledger.consistent("log_root", True, f"the logs of {len(outcomes)} operations hash to the receipt's roots")


def _state_of(claim: OperationClaim, states: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return next((state for state in states if state.get("operationId") == claim.id), None)


def _operations(case: _Case, receipt: Receipt, result: Mapping[str, Any] | None) -> None:
    """Whether receipt and result tell the same of each operation."""
    if result is None or not (receipt.operations and result["opStates"]):
        case.ledger.skipped("operations", "there is nothing to compare")
        return
    said = [(claim.id, claim.status, claim.exit_code) for claim in receipt.operations]
    held = [(state.get("operationId"), state.get("status"), state.get("exitCode")) for state in result["opStates"]]
    detail = "receipt and result give the same ends" if said == held else f"receipt: {said}; result: {held}"
    case.ledger.consistent("operations", said == held, detail[:500])


def _log_agrees(claim: OperationClaim, state: Mapping[str, Any] | None) -> bool | None:
    """Whether a result's log hashes to the claimed root; None if the result does not hold all of it, and says so."""
    if claim.log is None or claim.log.chunk < 1:
        return None
    held = state.get("logs") if state is not None else None
    entries = held if isinstance(held, list) else []
    hasher = MerkleHasher(claim.log.chunk)
    for line in log_lines(entries):
        hasher.update(line)
    if hasher.length == claim.log.length:
        return hasher.root() == claim.log.root
    # Lines that are missing without a word were removed; and what is longer than all can be no part of it.
    return None if hasher.length < claim.log.length and is_newest_part(entries) else False


def log_lines(entries: Sequence[Any]) -> list[bytes]:
    """Log entries as the lines that were hashed while they streamed: canonical JSON, one object a line."""
    return [
        json.dumps(
            {key: entry.get(key, "") for key in ("log", "timestamp", "type")},
            ensure_ascii=False,
            separators=(",", ":"),
            sort_keys=True,
        ).encode("utf-8", "surrogatepass")
        + b"\n"
        for entry in entries
        if isinstance(entry, dict)
    ]


def _statements(case: _Case, receipt: Receipt) -> None:
    for claim in receipt.operations:
        case.ledger.stated(
            f"operation_{claim.index}",
            f"image {claim.image}, command {claim.command}, exit code {claim.exit_code}, status {claim.status}",
        )
    names = ", ".join(f"{gpu.name} {gpu.uuid} ({gpu.provider})" for gpu in receipt.gpus) or "none"
    case.ledger.stated("gpus_used", names)
    energy = receipt.energy
    if energy is not None and energy.millijoules is not None:
        case.ledger.stated("energy", f"{energy.millijoules / 1000:.3f} J ({energy.source})")
    link = (
        f"{receipt.prev.receipt}, settled by {receipt.prev.settle}" if receipt.prev else f"none: {receipt.prev_reason}"
    )
    case.ledger.stated("previous_receipt", link)
    case.ledger.stated("agent", receipt.agent)
