"""Signed statements: an in-toto statement in a DSSE envelope, in its standard encoding.

What is signed is the pre-authentication encoding (PAE) of DSSE version 1: `DSSEv1`, then payload type and payload,
each with its length. Our JSON is canonical (sorted keys, no blanks, UTF-8, integers only), and an envelope that is
not encoded just so is refused, statement included, and so is one with a field more: there is one text for one
statement, and nothing in it that was not signed.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey
from solders.signature import Signature as Ed25519Signature

from node.bounded_json import JsonRefused, read_json
from node.errors import ProofError
from node.records import Address

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
MAX_BYTES = 1 << 20
"""Bytes of an envelope that is read."""

Sign = Callable[[bytes], bytes]
"""Signs a document with the node's key; 64 bytes. It refuses what could be taken for a transaction."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What was signed, after the signature was checked."""

    signer: Address
    subject: tuple[Mapping[str, Any], ...]
    predicate_type: str
    predicate: Mapping[str, Any]


def canonical(document: Any) -> bytes:
    """Canonical JSON. Raises ProofError for what has no exact form (floats, for instance)."""
    _check_exact(document)
    try:
        return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ProofError(f"the document has no canonical form: {error}") from None


def _check_exact(document: Any) -> None:
    stack = [document]
    while stack:
        value = stack.pop()
        if isinstance(value, float):
            raise ProofError("a signed document holds whole numbers only", hint="Use a smaller unit.")
        if isinstance(value, Mapping):
            stack += value.values()
        elif isinstance(value, list | tuple):
            stack += value


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed (DSSE version 1)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(
    signer: Address,
    sign: Sign,
    *,
    subject: Sequence[Mapping[str, Any]],
    predicate_type: str,
    predicate: Mapping[str, Any],
) -> bytes:
    """A signed envelope. `sign` must sign with the key of `signer`; raises ProofError if it did not."""
    payload = canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": list(subject),
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )
    message = pae(PAYLOAD_TYPE, payload)
    signature = sign(message)
    if not _signed(signer, message, signature):
        raise ProofError(f"the signature is not by {signer}", hint="The signer holds another key than the node's.")
    return canonical(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": signer, "sig": base64.b64encode(signature).decode()}],
        }
    )


def unseal(envelope: bytes, signer: Address | None, predicate_type: str, *, limit: int = MAX_BYTES) -> Statement:
    """The statement in an envelope, its signature checked.

    `signer` must have signed it; None accepts the key that the envelope names, whose identity is then all that is
    proven. `limit`: bytes that are read. Raises ProofError that says what is wrong.
    """
    outer = _load(envelope, "envelope", limit)
    signatures = outer.get("signatures")
    if outer.get("payloadType") != PAYLOAD_TYPE or not isinstance(signatures, list) or len(signatures) != 1:
        raise ProofError("the envelope is no in-toto statement with one signature")
    entry = signatures[0] if isinstance(signatures[0], dict) else {}
    if set(outer) != {"payload", "payloadType", "signatures"} or set(entry) != {"keyid", "sig"}:
        raise ProofError("the envelope has fields that no signature covers, or lacks some")
    named = entry.get("keyid")
    if not isinstance(named, str) or (signer is not None and named != signer):
        raise ProofError(f"the envelope is signed by {named}, not by {signer}")
    payload = _decode(outer.get("payload"), "payload")
    if not _signed(Address(named), pae(PAYLOAD_TYPE, payload), _decode(entry.get("sig"), "signature")):
        raise ProofError(f"the signature of {named} does not match the statement")
    if canonical(outer) != envelope:
        raise ProofError("the envelope is not in its canonical encoding")
    inner = _load(payload, "statement", limit)
    if canonical(inner) != payload:
        raise ProofError("the statement is not in its canonical encoding")
    return _statement(Address(named), inner, predicate_type)


def _statement(signer: Address, inner: Mapping[str, Any], predicate_type: str) -> Statement:
    subject, predicate = inner.get("subject"), inner.get("predicate")
    if (
        set(inner) != {"_type", "predicate", "predicateType", "subject"}
        or inner["_type"] != STATEMENT_TYPE
        or not isinstance(subject, list)
        or not all(isinstance(item, dict) for item in subject)
        or not isinstance(predicate, dict)
    ):
        raise ProofError("the payload is no in-toto statement")
    if inner.get("predicateType") != predicate_type:
        raise ProofError(f"the statement is of type {inner.get('predicateType')!r}, not {predicate_type!r}")
    return Statement(signer, tuple(subject), predicate_type, predicate)


def _load(data: bytes, what: str, limit: int) -> dict[str, Any]:
    if len(data) > limit:
        raise ProofError(f"the {what} has {len(data):,} bytes; at most {limit:,} are read")
    try:
        document = read_json(data, limit=limit)
    except JsonRefused:
        raise ProofError(f"the {what} is not JSON") from None
    if not isinstance(document, dict):
        raise ProofError(f"the {what} is no JSON object")
    return document


def _decode(text: object, what: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        raw = b""
    # Base64 has spare bits; only one spelling is accepted.
    if not raw or base64.b64encode(raw).decode() != text:
        raise ProofError(f"the {what} is not base64")
    return raw


def _signed(signer: Address, message: bytes, signature: bytes) -> bool:
    try:
        return Ed25519Signature.from_bytes(signature).verify(Pubkey.from_string(signer), message)
    except ValueError:
        return False
