"""Bundles as files: one text for one content, and no bit that can be changed unnoticed or without being told where."""

import base64
import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from solders.pubkey import Pubkey

from node.errors import ProofError
from node.proof import bundle as module
from node.proof import bundle_document
from node.proof.bundle import BundleRefused, build_bundle, parse_bundle
from node.proof.bundle_document import PREDICATE_TYPE, BundleEarlier, BundleMissing, BundleWords
from node.proof.bundle_schema import FILE, bundle_schema, schema_text
from node.proof.envelope import canonical, pae, seal
from node.proof.model_schema import described_parts
from node.records import Address

from .bundles import WIRE, account, bundle
from .test_receipt import JOB, KEY, NODE, OTHER, receipt, sign

NAMES = st.sampled_from(["a", "card", "log/0", "log/12", "receipt", "settle", "z" * 16 + "/9999"])
PARTS = st.dictionaries(
    NAMES, st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()), max_size=6
)
SMALL = bundle()
"""With a receipt of text and a settle transaction of bytes."""
MEMBERS = {*account().document(), "parts", "digests", "statement", "envelope", "signature"}


def opened(body: bytes) -> dict[str, Any]:
    statement: dict[str, Any] = json.loads(base64.b64decode(json.loads(body)["payload"]))
    return statement


def part_of(body: bytes) -> str:
    """Which part the refusal names, without the byte."""
    with pytest.raises(BundleRefused) as raised:
        parse_bundle(body)
    assert raised.value.part in raised.value.message
    return raised.value.part.split(" ")[0]


def around(payload: bytes) -> bytes:
    """An envelope around another payload, with the signature of the small one."""
    outer = json.loads(SMALL)
    return canonical(outer | {"payload": base64.b64encode(payload).decode()})


def resigned(payload: bytes) -> bytes:
    """An envelope around any payload, which the node itself signed."""
    signature = sign(pae("application/vnd.in-toto+json", payload))
    entry = {"keyid": NODE, "sig": base64.b64encode(signature).decode()}
    return around(payload).replace(canonical(json.loads(SMALL)["signatures"][0]), canonical(entry))


@given(PARTS)
@settings(max_examples=60)
def test_what_goes_in_comes_out(parts: dict[str, bytes]) -> None:
    body = bundle(parts)
    read = parse_bundle(body)
    assert read.parts == parts
    assert read.signer == NODE
    assert read.account == account()
    assert build_bundle(read.account, read.parts, sign) == body
    assert canonical(json.loads(body)) == body
    payload = base64.b64decode(json.loads(body)["payload"])
    assert canonical(json.loads(payload)) == payload


@given(st.integers(0, len(SMALL) * 8 - 1))
@settings(max_examples=200)
def test_any_flipped_bit_of_the_file_is_caught_and_placed(bit: int) -> None:
    changed = bytearray(SMALL)
    changed[bit // 8] ^= 1 << bit % 8
    part = part_of(bytes(changed))
    assert part.startswith("parts/") or part in MEMBERS


def span(payload: bytes, value: bytes) -> range:
    at = payload.index(value)
    return range(at, at + len(value))


PAYLOAD = base64.b64decode(json.loads(SMALL)["payload"])
SPANS = {
    "parts/settle": span(PAYLOAD, base64.b64encode(WIRE)),
    "parts/receipt": span(PAYLOAD, b"e30="),
    "operations": span(PAYLOAD, b'"exitCode":0'),
    "gpus": span(PAYLOAD, b"Xid 79"),
    "settlement": span(PAYLOAD, b'"fee":5000'),
    "relaxations": span(PAYLOAD, b'"network.filter"'),
    "stages": span(PAYLOAD, b'[{"enteredMs":1,"stage":"fetch"}'),
    "job": span(PAYLOAD, b'"poster":'),
    "madeMs": span(PAYLOAD, b"1700000000000"),
    "digests": span(PAYLOAD, opened(SMALL)["predicate"]["digests"]["parts/settle"].encode()),
    "statement": span(PAYLOAD, PREDICATE_TYPE.encode()),
}


@given(st.sampled_from(sorted(SPANS)), st.integers(0, 1 << 16), st.integers(0, 7))
@settings(max_examples=200)
def test_the_part_that_is_named_is_the_one_that_was_changed(name: str, place: int, bit: int) -> None:
    changed = bytearray(PAYLOAD)
    changed[SPANS[name][place % len(SPANS[name])]] ^= 1 << bit
    found = part_of(around(bytes(changed)))
    # A digest that was changed accuses its part: which of the two is right, nobody can tell.
    assert found == name or (name, found) == ("digests", "parts/settle")


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(json.loads(SMALL)).encode(),
        json.dumps(json.loads(SMALL), separators=(",", ":"), sort_keys=False).encode() + b"\n",
        b" " + SMALL,
        SMALL.replace(b"payloadType", b"payloadTyp\\u0065"),
        SMALL[:-1],
        SMALL + SMALL,
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"null",
        json.dumps(json.loads(SMALL) | {"more": 1}, separators=(",", ":"), sort_keys=True).encode(),
        receipt(),
    ],
)
def test_another_encoding_is_refused(body: bytes) -> None:
    part_of(body)


