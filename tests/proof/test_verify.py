"""Verifying a settled job from outside, and every way in which it can be wrong."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from solders.keypair import Keypair

from node.chain import addresses
from node.chain.clusters import DEVNET
from node.chain.instructions import jobs
from node.chain.replies import TokenChange
from node.container.log import LogEntry
from node.content.cid import file_cid
from node.errors import TransactionFailed
from node.proof.card import build_card
from node.proof.checks import Label, Verification
from node.proof.memo import card_memo, receipt_memo
from node.proof.result_checks import log_lines
from node.proof.verify import verify_job
from node.records import Address, Cid, JobState

from .test_receipt import ASSIGNMENT, GPU, HOST, JOB, NODE, OUTCOME, RUN, address, receipt, sign
from .world import LOGS, USER, Parts, World, instruction, landed, memo, world

UNSAID = {"next_receipt", "work"}
"""Of these there is nothing in the world."""


def ended(**changes: Any) -> dict[str, Any]:
    """An operation as the result tells of it."""
    return {"operationId": "a", "status": "success", "exitCode": 0} | changes


async def verify(made: World) -> Verification:
    return await verify_job(JOB.address, cluster=DEVNET, chain=made, content=made)


def lines(verification: Verification) -> dict[str, tuple[Label, bool | None]]:
    return {check.name: (check.label, check.ok) for check in verification.checks}


async def test_a_good_job() -> None:
    verification = await verify(world())
    assert lines(verification) == {
        "job_account": (Label.PROVEN, True),
        "settle_signed": (Label.PROVEN, True),
        "settled": (Label.PROVEN, True),
        "result_on_chain": (Label.PROVEN, True),
        "memo": (Label.PROVEN, True),
        "receipt_cid": (Label.PROVEN, True),
        "receipt_signature": (Label.PROVEN, True),
        "result_cid": (Label.PROVEN, True),
        "result_shape": (Label.CONSISTENT, True),
        "pay": (Label.PROVEN, True),
        "receipt_names_job": (Label.CONSISTENT, True),
        "slots": (Label.CONSISTENT, True),
        "start_block": (Label.PROVEN, True),
        "end_block": (Label.PROVEN, True),
        "times": (Label.CONSISTENT, True),
        "operations": (Label.CONSISTENT, True),
        "log_root": (Label.CONSISTENT, True),
        "operation_0": (Label.STATED, None),
        "gpus_used": (Label.STATED, None),
        "energy": (Label.STATED, None),
        "telemetry": (Label.STATED, None),
        "telemetry_agrees": (Label.CONSISTENT, True),
        "previous_receipt": (Label.STATED, None),
        "receipt_chain": (Label.PROVEN, True),
        "receipt_chain_settled": (Label.PROVEN, True),
        "receipts_complete": (Label.CONSISTENT, True),
        "next_receipt": (Label.NOT_CHECKED, None),
        "work": (Label.NOT_CHECKED, None),
        "agent": (Label.STATED, None),
        "host_card_cid": (Label.PROVEN, True),
        "host_card": (Label.PROVEN, True),
        "gpus": (Label.CONSISTENT, True),
    }
    assert verification.ok
    assert {name for name, ok in verification.verified.items() if not ok} == UNSAID
    assert "energy" not in verification.verified
    document = json.loads(json.dumps(verification.document()))
    assert document["ok"] is True
    assert document["checks"][0]["label"] == "proven"


@pytest.mark.parametrize(
    ("parts", "failed"),
    [
        (Parts(job={"state": JobState.STOPPED}), {"job_account"}),
        (Parts(job={"result_cid": file_cid(b"another")}), {"result_on_chain"}),
        (Parts(job={"node": address(9)}), {"settled", "memo"}),
        (Parts(settle={"signers": (address(9),)}), {"settled"}),
        (Parts(settle={"token_changes": (TokenChange(USER, DEVNET.nos_mint, NODE, 50, 349),)}), {"pay"}),
        (Parts(job={"price": 101}), {"pay"}),
        (Parts(job={"time_end": 1004}), {"pay"}),
        (Parts(memo="gpunode/1 x=1"), {"memo"}),
        (Parts(memo="hello"), {"memo"}),
        (Parts(receipt={"result": file_cid(b"another")}), {"receipt_names_job"}),
        (
            Parts(receipt={"assignment": replace(ASSIGNMENT, run=replace(RUN, address=address(9)))}),
            {"receipt_names_job"},
        ),
        (
            Parts(receipt={"assignment": replace(ASSIGNMENT, job=replace(JOB, market=address(9)))}),
            {"receipt_names_job"},
        ),
        (Parts(receipt={"assignment": replace(ASSIGNMENT, slot=521)}), {"slots"}),
        (Parts(receipt={"outcome": OUTCOME}), {"log_root"}),
        (Parts(result={"status": "nonsense"}), {"result_shape"}),
        (Parts(result={"status": []}), {"result_shape"}),
        (Parts(result={"opStates": {}}), {"result_shape"}),
        (Parts(result={"opStates": [ended(logs=[*LOGS[1:], LOGS[0]])]}), {"log_root"}),
        (Parts(result={"opStates": [ended(logs=LOGS[3:])]}), {"log_root"}),
        (Parts(result={"opStates": [ended(logs=LOGS[:-1])]}), {"log_root"}),
        (Parts(result={"opStates": [ended(logs=[*LOGS[:4], *LOGS[5:]])]}), {"log_root"}),
        (Parts(result={"opStates": [ended(logs=[*LOGS, LOGS[0]])]}), {"log_root"}),
        (Parts(result={"opStates": [ended(logs=[*LOGS[:8], {**LOGS[8], "log": "line 9 é\n"}])]}), {"log_root"}),
        (Parts(result={"opStates": [ended(logs=[])]}), {"log_root"}),
        (Parts(result={"opStates": [ended(logs=5)]}), {"log_root"}),
        (Parts(result={"opStates": [ended(logs=[5, None, {"log": []}])]}), {"log_root"}),
        (Parts(result={"opStates": [ended(operationId=["a"], logs=LOGS)]}), {"operations", "log_root"}),
        (Parts(result={"opStates": [ended(operationId="b", logs=LOGS)]}), {"operations", "log_root"}),
        (Parts(result={"opStates": [ended(logs=LOGS), ended(logs=LOGS)]}), {"operations"}),
        (Parts(result={"opStates": [ended(logs=LOGS, exitCode=1)]}), {"operations"}),
        (Parts(result={"opStates": [ended(logs=LOGS, status="failed")]}), {"operations"}),
        (Parts(result={"opStates": [{}]}), {"operations", "log_root"}),
    ],
)
async def test_what_is_wrong_is_named(parts: Parts, failed: set[str]) -> None:
    verification = await verify(world(parts))
    assert {check.name for check in verification.checks if check.ok is False} == failed
    assert not verification.ok


LEFT_OUT = {"log": "gpunode: 3 older log entries (30 bytes) were left out\n", "type": "nodeerr", "timestamp": ""}


async def test_the_newest_part_of_a_log_is_not_checked() -> None:
    """Where the result says that it is no more than that."""
    verification = await verify(world(Parts(result={"opStates": [ended(logs=[LEFT_OUT, *LOGS[3:]])]})))
    assert lines(verification)["log_root"] == (Label.NOT_CHECKED, None)
    assert verification.ok


async def test_a_result_without_content_is_not_checked() -> None:
    verification = await verify(world(Parts(result={"opStates": []})))
    assert lines(verification)["log_root"] == lines(verification)["operations"] == (Label.NOT_CHECKED, None)
    assert verification.ok


# --- receipts that are somebody else's --------------------------------------------------------------


def failures(verification: Verification) -> dict[str, str]:
    return {check.name: check.detail for check in verification.checks if check.ok is False}


async def test_another_node_s_receipt() -> None:
    other = Keypair.from_seed(bytes([77]) * 32)
    stranger = Address(str(other.pubkey()))
    made = world()
    stolen = receipt(
        assignment=replace(ASSIGNMENT, run=replace(RUN, node=stranger)),
        sign=lambda message: bytes(other.sign_message(message)),
    )
    made.anchor(made.keep(stolen))
    verification = await verify(made)
    assert list(failures(verification)) == ["receipt_signature"]
    assert stranger in failures(verification)["receipt_signature"]
    assert not verification.ok


async def test_a_receipt_replayed_for_a_second_job() -> None:
    """The node's own receipt, genuine in each byte, of a job that it did before."""
    made = world()
    before = replace(JOB, address=address(60))
    replayed = receipt(assignment=replace(ASSIGNMENT, job=before, run=replace(RUN, address=address(61))))
    made.anchor(made.keep(replayed))
    verification = await verify(made)
    detail = failures(verification)["receipt_names_job"]
    assert f"job is {before.address}" in detail
    assert f"run is {address(61)}" in detail
    assert not verification.ok


