"""Nodes that cheat, before the verifier: each must fail the line that says so, and as few others as possible."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from node.chain import addresses
from node.chain import memo as chain_memo
from node.chain.accounts import decode_job
from node.chain.clusters import DEVNET
from node.content.cid import file_cid
from node.content.merkle import MerkleHasher
from node.proof.card import build_card
from node.proof.checks import Verification
from node.proof.envelope import seal
from node.proof.memo import card_memo, receipt_memo
from node.proof.receipt import PREDICATE_TYPE
from node.proof.result_checks import log_lines
from node.proof.verify import verify_job
from node.records import Address, LogDigest
from tests.proof.outside.encoding import strict_json
from tests.proof.test_receipt import ASSIGNMENT, GPU, HOST, JOB, NODE, OTHER, OUTCOME, address, receipt, sign
from tests.proof.world import LOGS, Parts, World, finish, landed, memo, wired, world

STRANGER = Address(str(OTHER.pubkey()))


def strangers(message: bytes) -> bytes:
    return bytes(OTHER.sign_message(message))


async def failed(made: World) -> set[str]:
    verification = await verify_job(JOB.address, cluster=DEVNET, chain=made, content=made)
    assert verification.ok is (not names(verification))
    return names(verification)


def names(verification: Verification) -> set[str]:
    return {check.name for check in verification.checks if check.ok is False}


async def test_an_honest_node_fails_nothing() -> None:
    assert await failed(world()) == set()


# --- the memo -------------------------------------------------------------------------------------------


def settled_with(made: World, *instructions: Any) -> None:
    """Settle the job by another transaction, really signed, with these memos."""
    for entries in made.history.values():
        entries[:] = [each for each in entries if each.signature != made.settle]
    new = wired(520, *instructions)
    made.settle = new.signature
    made.land(new, NODE, JOB.address)


def result_of(made: World) -> Any:
    held = decode_job(made.accounts[JOB.address], DEVNET).result_cid
    assert held is not None
    return held


def receipt_of(made: World) -> str:
    text = next(each.data for each in made.transactions[made.settle].instructions if each.data.startswith(b"gpunode/1"))
    return text.decode().removeprefix("gpunode/1 r=")


async def test_two_receipts_in_one_settlement() -> None:
    """Two memos, two stories: the node could later show the one that suits."""
    made = world()
    honest = receipt_of(made)
    other = made.keep(receipt(result=result_of(made), agent_version="0.2.0"))
    for first, second in ((honest, other), (other, honest)):
        memos = [chain_memo.memo(NODE, receipt_memo(file)) for file in (first, second)]  # type: ignore[arg-type]
        settled_with(made, finish(result_of(made)), *memos)
        assert await failed(made) == {"memo"}


async def test_the_same_receipt_twice_is_one() -> None:
    made = world()
    memos = [chain_memo.memo(NODE, f"gpunode/1 r={receipt_of(made)}") for _ in range(2)]
    settled_with(made, finish(result_of(made)), *memos)
    assert await failed(made) == set()


async def test_of_two_receipts_in_one_memo_the_first_counts() -> None:
    made = world()
    other = made.keep(receipt(result=result_of(made), agent_version="0.2.0"))
    settled_with(made, finish(result_of(made)), chain_memo.memo(NODE, f"gpunode/1 r={receipt_of(made)} r={other}"))
    assert await failed(made) == set()


async def test_a_receipt_named_only_elsewhere() -> None:
    """In a memo of the node's own, a transaction later: too late to count."""
    made = world()
    honest = receipt_of(made)
    settled_with(made, finish(result_of(made)))
    made.land(landed(9, 521, memo(f"gpunode/1 r={honest}")), JOB.address, NODE)
    assert await failed(made) == {"memo"}


async def test_a_receipt_in_the_memo_of_somebody_else() -> None:
    made = world()
    honest = receipt_of(made)
    made.change(
        instructions=(made.transactions[made.settle].instructions[0], memo(f"gpunode/1 r={honest}", STRANGER)),
        signers=(NODE, STRANGER),
    )
    assert await failed(made) == {"memo"}


# --- the receipt ----------------------------------------------------------------------------------------

