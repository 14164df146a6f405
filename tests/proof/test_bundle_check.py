"""Checking bundles: without a network, with a chain beside, and every way in which one can be wrong."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.keypair import Keypair

from node.chain.accounts import encode_job
from node.chain.clusters import DEVNET, localnet
from node.content.cid import file_cid
from node.content.merkle import MerkleHasher
from node.proof.bundle import build_bundle, parse_bundle
from node.proof.bundle_check import verify_bundle, verify_bundle_online
from node.proof.bundle_document import BundleChain, BundleEarlier, BundleEnd, BundleMissing, BundleStage
from node.proof.checks import Label, Verification
from node.proof.commitments import conceal
from node.proof.receipt import hidden_of
from node.proof.result_checks import log_lines
from node.records import Address, JobState, LogDigest

from .bundles import WIRE, account, bundle, parts_of, settled_bundle
from .test_receipt import JOB, NODE, OUTCOME, address, receipt
from .world import LOGS, Parts, World, world

WHOLE_LOG = b"".join(log_lines(LOGS))
STATED = {"run_ended", "run_operation_0", "stages", "relaxations", "bundle_lacks", "bundle_leaves_out"}


class NetworkUsed(Exception):
    """Raised where something would leave this process."""


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a socket of any kind, or looks up a name, fails."""

    def refuse(*_: Any, **__: Any) -> None:
        raise NetworkUsed

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def outcomes(verification: Verification) -> dict[str, bool | None]:
    return {check.name: check.ok for check in verification.checks}


def failed(verification: Verification) -> set[str]:
    return {check.name for check in verification.checks if check.ok is False}


@pytest.mark.usefixtures("no_network")
def test_a_good_bundle_offline() -> None:
    verification = verify_bundle(settled_bundle(world()))
    assert verification.ok
    assert verification.offline
    assert {name for name, ok in outcomes(verification).items() if ok} == {
        *("bundle", "settle_signed", "memo", "receipt_cid", "receipt_signature", "receipt_names_job", "slots"),
        *("receipt_chain", "host_card_cid", "host_card", "gpus", "bundle_agrees", "bundle_node", "telemetry_agrees"),
    }
    for name in ("job_account", "settled", "result_on_chain", "pay", "start_block", "end_block", "result_cid"):
        assert verification.verified[name] is None, name
    stated = {check.name: check.detail for check in verification.checks if check.label is Label.STATED}
    assert set(stated) >= STATED
    assert any("Xid 79" in detail for detail in stated.values())
    assert json.loads(json.dumps(verification.document()))["ok"] is True


def test_the_job_it_must_be_of() -> None:
    body = settled_bundle(world())
    assert verify_bundle(body, JOB.address).ok
    assert failed(verify_bundle(body, address(99))) == {"bundle_job"}


def test_what_is_no_bundle_is_one_line() -> None:
    body = settled_bundle(world())
    changed = bytearray(body)
    changed[len(body) // 2] ^= 1
    for wrong in (bytes(changed), b"", b"{}", receipt()):
        verification = verify_bundle(wrong, JOB.address)
        assert not verification.ok
        assert outcomes(verification) == {"bundle": False}


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"receipt": receipt()}, {"receipt_cid"}),
        ({"settle": WIRE}, {"settle_signed"}),
        ({"card": b"{}"}, {"host_card_cid"}),
        ({"earlier/1": b"{}"}, {"receipt_chain"}),
        ({"log/0": b"another"}, {"whole_logs"}),
        ({"log/0": WHOLE_LOG[:-1]}, {"whole_logs"}),
        ({"definition": b"another"}, {"definition_cid"}),
        ({"openings": b"{"}, {"bundle"}),
        ({"openings": b'{"a":{"salt":"00","value":1}}'}, {"bundle"}),
    ],
)
def test_parts_that_a_node_swapped_are_named(more: Mapping[str, bytes], names: set[str]) -> None:
    """The node signs its own bundle: what it cannot do is to change what it had signed or settled before."""
    verification = verify_bundle(settled_bundle(world(), more))
    assert failed(verification) == names
    assert not verification.ok


@pytest.mark.parametrize("place", range(0, 620, 31))
def test_any_changed_byte_of_the_settle_transaction_is_seen(place: int) -> None:
    made = world()
    wire = bytearray(parts_of(made)[0]["settle"])
    wire[place % len(wire)] ^= 1
    assert "settle_signed" in failed(verify_bundle(settled_bundle(made, {"settle": bytes(wire)})))