async def test_a_cleaned_job_does_not_hide_a_replayed_receipt() -> None:
    made = world()
    replayed = receipt(assignment=replace(ASSIGNMENT, job=replace(JOB, address=address(60))))
    made.anchor(made.keep(replayed))
    made.accounts.clear()
    verification = await verify(made)
    assert "receipt_names_job" in failures(verification)
    assert not verification.ok


async def test_a_receipt_that_only_a_stranger_names() -> None:
    made = world()
    (first, own) = made.transactions[made.settle].instructions
    foreign = replace(own, accounts=(address(9),))
    made.change(instructions=(first, foreign), signers=(NODE, address(9)))
    verification = await verify(made)
    assert list(failures(verification)) == ["memo"]
    assert not verification.ok


async def test_settled_by_another_key() -> None:
    made = world()
    made.change(signers=(address(9),))
    assert "settled" in failures(await verify(made))


def _drop_files(made: World) -> None:
    made.files.clear()


def _break_files(made: World) -> None:
    made.broken |= set(made.files)


def _close_account(made: World) -> None:
    made.accounts.clear()


def _forget_card(made: World) -> None:
    del made.history[addresses.node_account(DEVNET, NODE)]


@pytest.mark.parametrize(
    ("change", "unchecked", "failed", "ok"),
    [
        (_drop_files, {"receipt_cid", "result_cid", "host_card_cid"}, set(), False),
        (_break_files, set(), {"receipt_cid", "result_cid", "host_card_cid"}, False),
        (_close_account, {"job_account", "pay"} | UNSAID, set(), True),
        (_forget_card, {"host_card"} | UNSAID, set(), True),
    ],
)
async def test_what_cannot_be_had(
    change: Callable[[World], None], unchecked: set[str], failed: set[str], ok: bool
) -> None:
    made = world()
    change(made)
    verification = await verify(made)
    assert {check.name for check in verification.checks if check.label is Label.NOT_CHECKED} == unchecked
    assert {check.name for check in verification.checks if check.ok is False} == failed
    assert verification.ok is ok


