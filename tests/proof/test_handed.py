"""The owner of a confidential job checks its receipt against the full result that was handed over."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from node.chain.clusters import DEVNET
from node.content.cid import file_cid
from node.content.merkle import MerkleHasher
from node.errors import ProofError
from node.job.travel import with_openings as result_with_openings
from node.proof.checks import Label, Verification
from node.proof.commitments import Opening, Reveal, conceal
from node.proof.handed import Handed, read_handed, with_openings
from node.proof.receipt import hidden_of, verify_receipt
from node.proof.result_checks import log_lines
from node.proof.verify import verify_job
from node.records import LogDigest

from .series import failed, lines
from .test_receipt import JOB, NODE, OUTCOME, receipt
from .world import LOGS, Parts, world

HELD, AGREES = (Label.PROVEN, True), (Label.CONSISTENT, True)
UNSEEN = (Label.NOT_CHECKED, None)


def logged() -> LogDigest:
    hasher = MerkleHasher()
    for line in log_lines(LOGS):
        hasher.update(line)
    return LogDigest(root=hasher.root(), length=hasher.length)


PRIVATE = replace(OUTCOME, operations=(replace(OUTCOME.operations[0], id="a", log=logged()),))
REVEAL = conceal(hidden_of(PRIVATE, file_cid(b"sent")))
STATE = {"operationId": "a", "status": "success", "exitCode": 0, "logs": LOGS}
FULL: dict[str, Any] = json.loads(
    result_with_openings(
        json.dumps({"status": "success", "startTime": 1, "endTime": 2, "opStates": [STATE]}).encode(),
        REVEAL.document(),
    )
)


async def checked(handed: Handed | None) -> Verification:
    made = world(Parts(result={"opStates": []}, receipt={"outcome": PRIVATE, "reveal": REVEAL}))
    return await verify_job(JOB.address, cluster=DEVNET, chain=made, content=made, handed=handed)


def given(change: Callable[[dict[str, Any]], object] = lambda full: None) -> Handed:
    full = copy.deepcopy(FULL)
    change(full)
    return read_handed(json.dumps(full).encode())


async def test_an_outsider_sees_nothing_of_it() -> None:
    found = await checked(None)
    assert found.ok
    assert [lines(found)[name] for name in ("commitments", "operations", "log_root")] == [UNSEEN] * 3


async def test_its_owner_sees_all_of_it() -> None:
    found = await checked(given())
    assert found.ok
    assert lines(found)["commitments"] == HELD
    assert [lines(found)[name] for name in ("full_result", "operations", "log_root")] == [AGREES] * 3


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda full: full["opStates"][0]["logs"][3].update(log="another\n"), {"log_root"}),
        (lambda full: full["opStates"][0]["logs"].pop(), {"log_root"}),
        (lambda full: full["opStates"][0].update(exitCode=1), {"operations"}),
        (lambda full: full["opStates"][0].update(operationId="b"), {"operations", "log_root"}),
        (lambda full: full["opStates"].append(STATE), {"operations"}),
        (lambda full: full.update(startTime=7), {"full_result"}),
        (
            lambda full: full["gpunode"]["openings"]["operations.0.image"].update(value="sha256:" + "00" * 32),
            {"commitments"},
        ),
        # What is not opened stays hidden, and what the result says of it is held against the node.
        (
            lambda full: full["gpunode"]["openings"]["operations.0.id"].update(salt="00" * 32),
            {"commitments", "operations", "log_root"},
        ),
    ],
)
async def test_what_is_not_as_the_receipt_has_it(change: Callable[[dict[str, Any]], object], names: set[str]) -> None:
    assert set(failed(await checked(given(change)))) == names


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"opStates":{}}',
        b'{"opStates":[1]}',
        b'{"opStates":[]}',
        b'{"opStates":[],"gpunode":{}}',
        b'{"opStates":[],"gpunode":{"openings":{"a":1}}}',
    ],
)
def test_what_is_no_full_result(body: bytes) -> None:
    with pytest.raises(ProofError):
        read_handed(body)


def test_openings_of_what_no_receipt_can_say_change_nothing() -> None:
    values = {
        "operations.0.id": 7,
        "operations.5.id": "x",
        "operations.0": "x",
        "other": 1,
        "operations.0.exitCode": 9,
        "operations.0.log": "x",
    }
    reveal = conceal(values)
    fields = verify_receipt(receipt(outcome=PRIVATE, reveal=reveal), NODE)
    assert with_openings(fields, reveal) == fields
    assert with_openings(fields, Reveal((Opening("operations.0.id", "00" * 32, "y"),))) == fields


def test_an_opened_receipt_is_the_one_that_was_not_made() -> None:
    hidden = verify_receipt(receipt(outcome=PRIVATE, reveal=REVEAL), NODE)
    plain = verify_receipt(receipt(outcome=PRIVATE), NODE)
    assert with_openings(hidden, REVEAL) == plain.model_copy(update={"commitments": hidden.commitments})