@pytest.mark.parametrize(
    "changes",
    [
        {"job": account().job.model_copy(update={"run": address(77)})},
        {"job": account().job.model_copy(update={"poster": address(77)})},
        {"job": account().job.model_copy(update={"definition": file_cid(b"x")})},
        {"operations": (account().operations[0].model_copy(update={"exit_code": 1}),)},
        {"operations": (account().operations[0].model_copy(update={"status": "failed"}),)},
        {"operations": ()},
        {"gpus": ()},
        {"end": BundleEnd(stage="done", cause="host", refused=None)},
    ],
)
def test_a_node_that_tells_another_story_than_its_receipt_is_seen(changes: dict[str, Any]) -> None:
    assert failed(verify_bundle(settled_bundle(world(), **changes))) == {"bundle_agrees"}


def test_a_receipt_of_another_job_is_seen() -> None:
    job = account().job.model_copy(update={"job": address(77)})
    assert failed(verify_bundle(settled_bundle(world(), job=job))) >= {"settle_signed", "receipt_names_job"}


@pytest.mark.parametrize(
    "chain",
    [
        BundleChain(name="devnet", genesis=None, program=DEVNET.jobs),
        BundleChain(name="mainnet", genesis=DEVNET.genesis_hash, program=DEVNET.jobs),
        BundleChain(name="devnet", genesis=DEVNET.genesis_hash, program=NODE),
        BundleChain(name="elsewhere", genesis=None, program=DEVNET.jobs),
    ],
)
def test_a_chain_that_nobody_knows(chain: BundleChain) -> None:
    assert failed(verify_bundle(settled_bundle(world(), chain=chain))) == {"bundle"}


def test_a_full_bundle() -> None:
    made = world()
    held, said = parts_of(made)
    (cid,) = (cid for cid, body in made.files.items() if b'"opStates"' in body)
    more = {"definition": b"definition", "log/0": WHOLE_LOG, "result": made.files[cid]}
    body = bundle({**held, **more}, **{**said, "full": True, "cids": {**said["cids"], "result": cid}, "left_out": ()})
    found = outcomes(verify_bundle(body))
    for name in ("definition_cid", "whole_logs", "result_cid", "result_shape", "operations", "log_root"):
        assert found[name] is True, name


def test_a_confidential_job_opens_with_its_openings() -> None:
    hasher = MerkleHasher()
    hasher.update(WHOLE_LOG)
    digest = LogDigest(root=hasher.root(), length=hasher.length)
    outcome = replace(OUTCOME, operations=(replace(OUTCOME.operations[0], log=digest),))
    reveal = conceal(hidden_of(outcome, file_cid(b"sent")))
    made = world(Parts(receipt={"outcome": outcome, "reveal": reveal}))
    more = {"openings": json.dumps(reveal.document()).encode(), "log/0": WHOLE_LOG, "definition": b"sent"}
    verification = verify_bundle(settled_bundle(made, more, full=True))
    assert verification.ok, failed(verification)
    for name in ("definition_cid", "whole_logs"):
        assert outcomes(verification)[name] is True, name
    assert failed(verify_bundle(settled_bundle(made, more | {"log/0": WHOLE_LOG[1:]}))) == {"whole_logs"}
    assert failed(verify_bundle(settled_bundle(made, more | {"definition": b"other"}))) == {"definition_cid"}
    wrong = reveal.document()
    wrong["operations.0.image"]["value"] = "sha256:" + "00" * 32
    assert failed(verify_bundle(settled_bundle(made, more | {"openings": json.dumps(wrong).encode()})))


PARTS = parts_of(world())
STRANGER = Keypair.from_seed(bytes([91]) * 32)


def test_a_strangers_bundle_of_the_job_is_seen() -> None:
    """Anybody can make a bundle of any job, around what is public of it."""
    held, said = parts_of(world())
    theirs = account(**said, job=account().job.model_copy(update={"node": str(STRANGER.pubkey())}))
    body = build_bundle(theirs, held, lambda message: bytes(STRANGER.sign_message(message)))
    assert failed(verify_bundle(body)) == {"bundle_node", "bundle_agrees"}
    assert failed(
        verify_bundle(
            build_bundle(
                theirs.model_copy(update={"cids": {}, "earlier": ()}),
                {"settle": held["settle"]},
                lambda message: bytes(STRANGER.sign_message(message)),
            )
        )
    ) == {"bundle_node"}


WORDS = st.text(max_size=60) | st.sampled_from([JOB.address, JOB.definition_cid, "9" * 5000, "\x1b[2J", "\u202e"])