async def test_a_job_that_was_not_settled() -> None:
    made = world()
    failure = TransactionFailed("no", error="JobResultNull")
    for key, transaction in made.transactions.items():
        made.transactions[key] = replace(transaction, failure=failure)
    verification = await verify(made)
    assert lines(verification)["settled"] == (Label.PROVEN, False)
    assert not verification.ok


async def test_a_job_the_poster_ended() -> None:
    made = world()
    settled = made.transactions[made.settle]
    result = next(iter(made.files))
    complete = instruction(jobs.complete(DEVNET, job=JOB.address, authority=NODE, result=Cid(result)))
    made.change(instructions=(complete, *settled.instructions[1:]))
    verification = await verify(made)
    assert lines(verification)["pay"] == (Label.NOT_CHECKED, None)
    assert verification.ok


async def test_memos_of_others_do_not_count() -> None:
    made = world()
    settled = made.transactions[made.settle]
    forged = memo(receipt_memo(made.keep(b"forged")), signer=address(9))
    made.change(instructions=(settled.instructions[0], forged, settled.instructions[1]))
    assert (await verify(made)).ok


async def test_a_free_job() -> None:
    verification = await verify(world(Parts(job={"price": 0}, settle={"token_changes": ()})))
    assert lines(verification)["pay"] == (Label.PROVEN, True)


async def test_a_younger_card_without_the_gpu_is_no_contradiction() -> None:
    made = world()
    other = made.keep(build_card(NODE, [replace(GPU, uuid="GPU-new")], HOST, agent_version="0.1.0", sign=sign))
    made.land(landed(4, 600, memo(card_memo(other))), addresses.node_account(DEVNET, NODE))
    verification = await verify(made)
    assert lines(verification)["gpus"] == (Label.NOT_CHECKED, None)
    assert verification.ok


def test_log_lines_are_those_that_were_hashed() -> None:
    entries = [LogEntry("stdout", 'a "b" é \u2028\n', "2026-01-01T00:00:00Z"), LogEntry("nodeerr", "cut\n", "")]
    documents = [{"log": each.log, "type": each.type, "timestamp": each.timestamp} for each in entries]
    assert log_lines(documents) == [each.line() for each in entries]
