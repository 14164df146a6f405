"""Receipts, host cards and memos: what is signed, by whom, and that nothing can be changed unnoticed."""

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature as Raw

from node.chain.clusters import DEVNET, MAINNET
from node.chain.policy import SpendingPolicy
from node.chain.wallet import Wallet
from node.content.cid import blocks, file_cid
from node.errors import ProofError
from node.proof.card import HostMeasures, build_card, verify_card
from node.proof.envelope import canonical, seal
from node.proof.memo import card_memo, memo_cid, parse_memo, receipt_memo
from node.proof.receipt import PREDICATE_TYPE, build_receipt, parse_receipt, verify_receipt
from node.records import (
    Address,
    Assignment,
    EndCause,
    EnergyReading,
    Gpu,
    GpuTelemetry,
    Job,
    JobState,
    LogDigest,
    OperationState,
    OperationStatus,
    Outcome,
    Run,
    Signature,
    WorkReference,
)

KEY = Keypair.from_seed(bytes(range(32)))
NODE = Address(str(KEY.pubkey()))
OTHER = Keypair.from_seed(bytes(range(1, 33)))


def address(seed: int) -> Address:
    return Address(str(Keypair.from_seed(bytes([seed]) * 32).pubkey()))


def sign(message: bytes) -> bytes:
    return bytes(KEY.sign_message(message))


JOB = Job(
    address=address(1),
    definition_cid=file_cid(b"definition"),
    result_cid=None,
    market=address(2),
    node=NODE,
    payer=address(3),
    price=100,
    project=address(3),
    state=JobState.QUEUED,
    time_end=0,
    time_start=0,
    timeout=600,
)
RUN = Run(address=address(4), job=JOB.address, node=NODE, payer=NODE, state=0, time=1_700_000_000)
ASSIGNMENT = Assignment("main", RUN, JOB, slot=500, blockhash=str(address(5)), seen_at=1.0)
OUTCOME = Outcome(
    job=JOB.address,
    cause=EndCause.COMPLETED,
    started_ms=1000,
    ended_ms=3000,
    operations=(
        OperationState(
            index=0,
            id="a",
            group="a",
            status=OperationStatus.SUCCESS,
            image_digest="sha256:" + "ab" * 32,
            command_hash="cd" * 32,
            started_ms=1000,
            ended_ms=3000,
            exit_code=0,
            log=LogDigest(root="ef" * 32, length=100),
            starts=1,
        ),
    ),
    energy=EnergyReading(joules=12.3456, source="counter", utilisation_mean=0.5, samples=4, samples_root="01" * 32),
    end_slot=510,
    end_blockhash=str(address(6)),
)
GPU = Gpu("simulated", 0, "GPU-sim-1", "Simulated", 1 << 30, "1.0", "12.0", "9.0", 300.5)
RESULT = file_cid(b"result")
PREVIOUS = (file_cid(b"previous"), Signature(str(OTHER.sign_message(b"settle"))))


def receipt(**changes: Any) -> bytes:
    arguments: dict[str, Any] = {
        "assignment": ASSIGNMENT,
        "outcome": OUTCOME,
        "result": RESULT,
        "cluster": DEVNET,
        "gpus": (GPU,),
        "agent_version": "0.1.0",
        "previous": PREVIOUS,
        "sign": sign,
    }
    return build_receipt(**(arguments | changes))


RECEIPT = receipt()


def test_a_receipt_states_the_job() -> None:
    fields = verify_receipt(RECEIPT, NODE)
    assert (fields.job, fields.run, fields.market, fields.node) == (JOB.address, RUN.address, JOB.market, NODE)
    assert (fields.definition, fields.result, fields.poster) == (JOB.definition_cid, RESULT, JOB.project)
    assert fields.chain.program == DEVNET.jobs
    assert fields.chain.genesis == DEVNET.genesis_hash
    assert (fields.start.slot, fields.end.slot if fields.end else None) == (500, 510)
    (operation,) = fields.operations
    assert operation.image == OUTCOME.operations[0].image_digest
    assert operation.command == "cd" * 32
    assert operation.exit_code == 0
    assert operation.log is not None
    assert (operation.log.root, operation.log.length, operation.log.chunk) == ("ef" * 32, 100, 65536)
    assert fields.gpus[0].uuid == GPU.uuid
    assert fields.energy is not None
    assert (fields.energy.millijoules, fields.energy.utilisation_permille) == (12346, 500)
    assert fields.prev is not None
    assert (fields.prev.receipt, fields.prev.settle) == PREVIOUS
    assert fields.prev_reason == ""
    assert fields.agent == "gpunode/0.1.0"
    assert parse_receipt(RECEIPT) == fields