def stage(said: tuple[str, int]) -> BundleStage:
    return BundleStage(stage=said[0], entered_ms=said[1])


def link(said: tuple[str, str]) -> BundleEarlier:
    return BundleEarlier(part="earlier/1", receipt=said[0], settle=said[1])


NUMBERS = st.integers(-(10**39), 10**39)


@given(
    st.fixed_dictionaries(
        {
            "job": st.builds(
                account().job.model_copy,
                update=st.dictionaries(st.sampled_from(["run", "market", "poster", "definition"]), WORDS),
            ),
            "stages": st.lists(st.tuples(WORDS, NUMBERS).map(stage), max_size=3).map(tuple),
            "earlier": st.lists(st.tuples(WORDS, WORDS).map(link), max_size=3).map(tuple),
            "cids": st.dictionaries(st.sampled_from(["receipt", "card", "earlier/1", "settle"]), WORDS),
        }
    ),
    st.dictionaries(
        st.sampled_from(["openings", "samples", "log/0", "definition", "work", "result"]),
        st.binary(max_size=50)
        | st.just(json.dumps({f"operations.{'9' * 5000}.log": {"salt": "00" * 32, "value": {}}}).encode()),
    ),
)
@settings(max_examples=30)
def test_whatever_a_node_signs_is_judged_and_never_breaks_the_judge(
    changes: dict[str, Any], more: dict[str, bytes]
) -> None:
    held, said = PARTS
    verification = verify_bundle(bundle({**held, **more}, **(said | changes)))
    assert outcomes(verification)["bundle"] is not None
    json.dumps(verification.document())


def test_a_run_without_a_receipt_is_told_as_it_is() -> None:
    body = bundle(
        {},
        settlement=None,
        end=BundleEnd(stage="settle", cause=None, refused="admit"),
        missing=(BundleMissing(part="receipt", why="the run was given back"),),
    )
    verification = verify_bundle(body)
    assert verification.ok, "nothing failed, and nothing more is promised"
    assert {name for name, ok in outcomes(verification).items() if ok} == {"bundle"}
    details = {check.name: check.detail for check in verification.checks}
    assert "given back at admit" in details["run_ended"]
    assert "given back" in details["bundle_lacks"]


# --- with a chain -------------------------------------------------------------------------------------------


class ChainOnly(World):
    """A chain; whoever asks it for content fails."""

    async def fetch(self, cid: Any, limit: int) -> Any:
        raise AssertionError("content was asked for")


def chain_of(made: World) -> ChainOnly:
    chain = ChainOnly(accounts=made.accounts, transactions=made.transactions, history=made.history)
    chain.blocks = made.blocks
    return chain


async def test_a_chain_fills_in_what_only_it_knows() -> None:
    made = world()
    verification = await verify_bundle_online(settled_bundle(made), None, DEVNET, chain_of(made))
    assert verification.ok, failed(verification)
    for name in ("job_account", "settled", "result_on_chain", "pay", "start_block", "receipt_chain_settled", "memo"):
        assert outcomes(verification)[name] is True, name


async def test_a_chain_that_says_otherwise_is_believed() -> None:
    made = world()
    body = settled_bundle(made)
    wrong = replace(JOB, result_cid=file_cid(b"another"), state=JobState.DONE, time_start=1000, time_end=1003)
    made.accounts[JOB.address] = replace(made.accounts[JOB.address], data=encode_job(wrong))
    assert failed(await verify_bundle_online(body, None, DEVNET, chain_of(made))) == {"result_on_chain"}


async def test_a_settlement_that_never_landed_is_seen() -> None:
    """Offline, a signed transaction is all there is; only a chain knows whether it landed."""
    made = world()
    body = settled_bundle(made)
    assert verify_bundle(body).ok
    made.history.pop(JOB.address)
    verification = await verify_bundle_online(body, None, DEVNET, chain_of(made))
    assert "settled" in failed(verification)
    assert not verification.ok


async def test_another_cluster_is_not_asked() -> None:
    made = world()
    verification = await verify_bundle_online(settled_bundle(made), None, localnet(), chain_of(made))
    assert failed(verification) == {"bundle"}


async def test_what_is_no_bundle_asks_nobody() -> None:
    verification = await verify_bundle_online(b"{}", Address("x"), DEVNET, ChainOnly())
    assert failed(verification) == {"bundle"}


def test_only_parts_are_held() -> None:
    assert set(parse_bundle(settled_bundle(world())).parts) == {"receipt", "settle", "card", "earlier/1"}
