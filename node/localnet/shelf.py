"""Files by CID in a folder, and their blocks without a copy of them: leaves are cut from the files when asked for."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from node.base58 import b58decode
from node.content.cid import CHUNK_BYTES, CidHasher, cid_to_hash32, hash32_to_cid, leaf_block, varint
from node.content.dag import DAG_PB, decode_node
from node.errors import ContentError, ContentTooLarge
from node.records import Cid

MOST_BYTES = 256 * 1024 * 1024
"""The largest upload."""
_PIECE = 1 << 20
_HEADER = b"\xa2\x65roots\x81\xd8\x2a\x58\x23\x00%b\x67version\x01"
"""A CAR's header in CBOR: one root and version 1."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that was added."""

    cid: Cid
    total: int
    """Bytes of all its blocks."""
    known: bool
    """Whether it was here before."""


class _Blocks:
    """What a file's blocks are: those of inner nodes whole, of leaves where they begin."""

    def __init__(self) -> None:
        self.inner: dict[Cid, bytes] = {}
        self.leaves: dict[Cid, int] = {}
        self.total = 0
        self._offset = 0

    def note(self, cid: Cid, block: bytes) -> None:
        """Take the next block of a file that is hashed."""
        self.total += len(block)
        # A leaf begins with its data; a node with links begins with those.
        if block[0] == 0x0A:
            self.leaves.setdefault(cid, self._offset)
            self._offset += CHUNK_BYTES
        else:
            self.inner[cid] = block


class _Upload:
    """A file that is being written, hashed as it comes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".new-")
        self._file = os.fdopen(descriptor, "wb")
        self._path = Path(name)
        self._blocks = _Blocks()
        self._hasher = CidHasher(self._blocks.note)

    def write(self, piece: bytes) -> None:
        """Take the file's next bytes. Raises ContentTooLarge."""
        if self._hasher.length + len(piece) > MOST_BYTES:
            raise ContentTooLarge(f"more than {MOST_BYTES:,} bytes are not kept here")
        self._hasher.update(piece)
        self._file.write(piece)

    def finish(self) -> tuple[Stored, _Blocks]:
        """Put the file in its place."""
        cid = self._hasher.cid()
        self._file.close()
        place = self._path.with_name(cid)
        known = place.exists()
        self._path.replace(place)
        return Stored(cid, self._blocks.total, known), self._blocks

    def forget(self) -> None:
        """Remove what was written, unless it is in its place."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class ContentStore:
    """Files in a folder, found by their own CID or by that of any block of theirs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Cid, _Blocks] = {}

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return self._folder

    async def add(self, data: bytes) -> Cid:
        """Keep a file; its CID."""

        async def whole() -> AsyncIterator[bytes]:
            yield data

        return (await self.take(whole())).cid

    async def take(self, pieces: AsyncIterator[bytes]) -> Stored:
        """Keep a file that comes in pieces. Raises ContentTooLarge; then nothing is kept."""
        upload = _Upload(self._folder)
        try:
            async for piece in pieces:
                await asyncio.to_thread(upload.write, piece)
            stored, blocks = await asyncio.to_thread(upload.finish)
        finally:
            upload.forget()
        self._known[stored.cid] = blocks
        return stored

    def cids(self) -> list[Cid]:
        """All files."""
        if not self._folder.is_dir():
            return []
        return sorted(Cid(path.name) for path in self._folder.iterdir() if path.name.startswith("Qm"))

    def size(self, cid: Cid) -> int | None:
        """Bytes of a file, None where it is not kept."""
        try:
            cid_to_hash32(cid)
            return (self._folder / cid).stat().st_size
        except (ContentError, FileNotFoundError):
            return None

    async def pieces(self, cid: Cid, start: int, stop: int) -> AsyncIterator[bytes]:
        """A file's bytes from `start` to before `stop`."""
        with (self._folder / cid).open("rb") as file:
            file.seek(start)
            while start < stop:
                piece = await asyncio.to_thread(file.read, min(_PIECE, stop - start))
                if not piece:
                    break
                start += len(piece)
                yield piece

    async def total(self, cid: Cid) -> int:
        """Bytes of all blocks of a file."""
        return (await self._blocks(cid)).total

    async def block(self, cid: Cid) -> bytes | None:
        """One block's bytes, None where no file here has it."""
        for root in self.cids():
            blocks = await self._blocks(root)
            if cid in blocks.inner:
                return blocks.inner[cid]
            if cid in blocks.leaves:
                return await asyncio.to_thread(self._leaf, root, blocks.leaves[cid])
        return None

    async def archive(self, cid: Cid) -> AsyncIterator[bytes]:
        """A file as a CAR of version 1: depth first, each block once."""
        yield _section(_HEADER % b58decode(cid))
        blocks = await self._blocks(cid)
        for name in _in_order(cid, blocks):
            block = blocks.inner.get(name)
            if block is None:
                block = await asyncio.to_thread(self._leaf, cid, blocks.leaves[name])
            yield _section(b58decode(name) + block)

    async def _blocks(self, cid: Cid) -> _Blocks:
        found = self._known.get(cid)
        if found is None:
            found = self._known[cid] = await asyncio.to_thread(self._looked_through, cid)
        return found

    def _looked_through(self, cid: Cid) -> _Blocks:
        blocks = _Blocks()
        hasher = CidHasher(blocks.note)
        with (self._folder / cid).open("rb") as file:
            while piece := file.read(_PIECE):
                hasher.update(piece)
        hasher.cid()
        return blocks

    def _leaf(self, root: Cid, offset: int) -> bytes:
        with (self._folder / root).open("rb") as file:
            file.seek(offset)
            return leaf_block(file.read(CHUNK_BYTES))


def _in_order(root: Cid, blocks: _Blocks) -> Iterator[Cid]:
    seen: set[Cid] = set()
    stack = [root]
    while stack:
        name = stack.pop()
        if name in seen:
            continue
        seen.add(name)
        yield name
        inner = blocks.inner.get(name)
        if inner is not None:
            links = decode_node(DAG_PB, inner, len(inner)).links
            stack.extend(hash32_to_cid(link.digest) for link in reversed(links))


def _section(body: bytes) -> bytes:
    return varint(len(body)) + body
