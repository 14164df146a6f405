"""Bundles before both verifiers: whole, damaged on their way, and made to lie by the node that signs them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.content.cid import file_cid
from node.proof.bundle_check import verify_bundle
from tests.proof.outside.bundle import failed_lines
from tests.proof.outside.encoding import spelled
from tests.proof.outside.settlement import settlement_of
from tests.proof.test_receipt import JOB, NODE, receipt, sign
from tests.proof.whole import CHAIN, parts, whole_bundle

SMALL = parts(work=False)
BODY = whole_bundle(*SMALL)


def both(body: bytes) -> set[str]:
    """Lines that fail, which both must say alike."""
    ours = {check.name for check in verify_bundle(body).checks if check.ok is False}
    assert set(failed_lines(body)) == ours
    return ours


@pytest.mark.parametrize(("confidential", "work"), [(False, False), (True, False), (False, True)])
def test_whole_bundles_pass(confidential: bool, work: bool) -> None:
    body = whole_bundle(*parts(confidential=confidential, work=work))
    assert both(body) == set()
    verification = verify_bundle(body)
    assert verification.ok
    good = {check.name for check in verification.checks if check.ok}
    assert {"bundle", "settle_signed", "memo", "receipt_cid", "receipt_signature", "receipt_names_job"} <= good
    assert {"result_cid", "host_card", "receipt_chain", "telemetry_root", "bundle_agrees", "whole_logs"} <= good
    assert ("commitments" in good) is confidential
    assert ({"work_rows", "work_products", "work_reference", "work_gpus"} <= good) is work


@given(where=st.integers(0, 8 * len(BODY) - 1))
@settings(max_examples=80, deadline=None)
def test_any_flipped_bit_is_found_alike(where: int) -> None:
    body = bytearray(BODY)
    body[where // 8] ^= 1 << where % 8
    assert both(bytes(body)) == {"bundle"}


LINES: dict[str, set[str]] = {
    "receipt": {"receipt_cid"},
    "result": {"result_cid"},
    "card": {"host_card_cid"},
    "settle": {"settle_signed"},
    "earlier/1": {"receipt_chain"},
    "samples": {"telemetry_root"},
    "definition": {"definition_cid"},
    "log/0": {"whole_logs"},
}


def test_each_part_has_a_line() -> None:
    assert set(LINES) == set(SMALL[0])


@pytest.mark.parametrize("name", LINES)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_a_node_that_changes_a_part_is_found_alike(name: str, data: st.DataObject) -> None:
    """The node has the key: it signs what it changed anew, digests and all."""
    held, cids = SMALL
    body = bytearray(held[name])
    where = data.draw(st.integers(0, 8 * len(body) - 1))
    body[where // 8] ^= 1 << where % 8
    assert both(whole_bundle({**held, name: bytes(body)}, cids)) == LINES[name]


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("change", [lambda body: body + b"\n", lambda body: body[:-1], lambda body: b""])
def test_a_node_that_cuts_or_lengthens_a_part_is_found_alike(name: str, change: Callable[[bytes], bytes]) -> None:
    held, cids = SMALL
    changed = change(held[name])
    # A settle transaction without bytes is one that is not there, and nothing is checked against it.
    expected = set() if name == "settle" and not changed else LINES[name]
    assert both(whole_bundle({**held, name: changed}, cids)) == expected


def test_a_changed_work_proof_is_found_alike() -> None:
    held, cids = parts()
    body = bytearray(held["work"])
    body[len(body) // 2] ^= 1
    assert both(whole_bundle({**held, "work": bytes(body)}, cids)) == {"work_cid"}
    # With a CID that fits, the receipt still names another.
    changed = whole_bundle({**held, "work": bytes(body)}, {**cids, "work": file_cid(bytes(body))})
    assert both(changed) == {"work_cid"}


def test_documents_that_are_whole_and_of_something_else() -> None:
    """Each fits its CID, and is not the one that the job has."""
    held, cids = SMALL

    def instead(name: str, body: bytes) -> set[str]:
        return both(whole_bundle({**held, name: body}, {**cids, name: file_cid(body)}))

    other = json.loads(held["result"])
    other["opStates"][0]["extra"] = "what the job never wrote"
    assert instead("result", json.dumps(other).encode()) == {"result_cid"}
    # The logs are held against the receipt that is there, too: its root is of no log at all.
    assert instead("receipt", receipt(result=file_cid(held["result"]), agent_version="9")) == {"memo", "whole_logs"}
    assert instead("card", held["receipt"]) == {"host_card"}
    confidential = parts(confidential=True, work=False)
    openings = json.loads(confidential[0]["openings"])
    openings["operations.0.image"]["value"] = "sha256:" + "00" * 32
    lying = {**confidential[0], "openings": spelled(openings)}
    assert both(whole_bundle(lying, confidential[1])) == {"commitments"}


def test_a_bundle_that_tells_of_the_run_otherwise_than_its_receipt() -> None:
    from tests.proof.bundles import account

    ended = account().operations[0].model_copy(update={"exit_code": 1})
    assert both(whole_bundle(*SMALL, operations=(ended,))) == {"bundle_agrees"}
    assert both(whole_bundle(*SMALL, gpus=())) == {"bundle_agrees"}
    other = CHAIN.model_copy(update={"program": NODE})
    assert both(whole_bundle(*SMALL, chain=other)) == {"bundle"}


# --- two texts for one bundle ---------------------------------------------------------------------------


def resigned(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The bundle with another statement, signed by the right key, its digests made anew unless they were changed."""
    from hashlib import sha256

    envelope = json.loads(BODY)
    statement = json.loads(base64.b64decode(envelope["payload"]))
    before = json.dumps(statement["predicate"]["digests"])
    change(statement)
    predicate = statement["predicate"]
    if json.dumps(predicate.get("digests")) == before:
        said = {name: value for name, value in predicate.items() if name not in ("digests", "parts")}
        digests = {name: sha256(spelled(value)).hexdigest() for name, value in said.items()}
        for name, value in predicate["parts"].items():
            raw = value["text"].encode() if "text" in value else base64.b64decode(value.get("base64", ""))
            digests[f"parts/{name}"] = sha256(raw).hexdigest()
        predicate["digests"] = digests
    payload = spelled(statement)
    kind = envelope["payloadType"]
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    envelope["payload"] = base64.b64encode(payload).decode()
    envelope["signatures"] = [{"keyid": NODE, "sig": base64.b64encode(sign(message)).decode()}]
    return spelled(envelope)


