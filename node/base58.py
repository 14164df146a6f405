"""Base58 with the Bitcoin alphabet, for byte strings of any length (keys have their own type)."""

from __future__ import annotations

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}


def b58encode(raw: bytes) -> str:
    """The text of the bytes; each leading zero byte is a leading `1`."""
    number = int.from_bytes(raw, "big")
    letters: list[str] = []
    while number:
        number, digit = divmod(number, 58)
        letters.append(_ALPHABET[digit])
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(letters))


def b58decode(text: str) -> bytes:
    """The bytes of the text. Raises ValueError for a character that is not base58."""
    number = 0
    for letter in text:
        try:
            number = number * 58 + _VALUES[letter]
        except KeyError:
            raise ValueError(f"{letter!r} is not a base58 character") from None
    body = number.to_bytes((number.bit_length() + 7) // 8, "big")
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + body
