"""What the faces of the content store share: multipart bodies read piece by piece, answers that browsers may see."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import BodyPartReader, web

from node.errors import ContentError

_PIECE = 1 << 18
CORS = {
    "Access-Control-Allow-Origin": "*",
    # A star does not stand for the header that clients show their token in.
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Range, User-Agent, X-Requested-With, *",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
    "Access-Control-Expose-Headers": (
        "Content-Length, Content-Range, X-Chunked-Output, X-Ipfs-Path, X-Ipfs-Roots, X-Stream-Output"
    ),
}


class Part:
    """One part of a multipart body."""

    def __init__(self, reader: BodyPartReader) -> None:
        self._reader = reader
        self.name = reader.name or ""
        self.filename = reader.filename or ""
        self.is_folder = reader.headers.get("Content-Type") == "application/x-directory"

    async def pieces(self) -> AsyncIterator[bytes]:
        """Its bytes."""
        while piece := await self._reader.read_chunk(_PIECE):
            yield bytes(piece)

    async def text(self, limit: int) -> str:
        """Its text, of which `limit` bytes at most are taken. Raises ContentError for a longer one."""
        found = bytearray()
        async for piece in self.pieces():
            found += piece
            if len(found) > limit:
                raise ContentError(f"the field {self.name} has more than {limit:,} bytes")
        return found.decode()


async def parts(request: web.Request) -> AsyncIterator[Part]:
    """The parts of a multipart body, in their order; each must be read before the next is asked for."""
    if not request.content_type.startswith("multipart/"):
        return
    async for part in await request.multipart():
        if isinstance(part, BodyPartReader):
            yield Part(part)


def json_answer(body: Any, status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(
        body=json.dumps(body, separators=(",", ":")).encode() + b"\n",
        status=status,
        content_type="application/json",
        headers=CORS,
    )
