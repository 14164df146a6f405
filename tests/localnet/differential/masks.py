"""What two chains with the same genesis must answer differently, taken out of an answer.

Names stand for what hangs on the chain: its keys, signatures, blockhashes. Numbers that count slots or seconds
become `<number>`. Everything else is left to be compared as it is, bytes of accounts and transactions included.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Mapping
from typing import Any

from node.base58 import b58decode, b58encode

_COUNTED = frozenset(
    [
        "absoluteSlot",
        "blockHeight",
        "blockTime",
        "confirmations",
        "contextSlot",
        "deactivationSlot",
        "epochStartTimestamp",
        "lastExtendedSlot",
        "lastSlot",
        "lastValidBlockHeight",
        "nextSlot",
        "parent",
        "parentSlot",
        "recentSlot",
        "root",
        "slot",
        "slotIndex",
        "timestamp",
        "transactionCount",
        "unixTimestamp",
    ]
)
"""Members whose number is a slot, a height, a count of transactions, or a time."""
_HASHES = ("blockhash", "previousBlockhash", "parentBlockhash", "hash")
_LONG = 30
"""Characters from which a name's value is also looked for inside of other text."""
_MANY, _LENGTHY = 200, 2_000
"""Numbers of a list, and characters of a text, beyond which they are told in short."""
_TEXT_SLOTS = re.compile(r"((?:[Ss]lot|[Bb]lock)[: ]+|is too (?:large|small); (?:max|min) )\d+")


class Masks:
    """The masks for one chain's answers."""

    def __init__(self, names: Mapping[str, str], rents: Collection[int] = ()) -> None:
        self._rents = frozenset(rents)
        # The first name of a value counts: two may have the same.
        self._by_value: dict[str, str] = {}
        for name, value in names.items():
            self._by_value.setdefault(value, name)
        self._raw = {b58decode(value): name for value, name in self._by_value.items() if len(value) > _LONG}

    def apply(self, value: Any, member: str = "") -> Any:
        """The answer with what must differ taken out; members of maps in the order of their names."""
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            if member in ("preBalances", "postBalances") and value in self._rents:
                return "<rent>"
            return "<number>" if member in _COUNTED else value
        if isinstance(value, str):
            if member in _HASHES:
                return "<hash>"
            if member == "transaction":
                return self._bytes(value, "base58")
            return "<number>" if member in _COUNTED else self._text(value)
        if isinstance(value, dict):
            return {self._text(name): self.apply(value[name], name) for name in sorted(value)}
        if member == "nonCirculatingAccounts" and value:
            return "<addresses>"  # accounts of the public clusters, in another order each time
        if len(value) > _MANY and all(type(entry) is int for entry in value):
            return f"<{len(value)} numbers, {value[0]} to {value[-1]}, {sum(value)} in all>"
        if len(value) == 2 and isinstance(value[0], str) and value[1] in ("base64", "base58", "base64+zstd"):
            return [self._bytes(value[0], value[1]), value[1]]
        return [self.apply(entry, member) for entry in value]

    def _text(self, text: str) -> str:
        if len(text) > _LENGTHY:
            return f"<{len(text)} characters, SHA-256 {hashlib.sha256(text.encode()).hexdigest()}>"
        if text in self._by_value:
            return f"<{self._by_value[text]}>"
        for value, name in self._by_value.items():
            if len(value) > _LONG and value in text:
                text = text.replace(value, f"<{name}>")
        return _TEXT_SLOTS.sub(r"\1<number>", text)

    def _bytes(self, text: str, encoding: str) -> str:
        if encoding == "base64+zstd":
            # The frames of two compressors differ; that they hold the same is another test's to say.
            return "<zstd>"
        try:
            raw = base64.b64decode(text, validate=True) if encoding == "base64" else b58decode(text)
        except (ValueError, binascii.Error):
            return text
        for value, name in self._raw.items():
            if value in raw:
                raw = raw.replace(value, _stand_in(name, len(value)))
        return self._text(base64.b64encode(raw).decode() if encoding == "base64" else b58encode(raw))


def _stand_in(name: str, size: int) -> bytes:
    return hashlib.sha512(name.encode()).digest()[:size]


def difference(left: Any, right: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Where two masked answers differ: the path, and what stands there on either side."""
    if isinstance(left, dict) and isinstance(right, dict):
        found: list[tuple[str, Any, Any]] = []
        for name in sorted({*left, *right}):
            here = f"{path}.{name}"
            if name not in left or name not in right:
                found.append((here, left.get(name, "<absent>"), right.get(name, "<absent>")))
            else:
                found += difference(left[name], right[name], here)
        return found
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [
            row for at, pair in enumerate(zip(left, right, strict=True)) for row in difference(*pair, f"{path}[{at}]")
        ]
    return [] if type(left) is type(right) and left == right else [(path, left, right)]
