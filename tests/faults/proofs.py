"""What must hold of the work proofs of an agent, however often it was killed meanwhile."""

from __future__ import annotations

from collections import Counter

from node.agent.work_room import CPU_WATTS
from node.chain.memo import memos
from node.gpu.work.document import parse_proof
from node.proof.memo import memo_root
from node.proof.work import verify_work
from node.proof.work_anchors import find_anchors
from node.records import Address, Cid
from tests.faults.keeper import Loss
from tests.faults.shop import Shop

SECONDS = 1.0
MAKING = {"engine": "cpu", "seconds": SECONDS, "size": 256, "interval": 0.005}
"""The smallest proofs there are, 18 s apart."""


def newest_proof(shop: Shop) -> int:
    """Number of the newest proof in the journal; 0: none."""
    found = shop.rows("SELECT COALESCE(MAX(run), 0) FROM work_proofs")
    return int(found[0][0]) if found else 0


async def examine_work(shop: Shop, job: Address) -> None:
    """Check all proofs of an agent at rest, and that the job's receipt names one of them. Raises Loss with everything
    that is wrong."""
    wrong: list[str] = []
    anchored = await _anchored(shop)
    for root, count in anchored.items():
        if count > 1:
            wrong.append(f"the root {root} was anchored {count} times")
    begun = {str(root) for (root,) in shop.rows("SELECT root FROM work_runs WHERE root IS NOT NULL")}
    if not set(anchored) <= begun:
        wrong.append(f"roots were anchored that the journal does not know: {sorted(set(anchored) - begun)}")
    for run, ended, outcome, joules in shop.rows("SELECT id, ended, outcome, joules FROM work_runs"):
        if ended is None:
            wrong.append(f"run {run} never ended")
        elif not 0 < joules <= 2 * SECONDS * CPU_WATTS:
            wrong.append(f"run {run} ({outcome}) counts {joules} J")
    for sha256, cid, root in shop.rows("SELECT sha256, cid, root FROM work_proofs ORDER BY run DESC LIMIT 1"):
        body = (await shop.place.library.fetch(Cid(cid), 1 << 24)).body
        proof = parse_proof(body)
        verdict = verify_work(body, node=shop.node, gpu="cpu", anchors=await find_anchors(shop.place.rpc, proof))
        if verdict.failed or proof.root.hex() != root:
            wrong.append(f"the proof {sha256} does not hold: {verdict.failed}")
    query = f"SELECT r.work FROM receipts r JOIN jobs j ON j.run = r.run WHERE j.job = '{job}' AND r.work IS NOT NULL"
    named = [str(work) for (work,) in shop.rows(query)]
    made = {str(sha256) for (sha256,) in shop.rows("SELECT sha256 FROM work_proofs")}
    if not named or not set(named) <= made:
        wrong.append(f"the job's receipt names {named}, and made were {sorted(made)}")
    if wrong:
        raise Loss("; ".join(wrong) + f" ({await shop.describe()})")


async def _anchored(shop: Shop) -> Counter[str]:
    """How often each root of this node's proofs stands on the chain."""
    found: Counter[str] = Counter()
    for entry in await shop.place.rpc.get_signatures_for_address(shop.node, limit=1000):
        if entry.memo is None or "w=" not in entry.memo or entry.failed:
            continue
        transaction = await shop.place.rpc.get_transaction(entry.signature)
        assert transaction is not None
        found.update(root for text in memos(transaction, signer=shop.node) if (root := memo_root(text)) is not None)
    return found
