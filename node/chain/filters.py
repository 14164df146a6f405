"""Server-side filters of getProgramAccounts and programSubscribe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from node.base58 import b58encode


@dataclass(frozen=True, slots=True)
class Memcmp:
    """Accounts that hold these bytes at this offset."""

    offset: int
    data: bytes

    def json(self) -> dict[str, Any]:
        """As JSON-RPC wants it."""
        return {"memcmp": {"offset": self.offset, "bytes": b58encode(self.data), "encoding": "base58"}}


@dataclass(frozen=True, slots=True)
class DataSize:
    """Accounts of exactly this many bytes."""

    size: int

    def json(self) -> dict[str, Any]:
        """As JSON-RPC wants it."""
        return {"dataSize": self.size}


Filter = Memcmp | DataSize