@pytest.mark.parametrize(
    ("payload", "part", "told"),
    [
        (json.dumps(opened(SMALL)).encode(), "statement", "byte"),
        (PAYLOAD.replace(b'"fee":5000', b'"fee": 5000'), "settlement", "byte"),
        (PAYLOAD.replace(b'"e', b'"\\u0065', 1), "digests", "byte"),
        (PAYLOAD.replace(b'"fee":5000', b'"fee":5e3'), "statement", "whole numbers"),
        (PAYLOAD.replace(b'"fee":5000', b'"fee":-0'), "settlement", "byte"),
        (PAYLOAD.replace(b'"fee":5000', b'"fee":1,"fee":5000'), "statement", "JSON"),
    ],
)
def test_what_the_node_itself_signs_is_canonical_too(payload: bytes, part: str, told: str) -> None:
    """Else one content would have several files, all of them signed."""
    with pytest.raises(BundleRefused, match=told) as raised:
        parse_bundle(resigned(payload))
    assert raised.value.part.split(" ")[0] == part


def predicate(**changes: Any) -> bytes:
    """A bundle with other members, which the node itself signed; None leaves one out."""
    held = {**opened(SMALL)["predicate"], **changes}
    kept = {name: value for name, value in held.items() if value is not None or name in ("words",)}
    return seal(NODE, sign, subject=opened(SMALL)["subject"], predicate_type=PREDICATE_TYPE, predicate=kept)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"agent": "another"}, "agent"),
        ({"digests": None}, "digests"),
        ({"digests": {}}, "agent"),
        ({"digests": {"agent": "x"}}, "digests"),
        ({"parts": None}, "parts"),
        ({"parts": []}, "parts"),
        ({"parts": {}}, "parts/receipt"),
        ({"parts": {"Receipt": {"text": ""}}}, "parts"),
        ({"parts": {"receipt\n": {"text": ""}}}, "parts"),
        ({"parts": {"receipt": {"base64": "e30="}}}, "parts/receipt"),
        ({"parts": {"receipt": {"base64": "/x=="}}}, "parts/receipt"),
        ({"parts": {"receipt": {"text": "", "base64": ""}}}, "parts/receipt"),
        ({"parts": {"receipt": {"text": 1}}}, "parts/receipt"),
        ({"parts": {"receipt": "text"}}, "parts/receipt"),
        ({"later": 1}, "later"),
    ],
)
def test_members_that_do_not_agree_are_named(changes: dict[str, Any], part: str) -> None:
    assert part_of(predicate(**changes)) == part


def test_what_its_own_node_says_wrongly_is_refused() -> None:
    assert part_of(bundle(cids={"work": JOB.definition_cid})) == "parts/work"
    gone = BundleEarlier(part="earlier/1", receipt=JOB.definition_cid, settle=None)
    assert part_of(bundle(earlier=(gone,))) == "parts/earlier/1"
    subject = [{"name": NODE, "digest": {"solanaAddress": bytes(KEY.pubkey()).hex()}}]
    wrong = seal(NODE, sign, subject=subject, predicate_type=PREDICATE_TYPE, predicate=opened(SMALL)["predicate"])
    assert part_of(wrong) == "subject"