OTHERS = {
    "another job": ({"assignment": "job"}, {"receipt_names_job"}),
    "another run": ({"assignment": "run"}, {"receipt_names_job"}),
    "another market": ({"assignment": "market"}, {"receipt_names_job"}),
    "another poster": ({"assignment": "poster"}, {"receipt_names_job"}),
    "another definition": ({"assignment": "definition"}, {"receipt_names_job"}),
    "another result": ({"result": file_cid(b"another")}, {"receipt_names_job"}),
    "a made-up block": ({"assignment": "blockhash"}, {"start_block"}),
}


@pytest.mark.parametrize("what", OTHERS)
async def test_a_receipt_that_tells_of_something_else(what: str) -> None:
    other = address(40)
    assignments = {
        "job": replace(ASSIGNMENT, job=replace(JOB, address=other)),
        "run": replace(ASSIGNMENT, run=replace(ASSIGNMENT.run, address=other)),
        "market": replace(ASSIGNMENT, job=replace(JOB, market=other)),
        "poster": replace(ASSIGNMENT, job=replace(JOB, project=other)),
        "definition": replace(ASSIGNMENT, job=replace(JOB, definition_cid=file_cid(b"another"))),
        "blockhash": replace(ASSIGNMENT, blockhash=str(other)),
    }
    changes, lines = OTHERS[what]
    parts = {key: assignments[value] if key == "assignment" else value for key, value in changes.items()}  # type: ignore[index]
    assert await failed(world(Parts(receipt=parts))) == lines


async def test_another_node_s_receipt() -> None:
    theirs = replace(ASSIGNMENT, run=replace(ASSIGNMENT.run, node=STRANGER))
    assert await failed(world(Parts(receipt={"assignment": theirs, "sign": strangers}))) == {"receipt_signature"}


async def test_a_receipt_that_another_key_signed_in_the_node_s_name() -> None:
    made = world()
    honest = strict_json(made.files[receipt_of(made)], "")
    forged = seal(STRANGER, strangers, subject=[], predicate_type=PREDICATE_TYPE, predicate={"node": NODE})
    envelope = json.loads(forged)
    envelope["signatures"][0]["keyid"] = NODE
    envelope["payload"] = honest["payload"]
    body = json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode()
    made.anchor(made.keep(body))
    assert await failed(made) == {"receipt_signature"}


# --- the logs -------------------------------------------------------------------------------------------


def digest(entries: list[dict[str, str]], chunk: int = 65_536) -> LogDigest:
    hasher = MerkleHasher(chunk)
    for line in log_lines(entries):
        hasher.update(line)
    return LogDigest(root=hasher.root(), length=hasher.length)


def operation(log: LogDigest) -> Any:
    return replace(OUTCOME.operations[0], log=log)


STATE = {"operationId": "a", "status": "success", "exitCode": 0, "logs": LOGS}


async def test_an_operation_does_not_stand_for_another_of_its_name() -> None:
    """A claim that is wrong, before one of the same name that is right."""
    false, true = digest(LOGS[:3]), digest(LOGS)
    for claims in ((false, true), (true, false)):
        outcome = replace(OUTCOME, operations=tuple(operation(claim) for claim in claims))
        made = world(Parts(result={"opStates": [STATE, STATE]}, receipt={"outcome": outcome}))
        assert await failed(made) == {"log_root"}


async def test_a_log_is_hashed_in_one_way_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """With chunks of one byte a verifier would hash for minutes, and one log would have many roots."""
    monkeypatch.setattr("node.proof.receipt.CHUNK_BYTES", 1)
    outcome = replace(OUTCOME, operations=(operation(digest(LOGS, 1)),))
    assert await failed(world(Parts(receipt={"outcome": outcome}))) == {"log_root"}


# --- the host card --------------------------------------------------------------------------------------


async def test_a_host_card_of_another_key() -> None:
    made = world()
    theirs = made.keep(build_card(STRANGER, [GPU], HOST, agent_version="0.1.0", sign=strangers))
    made.land(landed(11, 600, memo(card_memo(theirs))), addresses.node_account(DEVNET, NODE))
    assert await failed(made) == {"host_card"}


async def test_a_stranger_s_memo_about_the_node_s_account_names_no_card() -> None:
    made = world()
    theirs = made.keep(build_card(NODE, [], HOST, agent_version="0.1.0", sign=sign))
    account = addresses.node_account(DEVNET, NODE)
    made.land(landed(11, 600, memo(card_memo(theirs), STRANGER), signers=(STRANGER,)), account)
    assert await failed(made) == set()
