"""Examining evidence, which asks nobody: each line both ways, with a chain and without."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain import memo as chain_memo
from node.chain.clusters import DEVNET
from node.content.cid import file_cid
from node.content.merkle import MerkleHasher
from node.gpu.work.challenge import WorkChallenge
from node.gpu.work.cpu import CpuEngine
from node.gpu.work.document import WorkProof
from node.gpu.work.prover import open_rows, prove
from node.proof.checks import Label, Verification
from node.proof.commitments import conceal
from node.proof.evidence import Document, Evidence, SettleWire, Trouble
from node.proof.examine import examine
from node.proof.gather import Sources, gather
from node.proof.memo import receipt_memo
from node.proof.receipt import hidden_of
from node.proof.work import WorkAnchors
from node.records import Cid, GpuTelemetry, Signature, WorkReference
from tests.gpu.work.examples import AFTER, key

from .series import detail, failed, lines
from .test_receipt import ASSIGNMENT, GPU, JOB, NODE, OTHER, OUTCOME, address
from .world import Parts, finish, wired, world

HELD = (Label.PROVEN, True)
WRONG = (Label.PROVEN, False)
AGREES = (Label.CONSISTENT, True)
DIFFERS = (Label.CONSISTENT, False)
UNSEEN = (Label.NOT_CHECKED, None)
STATED = (Label.STATED, None)
SAMPLES = (b'{"a":1}\n', b'{"a":2}\n', b'{"a":3}\n')


async def evidence(**receipt: Any) -> Evidence:
    """What is gathered of a good job whose receipt is changed like that."""
    return await gather(JOB.address, Sources(DEVNET, made := world(Parts(receipt=receipt)), made), 10)


async def offline(**receipt: Any) -> Evidence:
    """The same as a bundle has it: nothing from a chain, documents whose CIDs nobody has compared."""
    whole = await evidence(**receipt)
    unmatched = {
        name: None if document is None else replace(document, matched=False)
        for name in ("receipt", "result", "card", "work")
        for document in [getattr(whole, name)]
    }
    earlier = tuple(replace(document, matched=False) for document in whole.earlier)
    return replace(whole, chain=None, later=None, others=(), earlier=earlier, **unmatched)


# --- without a chain ---------------------------------------------------------------------------------------


async def test_without_a_chain_its_lines_are_null_and_hashes_and_signatures_hold() -> None:
    found = examine(await offline())
    assert found.ok
    assert found.offline
    verified = found.verified
    for name in ("settled", "job_account", "result_on_chain", "pay", "start_block", "end_block", "times"):
        assert verified[name] is None
    for name in ("receipt_chain_settled", "receipts_complete", "next_receipt"):
        assert verified[name] is None
    for name in ("settle_signed", "memo", "receipt_cid", "receipt_signature", "result_cid", "receipt_names_job"):
        assert verified[name] is True
    for name in ("slots", "log_root", "receipt_chain", "host_card", "host_card_cid"):
        assert verified[name] is True
    assert "as it was signed" in detail(found, "memo")


async def test_the_same_names_with_and_without_a_chain() -> None:
    whole, alone = examine(await evidence()), examine(await offline())
    assert [check.name for check in whole.checks] == [check.name for check in alone.checks]
    assert [check.part for check in whole.checks] == [check.part for check in alone.checks]
    assert {check.part for check in whole.checks} == {"chain", "receipt", "result", "receipts", "work", "host"}


async def test_nothing_at_all() -> None:
    found = examine(Evidence(JOB.address, DEVNET))
    assert not found.ok
    assert failed(found) == []
    assert not any(found.verified.values())


async def test_without_the_transaction_the_receipt_s_own_key_is_all_that_is_known() -> None:
    found = examine(replace(await offline(), settle=None))
    assert found.ok
    assert (lines(found)["settle_signed"], lines(found)["memo"]) == (UNSEEN, UNSEEN)
    assert lines(found)["receipt_signature"] == HELD


# --- the settle transaction as it was signed ------------------------------------------------------------------


def _rewire(change: Callable[[bytes], bytes]) -> Callable[[Evidence], Evidence]:
    def apply(whole: Evidence) -> Evidence:
        assert whole.settle is not None
        return replace(whole, settle=replace(whole.settle, wire=change(whole.settle.wire)))

    return apply


@pytest.mark.parametrize(
    "change",
    [
        lambda wire: b"",
        lambda wire: wire[:-1],
        lambda wire: wire + b"\0",
        lambda wire: bytes(1300),
        lambda wire: bytes(len(wire)),
        lambda wire: b"\xff" * len(wire),
        lambda wire: wire[:1] + bytes(64) + wire[65:],
        lambda wire: wire[:-1] + bytes([wire[-1] ^ 1]),
        lambda wire: wired(520, chain_memo.memo(NODE, "hello")).wire,
        lambda wire: wired(520, finish(file_cid(b"x"), address(9)), chain_memo.memo(NODE, "hello")).wire,
    ],
)
async def test_other_bytes_of_the_settle_transaction(change: Callable[[bytes], bytes]) -> None:
    for whole in (await evidence(), await offline()):
        held = lines(examine(_rewire(change)(whole)))["settle_signed"]
        assert whole.settle is not None
        assert held == (WRONG if change(whole.settle.wire) else UNSEEN)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_flipped_bit_of_the_settle_transaction_is_found(data: st.DataObject) -> None:
    whole = _good()
    assert whole.settle is not None
    wire = bytearray(whole.settle.wire)
    wire[data.draw(st.integers(0, len(wire) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    found = examine(replace(whole, settle=SettleWire(bytes(wire), 520)))
    assert "settle_signed" in failed(found)


@cache
def _good() -> Evidence:
    import asyncio

    return asyncio.run(offline())


async def test_a_transaction_that_another_key_signed() -> None:
    whole = await offline()
    assert whole.result is not None
    assert whole.receipt is not None
    instruction = finish(whole.result.cid)
    theirs = wired(520, instruction, chain_memo.memo(NODE, receipt_memo(whole.receipt.cid)))
    resigned = theirs.wire[:1] + bytes(OTHER.sign_message(theirs.wire[65:])) + theirs.wire[65:]
    found = examine(replace(whole, settle=SettleWire(resigned, 520)))
    assert failed(found) == ["settle_signed"]


async def test_a_settlement_other_than_the_one_that_landed() -> None:
    whole = await evidence()
    assert whole.result is not None
    other = wired(521, finish(whole.result.cid), chain_memo.memo(NODE, "again"))
    found = examine(replace(whole, settle=SettleWire(other.wire, 521)))
    assert failed(found) == ["settle_signed"]
    assert "is not the one that settled the job" in detail(found, "settle_signed")


async def test_a_receipt_that_the_signed_transaction_does_not_name() -> None:
    whole, other = await offline(), await offline(previous=None, previous_reason="no")
    found = examine(replace(whole, receipt=other.receipt))
    assert failed(found) == ["memo"]
    assert not found.ok


async def test_a_document_whose_bytes_are_not_those_of_its_cid() -> None:
    whole = await offline()
    for name, line in (("receipt", "receipt_cid"), ("result", "result_cid"), ("card", "host_card_cid")):
        document = getattr(whole, name)
        forged = replace(document, body=document.body + b" ")
        assert line in failed(examine(replace(whole, **{name: forged})))


# --- blocks and times -----------------------------------------------------------------------------------------


def _with_blocks(whole: Evidence, change: Callable[[dict[int, Any]], None]) -> Evidence:
    assert whole.chain is not None
    blocks = dict(whole.chain.blocks)
    change(blocks)
    return replace(whole, chain=replace(whole.chain, blocks=blocks))


async def test_blockhashes() -> None:
    whole = await evidence()
    assert lines(examine(whole))["start_block"] == lines(examine(whole))["end_block"] == HELD
    other = _with_blocks(whole, lambda blocks: blocks.update({510: replace(blocks[510], blockhash=key(9))}))
    assert failed(examine(other)) == ["end_block"]
    pruned = examine(_with_blocks(whole, lambda blocks: blocks.pop(500)))
    assert pruned.ok
    assert (lines(pruned)["start_block"], lines(pruned)["end_block"]) == (UNSEEN, HELD)
    assert lines(pruned)["times"] == UNSEEN


async def test_a_receipt_without_an_end() -> None:
    found = examine(await evidence(outcome=replace(OUTCOME, end_slot=None, end_blockhash=None)))
    assert lines(found)["end_block"] == lines(found)["times"] == UNSEEN
    assert lines(found)["slots"] == AGREES


@pytest.mark.parametrize(
    ("start", "end", "settled"),
    [(521, 530, 520), (511, 510, 520), (500, 521, 520)],
)
async def test_slots_out_of_order(start: int, end: int, settled: int) -> None:
    whole = await evidence(assignment=replace(ASSIGNMENT, slot=start), outcome=replace(OUTCOME, end_slot=end))
    assert whole.chain is not None
    assert whole.chain.settled is not None
    assert whole.chain.settled.transaction.slot == settled
    assert lines(examine(whole))["slots"] == DIFFERS


async def test_times_within_the_tolerance() -> None:
    """Blocks 10 s apart; 10.5 s, and 10 s of tolerance."""
    for took, outcome in ((0, AGREES), (20_400, AGREES), (20_600, DIFFERS), (-1, DIFFERS)):
        whole = await evidence(outcome=_lasting(took))
        assert lines(examine(whole))["times"] == outcome


def _lasting(milliseconds: int) -> Any:
    whole = replace(OUTCOME, started_ms=5_000_000, ended_ms=5_000_000 + milliseconds)
    return replace(whole, operations=())


async def test_blocks_outside_of_the_job() -> None:
    whole = await evidence()

    def older(blocks: dict[int, Any]) -> None:
        blocks[500] = replace(blocks[500], time=blocks[500].time - 11)

    def younger(blocks: dict[int, Any]) -> None:
        blocks[510] = replace(blocks[510], time=blocks[510].time + 21)

    assert "older than the run" in detail(examine(_with_blocks(whole, older)), "times")
    assert "younger than the job's end" in detail(examine(_with_blocks(whole, younger)), "times")
    assert failed(examine(_with_blocks(whole, older))) == ["times"]


# --- samples, commitments, ladder ------------------------------------------------------------------------------


async def test_samples() -> None:
    assert OUTCOME.energy is not None
    hasher = MerkleHasher()
    hasher.update(b"".join(SAMPLES))
    energy = replace(OUTCOME.energy, samples=3, samples_root=hasher.root())
    measured = replace(OUTCOME, energy=energy)
    whole = replace(await offline(outcome=measured), samples=SAMPLES)
    assert lines(examine(whole))["telemetry_root"] == HELD
    assert lines(examine(whole))["telemetry"] == STATED
    assert "telemetry_root" not in lines(examine(replace(whole, samples=None)))
    for wrong in (SAMPLES[:2], SAMPLES[::-1], (*SAMPLES, b"x"), ()):
        assert lines(examine(replace(whole, samples=wrong)))["telemetry_root"] == WRONG


async def test_one_file_of_samples_and_the_jobs_own_gpus() -> None:
    assert OUTCOME.energy is not None
    stranger = GpuTelemetry("GPU-9", samples=1, seconds=1.0, joules=None, source="none")
    measured = replace(OUTCOME, energy=replace(OUTCOME.energy, gpus=(stranger,)))
    found = examine(await offline(outcome=measured))
    assert "telemetry_agrees" in failed(found)
    assert "GPU-9 was not given to the job" in detail(found, "telemetry_agrees")


async def test_commitments() -> None:
    reveal = conceal(hidden_of(OUTCOME, None))
    # What is pinned of a confidential job's result tells of no operations; here there is none at all.
    whole = replace(await offline(reveal=reveal), result=None)
    assert lines(examine(whole))["commitments"] == UNSEEN
    assert lines(examine(replace(whole, reveal=reveal)))["commitments"] == HELD
    some = reveal.only(["operations.0.image"])
    assert lines(examine(replace(whole, reveal=some)))["commitments"] == HELD
    other = conceal(hidden_of(OUTCOME, None))
    found = examine(replace(whole, reveal=other))
    assert failed(found) == ["commitments"]
    assert "operations.0.image" in detail(found, "commitments")
    assert "commitments" not in lines(examine(await offline()))


async def test_the_ladder_is_stated() -> None:
    found = examine(await offline(ladder="33" * 32))
    assert lines(found)["ladder"] == STATED
    assert "33" * 32 in detail(found, "ladder")


# --- GPU work --------------------------------------------------------------------------------------------------


@cache
def made(node: str = NODE, gpu: str = GPU.uuid) -> WorkProof:
    engine = CpuEngine()
    challenge = WorkChallenge(key(1), 450, node, gpu)
    return open_rows(engine, prove(engine, challenge, size=256, rounds=3, openings=1024), *AFTER)


def named(proof: WorkProof, **changes: Any) -> WorkReference:
    body = proof.body()
    whole = WorkReference(
        sha256=hashlib.sha256(body).hexdigest(),
        cid=file_cid(body),
        root=proof.root.hex(),
        signature=Signature("5" * 88),
        engine=proof.stated.engine,
        gpu=proof.challenge.gpu,
        made_ms=1,
    )
    return replace(whole, **changes)


def anchors(proof: WorkProof, **changes: Any) -> WorkAnchors:
    whole = WorkAnchors(
        node=NODE,
        root=proof.root.hex(),
        seed_blockhash=proof.challenge.blockhash,
        seed_time=1000,
        anchor_slot=470,
        anchor_time=1020,
        after_slot=AFTER[0],
        after_blockhash=AFTER[1],
    )
    return replace(whole, **changes)


async def worked(
    proof: WorkProof | None = None,
    claim: WorkReference | None = None,
    found: WorkAnchors | None = None,
    trouble: Trouble | None = None,
    **receipt: Any,
) -> Verification:
    proof = proof or made()
    claim = claim or named(proof)
    whole = await evidence(work=claim, **receipt)
    assert whole.chain is not None
    facts = replace(whole.chain, anchors=found, anchors_trouble=trouble)
    document = Document(Cid(claim.cid), proof.body(), "test")
    return examine(replace(whole, work=document, chain=facts))


async def test_a_work_proof_with_its_anchors() -> None:
    found = await worked(found=anchors(made()))
    assert failed(found) == []
    held = lines(found)
    for name in ("work_cid", "work_sha256", "work_node", "work_gpu", "work_anchor", "work_rows", "work_products"):
        assert held[name] == HELD
    assert (held["work_reference"], held["work_gpus"], held["work_slots"]) == (AGREES, AGREES, AGREES)
    assert held["work_rate"] == HELD
    assert "at least" in detail(found, "work_rate")
    assert {check.part for check in found.checks if check.name.startswith("work")} == {"work"}


async def test_a_work_proof_whose_anchors_cannot_be_had() -> None:
    found = await worked(trouble=Trouble("the endpoint holds no block of slot 450"))
    assert failed(found) == []
    held = lines(found)
    assert held["work_anchor"] == held["work_rate"] == held["work_slots"] == UNSEEN
    assert "holds no block" in detail(found, "work_anchor")
    assert held["work_rows"] == HELD


async def test_a_work_proof_that_nobody_anchored() -> None:
    found = await worked(trouble=Trouble("no memo anchors it", wrong=True))
    assert failed(found) == ["work_on_chain"]


async def test_work_proofs_that_are_not_what_the_receipt_says() -> None:
    proof = made()
    cases: list[tuple[Verification, set[str]]] = [
        (await worked(claim=named(proof, sha256="00" * 32), found=anchors(proof)), {"work_sha256"}),
        (await worked(claim=named(proof, root="00" * 32), found=anchors(proof)), {"work_reference"}),
        (await worked(claim=named(proof, engine="cuda"), found=anchors(proof)), {"work_reference"}),
        (await worked(claim=named(proof, cid=file_cid(b"x")), found=anchors(proof)), {"work_cid"}),
        (await worked(claim=named(proof, gpu="GPU-2"), found=anchors(proof)), {"work_gpu", "work_gpus"}),
        (await worked(found=anchors(proof), gpus=(replace(GPU, uuid="GPU-3"),)), {"work_gpus"}),
        (await worked(found=anchors(proof, anchor_slot=521)), {"work_slots"}),
        (await worked(found=anchors(proof, seed_blockhash=key(9))), {"work_seed_block"}),
        (await worked(made(node=key(7)), found=anchors(made(node=key(7)))), {"work_node", "work_anchor"}),
    ]
    for found, names in cases:
        assert set(failed(found)) == names


async def test_work_of_the_processors_alone() -> None:
    proof = made(gpu="cpu")
    found = await worked(proof, found=anchors(proof))
    assert failed(found) == []
    assert lines(found)["work_gpus"] == UNSEEN


async def test_a_work_proof_that_nobody_serves() -> None:
    whole = await evidence(work=named(made()))
    found = examine(whole)
    assert found.ok
    assert lines(found)["work_cid"] == UNSEEN
    assert lines(examine(replace(whole, work=None)))["work_cid"] == UNSEEN


# --- numbers that nobody could have meant -----------------------------------------------------------------------


@pytest.mark.parametrize("number", [-1, -(10**39), 1 << 64, 10**39])
async def test_numbers_without_sense_are_lines_and_no_exceptions(number: int) -> None:
    for changes in (
        {"assignment": replace(ASSIGNMENT, slot=number)},
        {"outcome": replace(OUTCOME, end_slot=number, operations=())},
        {"outcome": replace(OUTCOME, started_ms=number, operations=())},
        {"outcome": replace(OUTCOME, started_ms=-number, ended_ms=number, operations=())},
    ):
        for whole in (await evidence(**changes), await offline(**changes)):
            found = examine(whole)
            assert found.document()["job"] == JOB.address
            if "assignment" in changes:
                assert {"slots", "receipt_signature"} & set(failed(found))
