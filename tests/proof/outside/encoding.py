"""Base58, CIDs, Merkle roots and canonical JSON, from the page's words."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

LETTERS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
MOST_DEPTH = 64
MOST_DIGITS = 40


class Wrong(Exception):
    """Something does not hold; `part` is the name of the line that says so."""

    def __init__(self, part: str, why: str = "") -> None:
        super().__init__(f"{part}: {why}")
        self.part = part


def from_base58(text: str, length: int, part: str) -> bytes:
    if not isinstance(text, str) or not text or len(text) > 2 * length or any(each not in LETTERS for each in text):
        raise Wrong(part, "no base58")
    value = 0
    for letter in text:
        value = value * 58 + LETTERS.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    rest = value.to_bytes((value.bit_length() + 7) // 8, "big")
    raw = bytes(zeros) + rest
    if len(raw) != length:
        raise Wrong(part, f"base58 of {len(raw)} bytes, not {length}")
    return raw


def to_base58(raw: bytes) -> str:
    value, text = int.from_bytes(raw, "big"), ""
    while value:
        value, digit = divmod(value, 58)
        text = LETTERS[digit] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


def from_base64(text: object, part: str) -> bytes:
    """Only the one spelling that has no spare bits, no blanks and its padding."""
    try:
        raw = base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except ValueError:
        raw = None
    if raw is None or base64.standard_b64encode(raw).decode("ascii") != text:
        raise Wrong(part, "no base64")
    return raw


def digest_of_cid(text: object, part: str) -> bytes:
    raw = from_base58(text, 34, part) if isinstance(text, str) else b""
    if raw[:2] != b"\x12\x20":
        raise Wrong(part, "no CIDv0")
    return raw[2:]


def cid_of(file: bytes) -> str:
    """CIDv0 of a file: chunks of 262,144 bytes, dag-pb leaves, at most 174 links a node, balanced."""

    def number(value: int) -> bytes:
        out = b""
        while value > 127:
            out += bytes([value % 128 + 128])
            value //= 128
        return out + bytes([value])

    def field(tag: int, body: bytes) -> bytes:
        return bytes([tag]) + number(len(body)) + body

    # Each: (hash, bytes of the file below, bytes of all blocks below).
    layer = []
    for start in range(0, max(1, len(file)), 262_144):
        chunk = file[start : start + 262_144]
        inner = b"\x08\x02" + (field(0x12, chunk) if chunk else b"") + b"\x18" + number(len(chunk))
        block = field(0x0A, inner)
        layer.append((hashlib.sha256(block).digest(), len(chunk), len(block)))
    while len(layer) > 1:
        above = []
        for start in range(0, len(layer), 174):
            children = layer[start : start + 174]
            links = b"".join(
                field(0x12, field(0x0A, b"\x12\x20" + digest) + b"\x12\x00" + b"\x18" + number(total))
                for digest, _, total in children
            )
            size = sum(content for _, content, _ in children)
            inner = b"\x08\x02\x18" + number(size) + b"".join(b"\x20" + number(content) for _, content, _ in children)
            block = links + field(0x0A, inner)
            total = len(block) + sum(total for _, _, total in children)
            above.append((hashlib.sha256(block).digest(), size, total))
        layer = above
    return to_base58(b"\x12\x20" + layer[0][0])


def merkle_root(data: bytes, chunk: int = 65_536) -> str:
    """RFC 6962's tree over chunks."""

    def root(leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return hashlib.sha256(b"\x00" + leaves[0]).digest()
        left = 1
        while left * 2 < len(leaves):
            left *= 2
        return hashlib.sha256(b"\x01" + root(leaves[:left]) + root(leaves[left:])).digest()

    leaves = [data[start : start + chunk] for start in range(0, len(data), chunk)]
    return (root(leaves) if leaves else hashlib.sha256(b"").digest()).hex()


def strict_json(raw: bytes, part: str, most: int = 64 << 20) -> Any:
    """The document in the bytes; nothing of what JSON leaves open is accepted."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise Wrong(part, "a key twice")
        return dict(pairs)

    def refuse(text: str) -> Any:
        raise Wrong(part, f"{text} is no number")

    def whole(text: str) -> int:
        return int(text) if len(text) <= MOST_DIGITS else refuse("too long")

    if len(raw) > most:
        raise Wrong(part, "too large")
    try:
        text = raw.decode("utf-8")
        if _depth(text) > MOST_DEPTH:
            raise Wrong(part, "too deep")
        document = json.loads(text, object_pairs_hook=members, parse_constant=refuse, parse_int=whole)
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise Wrong(part, str(type(error))) from None
    return document


def _depth(text: str) -> int:
    depth = most = 0
    for bracket in re.findall(r"[\[\]{}]", re.sub(r'"(?:[^"\\]|\\.)*+"', "", text, flags=re.DOTALL)):
        depth += 1 if bracket in "[{" else -1
        most = max(most, depth)
    return most


def canonical_json(raw: bytes, part: str, most: int = 64 << 20, *, escaped: bool = False) -> Any:
    """The document, if the bytes are its only spelling: sorted keys, no blanks, whole numbers; UTF-8 as it is, or
    everything beyond ASCII `escaped`."""
    document = strict_json(raw, part, most)
    if has_fraction(document) or spelled(document, escaped=escaped) != raw:
        raise Wrong(part, "not canonical")
    return document


def spelled(document: Any, *, escaped: bool = False) -> bytes:
    return json.dumps(document, ensure_ascii=escaped, sort_keys=True, separators=(",", ":")).encode()


def has_fraction(value: Any) -> bool:
    if isinstance(value, dict):
        return any(has_fraction(each) for each in value.values())
    if isinstance(value, list):
        return any(has_fraction(each) for each in value)
    return isinstance(value, float)
