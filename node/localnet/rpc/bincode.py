"""Numbers, keys and texts as programs write them into accounts and instructions, read one after the other."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

from solders.hash import Hash
from solders.pubkey import Pubkey

_T = TypeVar("_T")


class Reader:
    """Reads little-endian data from the front. Every method raises ValueError where the data ends too early."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    def take(self, size: int) -> bytes:
        """The next bytes."""
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise ValueError("the data ends too early")
        self._at += size
        return part

    def rest(self) -> bytes:
        """Everything that is left."""
        return self._data[self._at :]

    def u8(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """Two bytes."""
        return int.from_bytes(self.take(2), "little")

    def u32(self) -> int:
        """Four bytes."""
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        """Eight bytes."""
        return int.from_bytes(self.take(8), "little")

    def i64(self) -> int:
        """Eight bytes with a sign."""
        return int.from_bytes(self.take(8), "little", signed=True)

    def i16(self) -> int:
        """Two bytes with a sign."""
        return int.from_bytes(self.take(2), "little", signed=True)

    def u128(self) -> int:
        """Sixteen bytes."""
        return int.from_bytes(self.take(16), "little")

    def f64(self) -> float:
        """A floating point number."""
        return float(struct.unpack("<d", self.take(8))[0])

    def flag(self) -> bool:
        """A byte that is 0 or 1."""
        value = self.u8()
        if value > 1:
            raise ValueError("no boolean")
        return bool(value)

    def key(self) -> str:
        """An address."""
        return str(Pubkey.from_bytes(self.take(32)))

    def hash(self) -> str:
        """A hash."""
        return str(Hash.from_bytes(self.take(32)))

    def text(self) -> str:
        """A length of eight bytes, then UTF-8."""
        return self.take(self.u64()).decode()

    def maybe(self, read: Callable[[], _T]) -> _T | None:
        """One byte, then a value where it is 1."""
        return read() if self.flag() else None

    def many(self, read: Callable[[], _T]) -> list[_T]:
        """A length of eight bytes, then so many values."""
        count = self.u64()
        if count > len(self._data):
            raise ValueError("more values than bytes")
        return [read() for _ in range(count)]