TELEMETRY = GpuTelemetry(
    uuid=GPU.uuid,
    samples=4,
    seconds=1.5,
    joules=12.3456,
    source="counter",
    utilisation_mean=0.5,
    memory_most=1 << 29,
    power_most=99.5,
    temperature_most=60,
    throttled=(("power cap", 0.25),),
    errors=("Xid 79: " + "x" * 400,) * 70,
)
WORK = WorkReference("11" * 32, file_cid(b"work"), "22" * 32, Signature("memo"), "cuda", GPU.uuid, 1_700_000_000_000)


def test_a_receipt_sums_up_telemetry_and_names_proof_and_ladder() -> None:
    assert OUTCOME.energy is not None
    measured = replace(OUTCOME, energy=replace(OUTCOME.energy, gpus=(TELEMETRY, replace(TELEMETRY, uuid="GPU-2"))))
    fields = verify_receipt(receipt(outcome=measured, work=WORK, ladder="33" * 32), NODE)
    assert fields.telemetry is not None
    assert (fields.telemetry.root, fields.telemetry.samples) == ("01" * 32, 4)
    first, second = fields.telemetry.gpus
    assert (first.uuid, first.samples, first.milliseconds, first.millijoules, first.source) == (
        GPU.uuid, 4, 1500, 12346, "counter",
    )  # fmt: skip
    assert (first.utilisation_permille, first.memory_most_bytes) == (500, 1 << 29)
    assert (first.power_most_milliwatts, first.temperature_most_celsius) == (99_500, 60)
    assert [(each.reason, each.milliseconds) for each in first.throttled] == [("power cap", 250)]
    assert (len(first.errors), max(map(len, first.errors))) == (64, 300)
    assert second.uuid == "GPU-2"
    assert fields.work is not None
    assert fields.work.model_dump(by_alias=True) == {
        "sha256": "11" * 32,
        "cid": WORK.cid,
        "root": "22" * 32,
        "memo": "memo",
        "engine": "cuda",
        "gpu": GPU.uuid,
        "madeMs": 1_700_000_000_000,
    }
    assert fields.ladder == "33" * 32
    without = verify_receipt(receipt(outcome=replace(OUTCOME, energy=None)), NODE)
    assert (without.telemetry, without.work, without.ladder, without.commitments) == (None, None, None, {})


def test_the_receipt_of_a_lost_journal_names_what_the_chain_showed() -> None:
    fields = verify_receipt(receipt(previous=None, previous_reason="the journal was lost", seen=PREVIOUS), NODE)
    assert (fields.prev, fields.prev_reason) == (None, "the journal was lost")
    assert fields.prev_seen is not None
    assert (fields.prev_seen.receipt, fields.prev_seen.settle) == PREVIOUS
    assert verify_receipt(receipt(seen=PREVIOUS), NODE).prev_seen is None


def test_an_earlier_release_s_receipt_is_read() -> None:
    """It lacks what has come since."""
    payload = json.loads(base64.b64decode(json.loads(RECEIPT)["payload"]))
    for key in ("telemetry", "work", "ladder", "commitments", "prevSeen"):
        del payload["predicate"][key]
    earlier = seal(
        NODE, sign, subject=payload["subject"], predicate_type=PREDICATE_TYPE, predicate=payload["predicate"]
    )
    fields = verify_receipt(earlier, NODE)
    assert (fields.telemetry, fields.work, fields.ladder, fields.commitments, fields.prev_seen) == (
        None, None, None, {}, None,
    )  # fmt: skip


