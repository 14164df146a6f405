"""Statements in DSSE envelopes, read with securesystemslib and checked with the `cryptography` package's Ed25519."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import FormatError, UnverifiedSignatureError, VerificationError
from securesystemslib.signer import SSlibKey

from tests.proof.outside.encoding import Wrong, canonical_json, digest_of_cid, from_base58, from_base64

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
RECEIPT = "urn:gpunode:receipt:1"
CARD = "urn:gpunode:host:1"
MOST_BYTES = 1 << 20

SCHEMAS = Path(__file__).parents[3] / "node" / "proof" / "schemas"
"""Published beside the page: what is read there are two JSON files, and no code."""

FIELD = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
EIGHTH = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL = {0, 1, FIELD - 1, EIGHTH, FIELD - EIGHTH}
"""The y of every point of small order on the curve (RFC 8032's edwards25519)."""


def of_small_order(point: bytes) -> bool:
    return (int.from_bytes(point, "little") & (2**255 - 1)) % FIELD in SMALL


def signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """As a cluster checks it: canonical scalar, and neither key nor nonce of small order."""
    if len(signature) != 64 or int.from_bytes(signature[32:], "little") >= ORDER:
        return False
    if of_small_order(key) or of_small_order(signature[:32]):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def schema(name: str) -> Any:
    """A validator of statements."""
    return jsonschema_rs.validator_for(json.loads((SCHEMAS / name).read_text()))


RECEIPTS, BUNDLES = schema("receipt-1.json"), schema("bundle-1.json")


def statement_of(raw: bytes, node: str, kind: str, part: str, most: int = MOST_BYTES) -> dict[str, Any]:
    """The statement that `node` signed."""
    envelope = canonical_json(raw, part, most)
    if not isinstance(envelope, dict) or set(envelope) != {"payload", "payloadType", "signatures"}:
        raise Wrong(part, "no envelope")
    entries = envelope["signatures"]
    if envelope["payloadType"] != PAYLOAD_TYPE or not isinstance(entries, list) or len(entries) != 1:
        raise Wrong(part, "another payload, or not one signature")
    if not isinstance(entries[0], dict) or set(entries[0]) != {"keyid", "sig"} or entries[0]["keyid"] != node:
        raise Wrong(part, "signed by somebody else")
    key = from_base58(node, 32, part)
    payload, signature = from_base64(envelope["payload"], part), from_base64(entries[0]["sig"], part)
    try:
        public = SSlibKey(node, "ed25519", "ed25519", {"public": key.hex()})
        Envelope.from_dict(envelope).verify([public], threshold=1)
    except (VerificationError, UnverifiedSignatureError, FormatError, ValueError, KeyError):
        raise Wrong(part, "the signature does not match") from None
    message = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
    if not signed(key, message, signature):
        raise Wrong(part, "no signature that a cluster would take")
    statement = canonical_json(payload, part, most)
    if not isinstance(statement, dict) or set(statement) != {"_type", "predicate", "predicateType", "subject"}:
        raise Wrong(part, "no statement")
    if statement["_type"] != STATEMENT or statement["predicateType"] != kind:
        raise Wrong(part, "another kind of statement")
    if not isinstance(statement["predicate"], dict):
        raise Wrong(part, "no predicate")
    return statement


def receipt_of(raw: bytes, node: str, part: str = "receipt_signature") -> dict[str, Any]:
    """A receipt's fields."""
    statement = statement_of(raw, node, RECEIPT, part)
    if not RECEIPTS.is_valid(statement):
        raise Wrong(part, "not what the schema says")
    fields = statement["predicate"]
    if fields.get("node") != node:
        raise Wrong(part, "another node's")
    result = fields.get("result")
    digest = digest_of_cid(result, part).hex()
    subject = [{"digest": {"dagPbSha256": digest}, "name": "result", "uri": f"ipfs://{result}"}]
    if statement["subject"] != subject:
        raise Wrong(part, "the subject is not the result")
    return fields


def card_of(raw: bytes, node: str, part: str = "host_card") -> dict[str, Any]:
    """A host card's fields."""
    statement = statement_of(raw, node, CARD, part)
    fields = statement["predicate"]
    subject = [{"digest": {"ed25519": from_base58(node, 32, part).hex()}, "name": node}]
    if fields.get("node") != node or statement["subject"] != subject:
        raise Wrong(part, "another node's")
    return fields
