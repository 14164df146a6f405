"""Reads an HTTP answer's body within a limit that counts what it unfolds to, not what travels."""

from __future__ import annotations

import zlib
from typing import Protocol

import httpx

ACCEPTED = "gzip"
"""Value of Accept-Encoding for answers that `read_body` reads: the one compression whose output can be bounded while it
unfolds. A few kilobytes of any can hold gigabytes."""
_GZIP = 16 + zlib.MAX_WBITS


class BodyRefused(ValueError):
    """The body is too large, is compressed in another way than was asked for, or its compression is broken."""


class _Unfolds(Protocol):
    def take(self, piece: bytes, most: int) -> bytes: ...

    def end(self) -> None: ...


class _Plain:
    def take(self, piece: bytes, most: int) -> bytes:
        # One byte more than may be is enough for the caller to see.
        return piece[: most + 1]

    def end(self) -> None:
        return


class _Gzip:
    def __init__(self) -> None:
        self._unfold = zlib.decompressobj(_GZIP)

    def take(self, piece: bytes, most: int) -> bytes:
        if self._unfold.eof:
            raise BodyRefused("bytes behind the end of a compressed answer")
        try:
            return self._unfold.decompress(piece, most + 1)
        except zlib.error:
            raise BodyRefused("a compressed answer that cannot be unfolded") from None

    def end(self) -> None:
        if not self._unfold.eof:
            raise BodyRefused("a compressed answer that is cut off")


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """The body of a streamed answer, at most `limit` bytes of it unfolded.

    Raises BodyRefused, and httpx's errors.
    """
    if response.is_stream_consumed:
        # Whoever made the answer had read it whole already.
        if len(response.content) > limit:
            raise BodyRefused(f"more than {limit:,} bytes")
        return response.content
    unfold = _unfolding(response.headers.get("content-encoding", ""))
    kept = bytearray()
    async for piece in response.aiter_raw():
        kept += unfold.take(piece, limit - len(kept))
        if len(kept) > limit:
            raise BodyRefused(f"more than {limit:,} bytes")
    unfold.end()
    return bytes(kept)


def _unfolding(encoding: str) -> _Unfolds:
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return _Plain()
    if name in ("gzip", "x-gzip"):
        return _Gzip()
    raise BodyRefused(f"an answer in the encoding {name[:40]!r}, which was not asked for")
