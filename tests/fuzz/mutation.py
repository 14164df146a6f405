"""Cases made from others: of bytes, and of JSON documents as trees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

MOST_BYTES = 1 << 16

_NUMBERS = (0, 1, -1, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63, 2**64 - 1, 2**64, 10**40)
_TEXTS = (
    "", " ", "\0", "\n", "\r", "\u202e", "\ud800", "e\u0301", "\U0001f600", "\x1b[2J", "x" * 300, "-1", "1e999", "NaN",
    "true", "%%global.job%%", "%%ops.a.b%%", "../../etc/passwd", "http://127.0.0.1/", "(a+)+$", "(?<=x)",
    "$ref", "__proto__", "gpn", "'\"`;|&", "void", "all", "1" * 32, "Qm", "bafy", "sha256:", "\\p{L}",
)  # fmt: skip
_VALUES = (None, True, False, 0.5, -0.0, 1e308, [], {}, [[]], {"": None})
_PIECES = (
    b"", b"\0", b"\xff" * 8, b"\x80" * 10, b"\xff\xff\xff\xff\x0f", b"{", b"}", b"[" * 70, b'"', b"\\u0000", b"\\ud800",
    b"\xed\xa0\x80", b"\r\n", b"\n\n", b":", b",", b"NaN", b"1e999", b"\xef\xbb\xbf", b"\x01\x55\x12\x20", b"0" * 50,
)  # fmt: skip


class Mutator:
    """Makes cases; the same seed makes the same ones."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def case(self, corpus: Sequence[bytes]) -> bytes:
        """A case made from one of these, or from two."""
        random = self._random
        start = random.choice(corpus) if corpus else b""
        document = _parsed(start) if random.random() < 0.7 else None
        if document is not None:
            other = _parsed(random.choice(corpus))
            ascii_only, made = random.random() < 0.5, b""
            for _ in range(random.choice((1, 1, 2, 3, 8))):
                document = self._tree(document, other)
                made = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
                if len(made) > MOST_BYTES:
                    break
            return made[:MOST_BYTES] if random.random() < 0.95 else self._bytes(made, corpus)[:MOST_BYTES]
        made = start
        for _ in range(random.choice((1, 1, 2, 4, 16))):
            made = self._bytes(made, corpus)
        return made[:MOST_BYTES]

    # --- bytes ----------------------------------------------------------------------------------------------

    def _bytes(self, data: bytes, corpus: Sequence[bytes]) -> bytes:
        random = self._random
        at = random.randrange(len(data) + 1)
        end = min(len(data), at + random.choice((1, 1, 2, 4, 8, 32, 1 << 12)))
        match random.randrange(9):
            case 0:
                return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
            case 1:
                return (
                    data[:at]
                    + (bytes([data[at] ^ 1 << random.randrange(8)]) if at < len(data) else b"")
                    + data[at + 1 :]
                )
            case 2:
                return data[:at] + data[end:]
            case 3:
                return data[:at] + random.choice(_PIECES) + data[at:]
            case 4:
                return data[:at] + data[at:end] * random.choice((2, 3, 17)) + data[end:]
            case 5:
                size = random.choice((1, 2, 4, 8))
                number = random.choice(_NUMBERS) % (1 << 8 * size)
                return data[:at] + number.to_bytes(size, random.choice(("little", "big"))) + data[at + size :]
            case 6:
                return data[:at]
            case 7:
                other = random.choice(corpus)
                return data[:at] + other[random.randrange(len(other) + 1) :]
            case _:
                return data[:at] + random.randbytes(random.randrange(1, 40)) + data[at:]

    # --- documents ------------------------------------------------------------------------------------------

    def _tree(self, document: Any, other: Any) -> Any:
        random = self._random
        if isinstance(document, dict) and document and random.random() < 0.8:
            key = random.choice(list(document))
            match random.randrange(10):
                case 0:
                    return {name: value for name, value in document.items() if name != key}
                case 1:
                    return {**document, random.choice(_TEXTS): document[key]}
                case 2:
                    return {(random.choice(_TEXTS) if name == key else name): value for name, value in document.items()}
                case _:
                    return {**document, key: self._tree(document[key], other)}
        if isinstance(document, list) and document and random.random() < 0.8:
            at = random.randrange(len(document))
            match random.randrange(8):
                case 0:
                    return document[:at] + document[at + 1 :]
                case 1:
                    return document[:at] + [document[at]] * random.choice((2, 3, 30)) + document[at + 1 :]
                case _:
                    return [*document[:at], self._tree(document[at], other), *document[at + 1 :]]
        return self._value(document, other)

    def _value(self, value: Any, other: Any) -> Any:
        random = self._random
        match random.randrange(8):
            case 0:
                return random.choice(_TEXTS)
            case 1:
                return random.choice(_NUMBERS)
            case 2:
                return random.choice(_VALUES)
            case 3:
                return other
            case 4:
                return [value]
            case 5:
                return {random.choice(_TEXTS): value}
            case 6 if isinstance(value, str):
                return self._bytes(value.encode("utf-8", "surrogatepass"), [b"x"]).decode("utf-8", "replace")
            case 6 if isinstance(value, int):
                return value + random.choice((-1, 1, 2**32))
            case _:
                deep: Any = value
                for _ in range(random.choice((3, 30, 100))):
                    deep = [deep]
                return deep


def _parsed(data: bytes) -> Any:
    if data[:1] not in b'{["' or not data:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