def test_a_receipt_with_nothing_known() -> None:
    bare = replace(OUTCOME, operations=(), energy=None, end_slot=None)
    fields = verify_receipt(receipt(outcome=bare, gpus=(), previous=None, previous_reason="first receipt"), NODE)
    assert (fields.energy, fields.end, fields.prev, fields.prev_reason) == (None, None, None, "first receipt")
    with pytest.raises(ProofError, match="says why"):
        receipt(previous=None)


def test_the_same_facts_give_the_same_bytes() -> None:
    assert receipt() == RECEIPT
    assert receipt(cluster=MAINNET) != RECEIPT


def test_the_signature_is_checked_by_others() -> None:
    """DSSE from its published definition, with no code of ours."""
    envelope = json.loads(RECEIPT)
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"]
    message = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    (entry,) = envelope["signatures"]
    assert Raw.from_bytes(base64.b64decode(entry["sig"])).verify(Pubkey.from_string(entry["keyid"]), message)
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == PREDICATE_TYPE
    assert statement["subject"][0]["uri"] == f"ipfs://{RESULT}"


def test_securesystemslib_agrees() -> None:
    """A reader of the standard encoding that others wrote."""
    key = SSlibKey(NODE, "ed25519", "ed25519", {"public": bytes(KEY.pubkey()).hex()})
    Envelope.from_dict(json.loads(RECEIPT)).verify([key], threshold=1)
    stranger = SSlibKey(NODE, "ed25519", "ed25519", {"public": bytes(OTHER.pubkey()).hex()})
    with pytest.raises(VerificationError):
        Envelope.from_dict(json.loads(RECEIPT)).verify([stranger], threshold=1)


def test_the_wallet_signs_receipts_and_cards(tmp_path: Path) -> None:
    wallet = Wallet.create(tmp_path / "key.json")
    sign_document = wallet.signer(SpendingPolicy(DEVNET, {})).sign_document
    mine = replace(ASSIGNMENT, run=replace(RUN, node=wallet.address))
    assert verify_receipt(receipt(assignment=mine, sign=sign_document), wallet.address).node == wallet.address
    envelope = build_card(wallet.address, [GPU], HOST, agent_version="0.1.0", sign=sign_document)
    assert verify_card(envelope, wallet.address).node == wallet.address


def test_another_key_is_refused() -> None:
    with pytest.raises(ProofError, match="not by"):
        receipt(sign=lambda message: bytes(OTHER.sign_message(message)))
    with pytest.raises(ProofError, match="signed by"):
        verify_receipt(RECEIPT, Address(str(OTHER.pubkey())))


@given(st.integers(0, len(RECEIPT) - 1), st.integers(1, 255))
@settings(max_examples=300)
def test_any_changed_byte_is_caught(at: int, change: int) -> None:
    changed = bytearray(RECEIPT)
    changed[at] ^= change
    with pytest.raises(ProofError):
        verify_receipt(bytes(changed), NODE)


@pytest.mark.parametrize(
    "change",
    [
        lambda e: json.dumps(e),  # another encoding of the same document
        lambda e: canonical(e).decode() + "\n",
        lambda e: canonical(e | {"signatures": e["signatures"] * 2}).decode(),
        lambda e: canonical(e | {"signatures": []}).decode(),
        lambda e: canonical(e | {"extra": 1}).decode().replace('"extra":1', '"extra":1.5'),
        lambda e: "[" * 100_000,
        lambda e: "null",
        lambda e: "",
    ],
)
def test_other_encodings_are_refused(change: Any) -> None:
    with pytest.raises(ProofError):
        verify_receipt(change(json.loads(RECEIPT)).encode(), NODE)


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    for read in (lambda: parse_receipt(noise), lambda: verify_card(noise, NODE)):
        with pytest.raises(ProofError):
            read()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(verify_receipt(RECEIPT, NODE).model_dump(by_alias=True))), JSON)
