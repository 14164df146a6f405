"""A GPU work proof on a real chain: made in its helper process, anchored through the outbox, found and checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from node.chain.memo import memo
from node.errors import ProofError
from node.gpu.work.document import parse_proof
from node.gpu.work.session import WorkOrder, make_proof
from node.localnet.app import Localnet
from node.market.work_anchor import WorkAnchorage
from node.proof.memo import work_memo
from node.proof.work import verify_work
from node.proof.work_anchors import AnchorsUnknown, find_anchors
from tests.market.conftest import Town
from tests.proof.outside.work import Chain, failed_parts


@pytest.fixture
def either_chain(localnet: Localnet) -> Localnet:
    """The embedded chain: a node would have nothing to add."""
    return localnet


async def test_a_proof_is_anchored_found_and_checked(town: Town, tmp_path: Path) -> None:
    host = await town.person()
    order = WorkOrder(node=host.node, engine="cpu", gpu=None, seconds=0.5, size=256)
    made = await make_proof(order, WorkAnchorage(host, work_memo), tmp_path / "work.json")
    body = made.opened.path.read_bytes()
    proof = parse_proof(body)

    anchors = await find_anchors(town.rpc, proof)
    assert anchors.anchor_slot == made.anchored.slot
    assert (anchors.after_slot, anchors.after_blockhash) == (made.after.slot, made.after.blockhash)
    assert anchors.tries == 1
    verdict = verify_work(body, node=host.node, gpu="cpu", anchors=anchors)
    assert verdict.ok, verdict.failed
    seen = Chain(
        anchors.seed_blockhash,
        host.node,
        anchors.root,
        anchors.anchor_slot,
        anchors.after_slot,
        anchors.after_blockhash,
    )
    assert failed_parts(body, seen, node=host.node, gpu="cpu") == [], "a verifier that shares no code with ours"

    # Another root of the same node in the meantime is one more try; the same root again is none.
    await town.sign_and_send(host.node, memo(host.node, work_memo(proof.root.hex())))
    assert await find_anchors(town.rpc, proof) == anchors
    # The root in a memo of somebody else is no anchor.
    stranger = await town.person()
    other = replace(proof, challenge=replace(proof.challenge, node=stranger.node))
    await town.sign_and_send(stranger.node, memo(stranger.node, f"not ours w={proof.root.hex()}"))
    with pytest.raises(ProofError, match="no memo"):
        await find_anchors(town.rpc, other)


async def test_roots_that_were_tried_are_counted(town: Town, tmp_path: Path) -> None:
    host = await town.person()
    chain = WorkAnchorage(host, work_memo)
    order = WorkOrder(node=host.node, engine="cpu", gpu=None, seconds=0.2, size=256)

    class Tries:
        """A prover who anchors other roots first."""

        newest_block, block_after = chain.newest_block, chain.block_after

        async def anchor(self, root: str) -> object:
            for number in range(3):
                await town.sign_and_send(host.node, memo(host.node, work_memo(f"{number:064x}")))
            return await chain.anchor(root)

    made = await make_proof(order, Tries(), tmp_path / "work.json")  # type: ignore[arg-type]
    proof = parse_proof(made.opened.path.read_bytes())
    anchors = await find_anchors(town.rpc, proof)
    assert anchors.tries == 4

    class Forgetful:
        """An endpoint that has dropped old blocks."""

        get_transaction, get_signatures_for_address = town.rpc.get_transaction, town.rpc.get_signatures_for_address

        async def get_block(self, slot: int) -> None:
            return None

    with pytest.raises(AnchorsUnknown):
        await find_anchors(Forgetful(), proof)  # type: ignore[arg-type]
