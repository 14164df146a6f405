"""The GPU work proof that a receipt names."""

from __future__ import annotations

import hashlib

from node.proof.checks import Ledger
from node.proof.evidence import ChainFacts
from node.proof.receipt import Receipt
from node.proof.receipt_model import WorkClaim
from node.proof.work import verify_work
from node.records import Address

NO_GPU = "cpu"
OFFLINE = "the chain was not asked"


def check_work(ledger: Ledger, body: bytes, receipt: Receipt, claim: WorkClaim, facts: ChainFacts | None) -> None:
    """All lines on a proof whose bytes match the CID in the receipt."""
    found = hashlib.sha256(body).hexdigest()
    ledger.proven(
        "work_sha256",
        found == claim.sha256,
        "the document is the one that the receipt was signed with" if found == claim.sha256 else f"it is {found}",
    )
    trouble = None if facts is None else facts.anchors_trouble
    if trouble is not None and trouble.wrong:
        ledger.proven("work_on_chain", False, trouble.detail)
    verdict = verify_work(
        body,
        node=Address(receipt.node),
        gpu=claim.gpu,
        anchors=None if facts is None else facts.anchors,
        unknown=OFFLINE if facts is None else trouble.detail if trouble is not None else "it was not looked for",
    )
    ledger.adopt(verdict.checks)
    if verdict.proof is None:
        return
    stated = verdict.proof.stated
    same = (verdict.proof.root.hex(), stated.engine) == (claim.root, claim.engine)
    told = f"the receipt says root {claim.root}, engine {claim.engine}; the proof {verdict.proof.root.hex()}"
    ledger.consistent("work_reference", same, f"{told}, engine {stated.engine}")
    used = [gpu.uuid for gpu in receipt.gpus]
    if claim.gpu == NO_GPU:
        ledger.skipped("work_gpus", "the work was done by the host's processors, under no GPU's name")
    elif not used:
        ledger.skipped("work_gpus", "the receipt lists no GPUs")
    else:
        ledger.consistent("work_gpus", claim.gpu in used, f"made under the name {claim.gpu}; the job had {used}")


def check_moment(ledger: Ledger, settled_slot: int | None, facts: ChainFacts | None) -> None:
    """Whether the proof was anchored before the job was settled."""
    if facts is None or facts.anchors is None or settled_slot is None:
        ledger.skipped("work_slots", "the proof's place on the chain is not known")
        return
    at, told = facts.anchors.anchor_slot, ""
    if facts.settled is not None and facts.settled.transaction.time is not None:
        told = f", {facts.settled.transaction.time - facts.anchors.anchor_time} s later"
    ledger.consistent(
        "work_slots", at <= settled_slot, f"anchored in slot {at}, the job settled in slot {settled_slot}{told}"
    )