@settings(max_examples=150)
def test_a_signed_but_malformed_statement_is_refused_or_harmless(key: str, value: Any) -> None:
    """The node itself may write anything and sign it."""
    payload = json.loads(base64.b64decode(json.loads(RECEIPT)["payload"]))
    predicate = payload["predicate"] | {key: value}
    envelope = seal(NODE, sign, subject=payload["subject"], predicate_type=PREDICATE_TYPE, predicate=predicate)
    try:
        fields = verify_receipt(envelope, NODE)
    except ProofError:
        return
    assert fields.node == NODE


def test_a_card_is_no_receipt() -> None:
    with pytest.raises(ProofError, match="of type"):
        verify_receipt(card(), NODE)


# --- host card --------------------------------------------------------------------------------------

HOST = HostMeasures("x86_64", 8, 1 << 34, 1 << 38, 50_000, True, 1_700_000_000.5)


def card(**changes: Any) -> bytes:
    arguments: dict[str, Any] = {"node": NODE, "gpus": (GPU,), "host": HOST}
    return build_card(**(arguments | changes), agent_version="0.1.0", sign=sign)


def test_a_host_card_lists_gpus_and_measures() -> None:
    fields = verify_card(card(), NODE)
    (gpu,) = fields.gpus
    assert (gpu.uuid, gpu.name, gpu.vram_bytes, gpu.driver) == (GPU.uuid, GPU.name, GPU.vram_bytes, GPU.driver)
    assert (gpu.compute_capability, gpu.power_limit_milliwatts) == ("9.0", 300_500)
    assert (fields.host.iops, fields.host.measured_ms, fields.host.cpus) == (50_000, 1_700_000_000_500, 8)
    assert fields.lists([GPU])
    assert not fields.lists([replace(GPU, uuid="GPU-sim-2")])
    assert not fields.lists([replace(GPU, driver="2.0")])
    assert not fields.lists([])


def test_a_card_by_another_key_is_refused() -> None:
    with pytest.raises(ProofError):
        verify_card(card(), Address(str(OTHER.pubkey())))
    with pytest.raises(ProofError):
        card(node=Address(str(OTHER.pubkey())))
    with pytest.raises(ProofError, match="no address"):
        card(node=Address("nonsense"))


@given(st.integers(0, len(card()) - 1), st.integers(1, 255))
@settings(max_examples=100)
def test_any_changed_byte_of_a_card_is_caught(at: int, change: int) -> None:
    changed = bytearray(card())
    changed[at] ^= change
    with pytest.raises(ProofError):
        verify_card(bytes(changed), NODE)


# --- canonical form and memos -----------------------------------------------------------------------


def test_canonical_form() -> None:
    assert canonical({"b": [1, None, True], "a": "é"}) == '{"a":"é","b":[1,null,true]}'.encode()
    for document in ({"x": 1.0}, {"x": [float("nan")]}, {"x": object()}, {"x": "\ud800"}):
        with pytest.raises(ProofError):
            canonical(document)


def test_memos() -> None:
    cid = file_cid(b"receipt")
    assert receipt_memo(cid) == f"gpunode/1 r={cid}"
    assert card_memo(cid) == f"gpunode/1 h={cid}"
    assert parse_memo(f"gpunode/1 x=1 r={cid} r=2 y") == {"x": "1", "r": cid}
    assert memo_cid(f"gpunode/1 later=thing r={cid}", "r") == cid
    assert memo_cid(f"gpunode/1 h={cid}", "r") is None
    assert memo_cid("gpunode/1 r=nonsense", "r") is None
    for other in ("", "gpunode/2 r=x", "gpunode/1", f"x gpunode/1 r={cid}", f"gpunode/1r={cid}"):
        assert memo_cid(other, "r") is None


@given(st.text(max_size=40))
def test_any_memo_parses(text: str) -> None:
    assert isinstance(parse_memo(text), dict)
    assert memo_cid("gpunode/1 r=" + text, "r") is None


def test_subject_digest_is_the_one_on_the_chain() -> None:
    block = dict(blocks(b"result"))[RESULT]
    payload = json.loads(base64.b64decode(json.loads(RECEIPT)["payload"]))
    assert payload["subject"][0]["digest"] == {"dagPbSha256": hashlib.sha256(block).hexdigest()}
