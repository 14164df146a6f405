"""Telling which part of a damaged bundle is damaged. What is found is help for people; the refusal stands anyway."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

from node.bounded_json import JsonRefused, read_json
from node.errors import ProofError
from node.proof.bundle_document import PART_NAME, PREDICATE_TYPE, Account, subject_of
from node.proof.envelope import PAYLOAD_TYPE, STATEMENT_TYPE, canonical

_PLACE = re.compile(r"at (byte|character) (\d+)")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}:,]', re.DOTALL)
_PART = re.compile("parts/" + PART_NAME.strip("^$"))
_MEMBERS = frozenset({"parts", "digests", *(field.alias or name for name, field in Account.model_fields.items())})
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")


def damaged_part(body: bytes, limit: int) -> str:
    """Where the file is not as it was signed: `parts/NAME`, another member of the bundle, or `envelope`, `signature`,
    each with the byte where that can be told."""
    try:
        outer = read_json(body, limit=limit)
    except JsonRefused as error:
        return _in_envelope(body, _position(body, error))
    if not isinstance(outer, dict) or outer.get("payloadType") != PAYLOAD_TYPE:
        return "envelope"
    text = outer.get("payload")
    payload = _payload(text)
    if payload is None:
        found = _NOT_BASE64.search(text) if isinstance(text, str) else None
        return _in_envelope(body, None if found is None else len(b'{"payload":"') + found.start())
    at = _difference(outer, body)
    if at is not None:
        return _in_envelope(body, at)
    try:
        inner = read_json(payload, limit=limit)
    except JsonRefused as error:
        return _in_payload(payload, _position(payload, error))
    at = _difference(inner, payload)
    if at is not None:
        return _in_payload(payload, at)
    return _by_digest(inner)


def _by_digest(inner: Any) -> str:
    predicate = inner.get("predicate") if isinstance(inner, dict) else None
    if not isinstance(predicate, dict):
        return "statement"
    digests, parts = predicate.get("digests"), predicate.get("parts")
    if not isinstance(digests, dict) or not isinstance(parts, dict):
        return "digests" if isinstance(parts, dict) else "parts"
    found = {name: _digest(value) for name, value in predicate.items() if name not in ("digests", "parts")}
    found |= {f"parts/{name}": _part_digest(value) for name, value in parts.items()}
    # A renamed member differs twice: under its old name, which is the one to tell, and under its new one.
    wrong = [name for name in digests if found.get(name) != digests[name]]
    wrong += [name for name in found if name not in digests]
    if not wrong:
        return "signature" if _is_headed(inner) else "statement"
    return wrong[0] if wrong[0] in _MEMBERS or _PART.fullmatch(wrong[0]) else "digests"


def _is_headed(inner: dict[str, Any]) -> bool:
    """Whether what is around the predicate is as it should be: no digest covers it."""
    job = inner["predicate"].get("job")
    try:
        subject = subject_of(job["job"]) if isinstance(job, dict) and isinstance(job.get("job"), str) else None
    except ProofError:
        subject = None
    heads = {key: value for key, value in inner.items() if key != "predicate"}
    return heads == {"_type": STATEMENT_TYPE, "predicateType": PREDICATE_TYPE, "subject": [subject]}


def _digest(value: Any) -> str:
    try:
        return hashlib.sha256(canonical(value)).hexdigest()
    except ProofError:
        return ""


def _part_digest(value: Any) -> str:
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return hashlib.sha256(value["text"].encode("utf-8", "surrogatepass")).hexdigest()
    raw = _payload(value.get("base64")) if isinstance(value, dict) else None
    return "" if raw is None else hashlib.sha256(raw).hexdigest()


def _payload(text: object) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        return None


def _difference(document: Any, body: bytes) -> int | None:
    """The first byte at which the bytes are not the document's canonical encoding."""
    try:
        wanted = canonical(document)
    except ProofError:
        return len(body)
    if wanted == body:
        return None
    return next(
        (at for at, (a, b) in enumerate(zip(wanted, body, strict=False)) if a != b), min(len(wanted), len(body))
    )


def _position(body: bytes, error: JsonRefused) -> int | None:
    found = _PLACE.search(str(error))
    if found is None:
        return None
    at = int(found[2])
    return at if found[1] == "byte" else len(body.decode("utf-8", "replace")[:at].encode())


def _in_envelope(body: bytes, at: int | None) -> str:
    """A place of the envelope; within its payload, the part of the bundle that is there."""
    start, end = len(b'{"payload":"'), body.find(b'","payloadType"')
    if at is None:
        return "envelope"
    if not start <= at < (end if end > 0 else len(body)):
        return f"signature (byte {at})" if at > body.find(b'"signatures"') > 0 else f"envelope (byte {at})"
    whole = body[start : start + (at - start) // 4 * 4]
    try:
        before = base64.b64decode(whole, validate=True)
    except (binascii.Error, ValueError):
        return f"envelope (byte {at})"
    return f"{_member(before, len(before))} (byte {at} of the file)"


def _in_payload(payload: bytes, at: int | None) -> str:
    return "statement" if at is None else f"{_member(payload, at)} (byte {at} of the payload)"


def _member(payload: bytes, at: int) -> str:
    """The member of the statement that holds a byte, by what is open before it."""
    path = _path(payload, at)
    if path[:1] != ["predicate"] or len(path) < 2 or path[1] not in _MEMBERS:
        return "statement"
    within = "/".join(path[1:3])
    return within if _PART.fullmatch(within) else path[1]


def _path(payload: bytes, at: int) -> list[str]:
    """Keys from the outermost to the one whose value holds a byte."""
    keys: list[str] = []
    text = ""
    for found in _TOKEN.finditer(payload, 0, at):
        match found.group():
            case b"{" | b"[":
                keys.append("")
            case b"}" | b"]":
                del keys[-1:]
            case b":" if keys:
                keys[-1] = text
            case b":" | b",":
                pass
            case string:
                text = string[1:-1].decode("utf-8", "replace")
    return keys
