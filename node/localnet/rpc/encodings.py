"""Bytes given as text, decoded with the words a node uses for what is wrong with them.

Source: the bs58 0.5 and base64 0.22 crates and the address types, as agave 3.1 uses them.
"""

from __future__ import annotations

import base64

from node.base58 import b58decode

_BASE58 = frozenset("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_VALUES = {symbol: value for value, symbol in enumerate(_BASE64)}
_MOST_TEXT = {32: 44, 64: 88}
"""Characters of the longest base58 text for so many bytes."""


class Undecodable(Exception):
    """Text that is no bytes; the message is a node's."""


def fixed(text: str, size: int) -> bytes:
    """Base58 of exactly 32 or 64 bytes. Raises Undecodable: `Invalid` or `WrongSize`."""
    if len(text.encode()) > _MOST_TEXT[size]:
        raise Undecodable("WrongSize")
    if not _BASE58.issuperset(text):
        raise Undecodable("Invalid")
    found = b58decode(text)
    if len(found) != size:
        raise Undecodable("WrongSize")
    return found


def base58_bytes(text: str) -> bytes:
    """Base58 of any length. Raises Undecodable."""
    for index, character in enumerate(text.encode()):
        if character > 127:
            raise Undecodable(f"NonAsciiCharacter {{ index: {index} }}")
        if chr(character) not in _BASE58:
            raise Undecodable(f"InvalidCharacter {{ character: {_rust_char(chr(character))}, index: {index} }}")
    return b58decode(text)


def _rust_char(character: str) -> str:
    escapes = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "'": "\\'", "\\": "\\\\", "\0": "\\0"}
    shown = escapes.get(character) or (character if character.isprintable() else f"\\u{{{ord(character):x}}}")
    return f"'{shown}'"


def base64_bytes(text: str) -> bytes:
    """Base64 with padding. Raises Undecodable."""
    try:
        found = base64.b64decode(text, validate=True)
    except ValueError:
        raise Undecodable(_fault(text.encode())) from None
    # The library takes some texts that are not as an encoder would have written them; nodes do not.
    if base64.b64encode(found).decode() != text:
        raise Undecodable(_fault(text.encode()))
    return found


def _fault(raw: bytes) -> str:
    """What is wrong with base64 text."""
    body = raw.rstrip(b"=")
    # Padding can only stand in the last group of four.
    start = max(len(body), (len(raw) - 1) // 4 * 4) if raw else 0
    for index, symbol in enumerate(raw[:start]):
        if chr(symbol) not in _VALUES:
            return f"InvalidByte({index}, {symbol})"
    rest = len(body) % 4
    if len(body) < start or (rest < 2 and len(raw) > len(body)):
        return f"InvalidByte({len(body)}, 61)"
    if rest == 1:
        return f"InvalidLength({len(raw)})"
    if rest and _VALUES[chr(body[-1])] & (0xF if rest == 2 else 0x3):
        return f"InvalidLastSymbol({len(body) - 1}, {body[-1]})"
    return "InvalidPadding"
