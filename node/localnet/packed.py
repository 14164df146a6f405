"""Byte strings in few bytes: of what is alike, kept in great number, and seldom looked at again."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

_LEVEL = 1
_WINDOW_BITS = -12
_MEMORY_LEVEL = 5
"""Small tables: what is packed is small too, and clearing large ones would take longer than packing it."""


class Packer:
    """Packs so many strings of bytes at a time into one. `alike`: text that they have much of in common."""

    def __init__(self, count: int, alike: bytes) -> None:
        self._lengths = struct.Struct(f"<{count}I")
        self._alike = alike

    def pack(self, parts: Sequence[bytes]) -> bytes:
        """The strings as one."""
        packer = zlib.compressobj(
            _LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, self._alike
        )
        lengths = self._lengths.pack(*map(len, parts))
        return packer.compress(b"".join((lengths, *parts))) + packer.flush()

    def unpack(self, packed: bytes) -> list[bytes]:
        """The strings again."""
        body = zlib.decompressobj(_WINDOW_BITS, self._alike).decompress(packed)
        parts, at = [], self._lengths.size
        for length in self._lengths.unpack_from(body):
            parts.append(body[at : at + length])
            at += length
        return parts
