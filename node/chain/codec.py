"""Little-endian Borsh, as far as the market programs use it: a reader that never trusts, and a writer."""

from __future__ import annotations

import hashlib

from node.chain.addresses import address_from_bytes, to_key
from node.errors import AccountMalformed
from node.records import Address


def account_discriminator(name: str) -> bytes:
    """The first 8 bytes of an account of that type (Anchor: SHA-256 of "account:<Name>")."""
    return hashlib.sha256(f"account:{name}".encode()).digest()[:8]


def instruction_discriminator(name: str) -> bytes:
    """The first 8 bytes of an instruction's data (Anchor: SHA-256 of "global:<snake_name>")."""
    return hashlib.sha256(f"global:{name}".encode()).digest()[:8]


class Reader:
    """Reads fields in order; raises AccountMalformed where the bytes run out or make no sense."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._what = what
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        end = self._at + size
        if end > len(self._data):
            raise self.bad(f"ends at byte {len(self._data)}, {end} are needed")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def bad(self, why: str) -> AccountMalformed:
        """The error to raise for bytes that make no sense."""
        return AccountMalformed(
            f"{self._what}: {why}",
            hint="The account is of another kind, or the program has changed; check address and cluster.",
        )

    def unsigned(self, size: int) -> int:
        """An unsigned integer of `size` bytes."""
        return int.from_bytes(self.take(size), "little")

    def i64(self) -> int:
        """A signed 64-bit integer."""
        return int.from_bytes(self.take(8), "little", signed=True)

    def boolean(self) -> bool:
        """One byte, 0 or 1."""
        value = self.unsigned(1)
        if value > 1:
            raise self.bad(f"{value} is not a boolean")
        return bool(value)

    def key(self) -> Address:
        """A 32-byte key, as text."""
        return address_from_bytes(self.take(32))

    def text(self) -> str:
        """A length-prefixed UTF-8 string."""
        raw = self.take(self.unsigned(4))
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise self.bad("a string is not UTF-8") from error


class Writer:
    """Collects fields in order."""

    def __init__(self, start: bytes = b"") -> None:
        self._parts = [start]

    def raw(self, data: bytes) -> Writer:
        """Bytes as they are."""
        self._parts.append(data)
        return self

    def unsigned(self, value: int, size: int) -> Writer:
        """An unsigned integer of `size` bytes."""
        return self.raw(value.to_bytes(size, "little"))

    def i64(self, value: int) -> Writer:
        """A signed 64-bit integer."""
        return self.raw(value.to_bytes(8, "little", signed=True))

    def key(self, address: Address) -> Writer:
        """A key, from its text."""
        return self.raw(bytes(to_key(address)))

    def text(self, value: str) -> Writer:
        """A length-prefixed UTF-8 string."""
        raw = value.encode()
        return self.unsigned(len(raw), 4).raw(raw)

    def done(self) -> bytes:
        """All of it."""
        return b"".join(self._parts)