def predicate(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda statement: change(statement["predicate"])


def rename(holder: dict[str, Any], old: str, new: str) -> None:
    holder[new] = holder.pop(old)


SPELLINGS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a field by its name in the program": predicate(lambda p: rename(p, "madeMs", "made_ms")),
    "a field of a field by that name": predicate(lambda p: rename(p["job"], "runTime", "run_time")),
    "text in base64": predicate(
        lambda p: p["parts"].update(definition={"base64": base64.b64encode(b"definition").decode()})
    ),
    "a part twice over": predicate(lambda p: p["parts"].update(definition={"text": "definition", "base64": "AAAA"})),
    "a part in neither form": predicate(lambda p: p["parts"].update(definition={"hex": "00"})),
    "a digest too few": predicate(lambda p: p["digests"].pop("agent")),
    "a digest too many": predicate(lambda p: p["digests"].update(other="00" * 32)),
    "another digest": predicate(lambda p: p["digests"].update(agent="00" * 32)),
    "another subject": lambda s: s["subject"][0].update(name=NODE),
    "a subject more": lambda s: s["subject"].append(s["subject"][0]),
    "another node's job": predicate(lambda p: p["job"].update(node=JOB.project)),
    "a CID of a part that is not there": predicate(lambda p: p["cids"].update(log=JOB.definition_cid)),
    "an earlier receipt that is not there": predicate(lambda p: p["earlier"][0].update(part="earlier/7")),
    "no parts": predicate(lambda p: p.pop("parts") and p.update(parts=[])),
}


def test_signing_anew_is_the_same() -> None:
    assert resigned(lambda _: None) == BODY


@pytest.mark.parametrize("how", [each for each in SPELLINGS if each != "no parts"])
def test_there_is_one_text_for_one_bundle(how: str) -> None:
    body = resigned(SPELLINGS[how])
    assert body != BODY
    ours = {check.name for check in verify_bundle(body).checks if check.ok is False}
    assert ours == {"bundle"}
    assert failed_lines(body) == ["bundle"]


# --- the settle transaction -----------------------------------------------------------------------------


@given(where=st.integers(0, 8 * len(SMALL[0]["settle"]) - 1))
@settings(max_examples=80, deadline=None)
def test_any_flipped_bit_of_a_signed_transaction_is_found_alike(where: int) -> None:
    from node.chain.clusters import DEVNET
    from node.errors import ProofError
    from node.proof.signed import signed_settle
    from tests.proof.outside.encoding import Wrong

    wire = bytearray(SMALL[0]["settle"])
    assert settlement_of(bytes(wire), DEVNET.jobs, JOB.address) is not None
    wire[where // 8] ^= 1 << where % 8
    with pytest.raises(ProofError):
        signed_settle(bytes(wire), 520, DEVNET, JOB.address)
    with pytest.raises(Wrong):
        settlement_of(bytes(wire), DEVNET.jobs, JOB.address)
