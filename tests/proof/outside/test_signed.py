"""Receipts and host cards before both verifiers, whole and damaged; and two texts for one statement."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.content.cid import file_cid
from node.content.merkle import MerkleHasher
from node.errors import ProofError
from node.proof.card import verify_card
from node.proof.receipt import verify_receipt
from node.records import Address
from tests.proof.outside.encoding import Wrong, cid_of, digest_of_cid, from_base58, merkle_root, spelled, to_base58
from tests.proof.outside.signed import ORDER, PAYLOAD_TYPE, SMALL, card_of, of_small_order, receipt_of, signed
from tests.proof.test_receipt import NODE, OTHER, RECEIPT, RESULT, card, sign

CARD = card()
READERS: dict[str, tuple[bytes, Callable[..., Any], Callable[..., Any]]] = {
    "receipt": (RECEIPT, verify_receipt, receipt_of),
    "card": (CARD, verify_card, card_of),
}


def accepted(kind: str, raw: bytes, node: str = NODE) -> bool:
    """Whether it holds, which both must say alike."""
    _, ours, theirs = READERS[kind]
    try:
        ours(raw, Address(node))
        first = True
    except ProofError:
        first = False
    try:
        theirs(raw, node)
        second = True
    except Wrong:
        second = False
    assert first == second, f"ours says {first}, the other {second}"
    return first


@pytest.mark.parametrize("kind", READERS)
def test_good_documents_pass(kind: str) -> None:
    assert accepted(kind, READERS[kind][0])
    assert not accepted(kind, READERS[kind][0], str(OTHER.pubkey()))
    assert receipt_of(RECEIPT, NODE)["result"] == RESULT


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_any_flipped_bit_is_found_alike(kind: str, data: st.DataObject) -> None:
    raw = bytearray(READERS[kind][0])
    where = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[where // 8] ^= 1 << where % 8
    assert not accepted(kind, bytes(raw))


# --- what anybody can do to an envelope ---------------------------------------------------------------


def outer(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[bytes], bytes]:
    return lambda raw: spelled(change(json.loads(raw)))


def with_signature(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def changed(raw: bytes) -> bytes:
        envelope = json.loads(raw)
        made = change(base64.b64decode(envelope["signatures"][0]["sig"]))
        envelope["signatures"][0]["sig"] = base64.b64encode(made).decode()
        return spelled(envelope)

    return changed


def plus_order(signature: bytes) -> bytes:
    return signature[:32] + (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def spare_bits(raw: bytes) -> bytes:
    envelope = json.loads(raw)
    text = envelope["signatures"][0]["sig"]
    assert text.endswith("==")
    envelope["signatures"][0]["sig"] = text[:-3] + LETTERS[LETTERS.index(text[-3]) ^ 1] + "=="
    return spelled(envelope)


ANYBODY: dict[str, Callable[[bytes], bytes]] = {
    "a newline behind": lambda raw: raw + b"\n",
    "a blank before": lambda raw: b" " + raw,
    "a byte order mark": lambda raw: b"\xef\xbb\xbf" + raw,
    "a zero byte behind": lambda raw: raw + b"\0",
    "blanks between": lambda raw: json.dumps(json.loads(raw), sort_keys=True).encode(),
    "another order": lambda raw: json.dumps(dict(reversed(json.loads(raw).items())), separators=(",", ":")).encode(),
    "UTF-16": lambda raw: raw.decode().encode("utf-16"),
    "a key twice": lambda raw: raw.replace(b'"payloadType"', b'"payloadType":"x","payloadType"'),
    "a key escaped": lambda raw: raw.replace(b'"payload"', b'"\\u0070ayload"'),
    "a slash escaped": lambda raw: raw.replace(b"vnd.in-toto", b"vnd.in\\u002dtoto"),
    "a field more": outer(lambda e: e | {"note": "unsigned"}),
    "a signature field more": outer(lambda e: e | {"signatures": [e["signatures"][0] | {"cert": "x"}]}),
    "the signature twice": outer(lambda e: e | {"signatures": e["signatures"] * 2}),
    "a stranger's signature too": outer(lambda e: e | {"signatures": [*e["signatures"], strangers(e)]}),
    "a stranger's signature": outer(lambda e: e | {"signatures": [strangers(e)]}),
    "a stranger's signature, our key's name": outer(
        lambda e: e | {"signatures": [strangers(e) | {"keyid": NODE}]}
    ),
    "our signature, a stranger's name": outer(
        lambda e: e | {"signatures": [e["signatures"][0] | {"keyid": str(OTHER.pubkey())}]}
    ),
    "no signature": outer(lambda e: e | {"signatures": []}),
    "no key's name": outer(lambda e: e | {"signatures": [{"sig": e["signatures"][0]["sig"]}]}),
    "a name for the key in hex": outer(
        lambda e: e | {"signatures": [e["signatures"][0] | {"keyid": from_base58(NODE, 32, "").hex()}]}
    ),
    "another payload type": outer(lambda e: e | {"payloadType": "application/json"}),
    "a payload type in capitals": outer(lambda e: e | {"payloadType": PAYLOAD_TYPE.upper()}),
    "signatures that are no list": outer(lambda e: e | {"signatures": e["signatures"][0]}),
    "a payload in url-safe base64": outer(lambda e: e | {"payload": e["payload"].replace("+", "-") + "-"}),
    "a payload with a newline": outer(lambda e: e | {"payload": e["payload"][:76] + "\n" + e["payload"][76:]}),
    "a payload without its end": outer(lambda e: e | {"payload": e["payload"][:-4]}),
    "spare bits": spare_bits,
    "s + L": with_signature(plus_order),
    "a signature of zeros": with_signature(lambda sig: bytes(64)),
    "a short signature": with_signature(lambda sig: sig[:63]),
    "a long signature": with_signature(lambda sig: sig + b"\0"),
    "a nonce of small order": with_signature(lambda sig: bytes([1]) + bytes(31) + sig[32:]),
    "deep nesting": lambda raw: raw.replace(b'"payload"', b'"a":' + b"[" * 9000 + b"]" * 9000 + b',"payload"'),
    "more than a megabyte": lambda raw: raw.replace(b'"payload"', b'"a":"' + b"a" * 2**20 + b'","payload"'),
}  # fmt: skip


def strangers(envelope: dict[str, Any]) -> dict[str, str]:
    payload = base64.b64decode(envelope["payload"])
    message = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
    return {"keyid": str(OTHER.pubkey()), "sig": base64.b64encode(bytes(OTHER.sign_message(message))).decode()}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("how", ANYBODY)
def test_there_is_one_envelope_for_one_statement(kind: str, how: str) -> None:
    good = READERS[kind][0]
    changed = ANYBODY[how](good)
    assert changed != good
    assert not accepted(kind, changed)


# --- what the node itself can sign --------------------------------------------------------------------


def resigned(raw: bytes, change: Callable[[bytes], bytes], kind: str = PAYLOAD_TYPE) -> bytes:
    """The envelope with another payload, signed by the right key."""
    payload = change(base64.b64decode(json.loads(raw)["payload"]))
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    entry = {"keyid": NODE, "sig": base64.b64encode(sign(message)).decode()}
    return spelled({"payload": base64.b64encode(payload).decode(), "payloadType": kind, "signatures": [entry]})


def inner(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[bytes], bytes]:
    return lambda payload: spelled(change(json.loads(payload)))


def with_subject(**changes: Any) -> Callable[[bytes], bytes]:
    return inner(lambda s: s | {"subject": [s["subject"][0] | changes]})


NODES_OWN: dict[str, Callable[[bytes], bytes]] = {
    "a newline behind": lambda payload: payload + b"\n",
    "blanks between": lambda payload: json.dumps(json.loads(payload), sort_keys=True, ensure_ascii=False).encode(),
    "another order": lambda p: json.dumps(dict(reversed(json.loads(p).items())), separators=(",", ":")).encode(),
    "a key twice": lambda payload: payload.replace(b'"agent":', b'"agent":"x","agent":'),
    "a key escaped": lambda payload: payload.replace(b'"agent"', b'"\\u0061gent"'),
    "a fraction that is whole": lambda payload: payload.replace(b'Ms":', b'Ms":0.0,"x":', 1),
    "an exponent": lambda payload: payload.replace(b'"_type"', b'"A":1e0,"_type"'),
    "a minus before nothing": lambda payload: payload.replace(b'"agent":', b'"a":-0,"agent":'),
    "a number without end": lambda payload: payload.replace(b'"agent":', b'"a":1e999,"agent":'),
    "not a number": lambda payload: payload.replace(b'"agent":', b'"a":NaN,"agent":'),
    "a number of many digits": lambda payload: payload.replace(b'"agent":', b'"a":' + b"9" * 5000 + b',"agent":'),
    "deep nesting": lambda payload: payload.replace(b'"agent":', b'"a":' + b"[" * 99 + b"]" * 99 + b',"agent":'),
    "half a character": lambda payload: payload.replace(b'"agent":"', b'"agent":"\\udfff'),
    "no UTF-8": lambda payload: payload.replace(b'"agent":"', b'"agent":"\xff'),
    "a field more beside the statement's": inner(lambda s: s | {"also": 1}),
    "another statement type": inner(lambda s: s | {"_type": "https://in-toto.io/Statement/v0.1"}),
    "another predicate type": inner(lambda s: s | {"predicateType": "urn:gpunode:receipt:2"}),
    "another subject's name": with_subject(name="other"),
    "another subject's digest": with_subject(digest={"ed25519": "00"}),
    "a subject that says more": with_subject(annotations={}),
    "another subject's address": with_subject(uri="ipfs://QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"),
    "two subjects": inner(lambda s: s | {"subject": s["subject"] * 2}),
    "no subject": inner(lambda s: s | {"subject": []}),
    "another node": inner(lambda s: s | {"predicate": s["predicate"] | {"node": str(OTHER.pubkey())}}),
    "no predicate": inner(lambda s: s | {"predicate": None}),
    "a list": lambda payload: b"[]",
    "nothing": lambda payload: b"",
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("how", NODES_OWN)
def test_there_is_one_payload_for_one_statement(kind: str, how: str) -> None:
    good = READERS[kind][0]
    assert resigned(good, lambda payload: payload) == good
    changed = resigned(good, NODES_OWN[how])
    assert changed != good
    assert not accepted(kind, changed)


ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**62, 2**66)
    | st.text(max_size=3)
    | st.just([])
    | st.just({})
)


@given(data=st.data(), value=ODD)
@settings(max_examples=80, deadline=None)
def test_nonsense_that_the_node_signs_is_judged_alike(data: st.DataObject, value: Any) -> None:
    """Any value anywhere in a receipt: the model of the one verifier and the schema of the other say the same."""
    payload = json.loads(base64.b64decode(json.loads(RECEIPT)["payload"]))
    holder: Any = payload["predicate"]
    while True:
        place = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        if not (isinstance(holder[place], dict | list) and holder[place] and data.draw(st.booleans())):
            break
        holder = holder[place]
    holder[place] = value
    accepted("receipt", resigned(RECEIPT, lambda _: spelled(payload)))


def test_a_later_version_may_say_more() -> None:
    """Fields that this version does not know are passed over, in the predicate only."""
    more = inner(lambda s: s | {"predicate": s["predicate"] | {"later": {"x": [1, None, "\x00\u2028"]}}})
    assert accepted("receipt", resigned(RECEIPT, more))
    assert accepted("card", resigned(CARD, more))


def test_a_signature_is_for_its_payload_type() -> None:
    assert not accepted("receipt", resigned(RECEIPT, lambda payload: payload, "application/vnd.in-toto+JSON"))


def test_keys_of_small_order_sign_nothing() -> None:
    """For such a key there are signatures that hold for many messages, which OpenSSL by itself takes."""
    from solders.pubkey import Pubkey
    from solders.signature import Signature

    from node.proof.envelope import seal

    identity = bytes([1]) + bytes(31)
    universal = identity + bytes(32)
    assert not signed(identity, b"anything", universal)
    assert not Signature.from_bytes(universal).verify(Pubkey.from_bytes(identity), b"anything")
    node = Address(to_base58(identity))
    with pytest.raises(ProofError):
        seal(node, lambda _: universal, subject=[{}], predicate_type="x", predicate={})
    assert all(of_small_order(y.to_bytes(32, "little")) for y in SMALL)
    assert not of_small_order(from_base58(NODE, 32, ""))


# --- the forms beside --------------------------------------------------------------------------------


@given(st.binary(max_size=3000))
@settings(max_examples=50, deadline=None)
def test_cids_and_roots_agree(data: bytes) -> None:
    assert cid_of(data) == file_cid(data)
    hasher = MerkleHasher(64)
    hasher.update(data)
    assert merkle_root(data, 64) == hasher.root()


@pytest.mark.parametrize("length", [0, 262_143, 262_144, 262_145, 3 * 262_144, 175 * 262_144])
def test_cids_of_large_files_agree(length: int) -> None:
    data = bytes(length)
    assert cid_of(data) == file_cid(data)
    assert digest_of_cid(cid_of(data), "cid")


@given(
    st.binary(min_size=32, max_size=32) | st.integers(0, 32).map(lambda zeros: bytes(zeros) + b"\x07" * (32 - zeros))
)
@settings(max_examples=50, deadline=None)
def test_base58_agrees(raw: bytes) -> None:
    from node.base58 import b58decode, b58encode

    assert to_base58(raw) == b58encode(raw)
    assert from_base58(to_base58(raw), 32, "") == b58decode(to_base58(raw)) == raw