def test_only_the_runs_node_signs() -> None:
    with pytest.raises(ProofError, match="the signature is not by"):
        build_bundle(account(), {}, lambda message: bytes(OTHER.sign_message(message)))
    other = Address(str(OTHER.pubkey()))
    theirs = seal(
        other, lambda message: bytes(OTHER.sign_message(message)), subject=opened(SMALL)["subject"],
        predicate_type=PREDICATE_TYPE, predicate=opened(SMALL)["predicate"],
    )  # fmt: skip
    with pytest.raises(BundleRefused, match=f"of node {NODE}, signed by {other}"):
        parse_bundle(theirs)


def test_its_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", len(SMALL))
    assert parse_bundle(SMALL)
    with pytest.raises(ProofError, match="are allowed"):
        bundle({"receipt": b"x" * len(SMALL)})
    monkeypatch.setattr(module, "MAX_BYTES", len(SMALL) - 1)
    with pytest.raises(BundleRefused, match="at most"):
        parse_bundle(SMALL)
    assert module.MAX_PARTS_BYTES < (48 << 20) * 3 / 4


def test_deep_nesting_is_refused_without_a_stack() -> None:
    deep = resigned(b"[" * 200_000)
    with pytest.raises(BundleRefused):
        parse_bundle(deep)


def test_another_library_opens_it() -> None:
    envelope = Envelope.from_dict(json.loads(SMALL))
    key = SSlibKey(NODE, "ed25519", "ed25519", {"public": bytes(Pubkey.from_string(NODE)).hex()})
    assert list(envelope.verify([key], 1)) == [NODE]
    assert json.loads(envelope.payload)["predicateType"] == PREDICATE_TYPE


# --- its schema ---------------------------------------------------------------------------------------------

SCHEMA = bundle_schema()
RICH = bundle(
    {"receipt": b"{}", "earlier/1": b"\xff", "log/0": "é".encode()},
    words=BundleWords(refusal="", settlement="", job=("a",), operations=(("b", "c"),)),
    earlier=(BundleEarlier(part="earlier/1", receipt=JOB.definition_cid, settle=None),),
    missing=(BundleMissing(part="card", why="gone"),),
    cids={"receipt": JOB.definition_cid},
)


def test_the_schema_is_made_from_the_model() -> None:
    """`python -m node.proof.bundle_schema > node/proof/schemas/bundle-1.json` makes it anew."""
    assert (
        json.loads(resources.files("node.proof").joinpath(FILE).read_text("utf-8"))
        == SCHEMA
        == json.loads(schema_text())
    )
    jsonschema_rs.meta.validate(SCHEMA)
    assert FILE.rpartition("-")[2] == f"{PREDICATE_TYPE.rpartition(':')[2]}.json"


@pytest.mark.parametrize("body", [SMALL, RICH])
def test_bundles_keep_to_it(body: bytes) -> None:
    jsonschema_rs.validator_for(SCHEMA).validate(opened(body))


@pytest.mark.parametrize(
    "change", [{"predicateType": "urn:gpunode:bundle:2"}, {"subject": []}, {"predicate": {}}, {"more": 1}]
)
def test_other_statements_are_none(change: Mapping[str, Any]) -> None:
    assert not jsonschema_rs.validator_for(SCHEMA).is_valid({**opened(SMALL), **change})


def models() -> Iterator[tuple[str, type[BaseModel]]]:
    for name, each in vars(bundle_document).items():
        if isinstance(each, type) and issubclass(each, BaseModel) and each.__module__ == bundle_document.__name__:
            yield name, each


def test_every_field_is_described() -> None:
    assert {name for name, _ in models()} - {"_Said", "Digests"} == set(SCHEMA["$defs"])
    for name, part in (SCHEMA["$defs"] | described_parts(bundle_document.Digests)).items():
        assert len(part["description"]) > 10, name
        assert all(len(field["description"]) > 3 for field in part["properties"].values()), name
