"""CIDs of files, exactly as an IPFS node computes them by default (CIDv0).

A file is cut into chunks of 262,144 bytes; each chunk is a dag-pb leaf holding UnixFS data (no raw leaves),
and nodes of at most 174 links are put over them level by level until one is left: the balanced layout. The
market stores 32 bytes per CID: the SHA-256 without the two multihash bytes (Nosana jobs program, `ipfs_job`
and `ipfs_result`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from node.base58 import b58decode, b58encode
from node.errors import ContentError
from node.records import Cid

CHUNK_BYTES = 262_144
LINKS_PER_NODE = 174
EMPTY_CID = Cid("QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH")
"""The CID of a file of no bytes."""

_MULTIHASH_PREFIX = b"\x12\x20"  # sha2-256, 32 bytes
_HINT = "A CIDv0 is 46 base58 characters and begins with Qm."


# --- text and bytes of a CID


def hash32_to_cid(digest: bytes) -> Cid:
    """The CIDv0 of a 32-byte SHA-256, the form a job account holds; ContentError for another length."""
    if len(digest) != 32:
        raise ContentError(f"a CID holds a hash of 32 bytes, not {len(digest)}", hint=_HINT)
    return Cid(b58encode(_MULTIHASH_PREFIX + digest))


def cid_to_hash32(cid: str) -> bytes:
    """The 32-byte SHA-256 within a CIDv0. Raises ContentError if the text is no CIDv0."""
    if len(cid) != 46:
        raise ContentError(f"{cid[:60]!r} is no CIDv0: it has {len(cid)} characters", hint=_HINT)
    try:
        raw = b58decode(cid)
    except ValueError as error:
        raise ContentError(f"{cid!r} is no CIDv0: {error}", hint=_HINT) from None
    if len(raw) != 34 or raw[:2] != _MULTIHASH_PREFIX:
        raise ContentError(f"{cid!r} is no CIDv0: it is not a SHA-256 multihash", hint=_HINT)
    return raw[2:]


# --- dag-pb and UnixFS


def varint(value: int) -> bytes:
    """An unsigned LEB128 number, as protobuf, multiformats and CAR files write it."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@dataclass(frozen=True, slots=True)
class _Link:
    """A finished node, as its parent sees it."""

    digest: bytes
    content: int
    """Bytes of the file below it."""
    total: int
    """Bytes of all blocks below it, its own included."""


def _field(tag: int, body: bytes) -> bytes:
    return bytes((tag,)) + varint(len(body)) + body


def leaf_block(chunk: bytes) -> bytes:
    """The block of a file's chunk."""
    unixfs = b"\x08\x02" + (_field(0x12, chunk) if chunk else b"") + b"\x18" + varint(len(chunk))
    return _field(0x0A, unixfs)


def _parent_block(children: list[_Link]) -> bytes:
    links = b"".join(
        # The empty name is written out (0x12 0x00), as IPFS nodes do; leaving it out changes the hash.
        _field(0x12, _field(0x0A, _MULTIHASH_PREFIX + c.digest) + b"\x12\x00\x18" + varint(c.total))
        for c in children
    )
    unixfs = b"\x08\x02\x18" + varint(sum(c.content for c in children))
    unixfs += b"".join(b"\x20" + varint(c.content) for c in children)
    return links + _field(0x0A, unixfs)


class CidHasher:
    """Computes a file's CID from a stream; memory is one chunk and at most 174 links per level.

    `emit`, if given, is called with each block's CID and bytes, children before parents, the root last. Other
    values of `chunk_bytes` and `links` than the defaults give CIDs that no ordinary node would.
    """

    def __init__(
        self,
        emit: Callable[[Cid, bytes], None] | None = None,
        *,
        chunk_bytes: int = CHUNK_BYTES,
        links: int = LINKS_PER_NODE,
    ) -> None:
        self._emit = emit
        self._chunk_bytes = chunk_bytes
        self._links = links
        self._chunk = bytearray()
        self._levels: list[list[_Link]] = [[]]
        self._cid: Cid | None = None
        self.length = 0
        """Bytes taken so far."""

    def update(self, data: bytes) -> None:
        """Take the file's next bytes. Raises ContentError once the CID was asked for."""
        if self._cid is not None:
            raise ContentError("the CID was computed already; no more bytes can be added")
        self.length += len(data)
        view = memoryview(data)
        while len(view):
            room = self._chunk_bytes - len(self._chunk)
            self._chunk += view[:room]
            view = view[room:]
            if len(self._chunk) == self._chunk_bytes:
                self._finish_chunk()

    def cid(self) -> Cid:
        """The CID of everything taken so far; ends the stream."""
        if self._cid is None:
            if self._chunk or self.length == 0:
                self._finish_chunk()
            self._cid = self._root()
        return self._cid

    def _finish_chunk(self) -> None:
        chunk = bytes(self._chunk)
        self._chunk.clear()
        self._push(0, self._block(leaf_block(chunk), content=len(chunk), below=0))

    def _push(self, level: int, link: _Link) -> None:
        if level == len(self._levels):
            self._levels.append([])
        links = self._levels[level]
        links.append(link)
        if len(links) == self._links:
            self._close(level)

    def _close(self, level: int) -> None:
        children = self._levels[level]
        self._levels[level] = []
        block = _parent_block(children)
        content, below = sum(c.content for c in children), sum(c.total for c in children)
        self._push(level + 1, self._block(block, content=content, below=below))

    def _block(self, block: bytes, *, content: int, below: int) -> _Link:
        digest = hashlib.sha256(block).digest()
        if self._emit is not None:
            self._emit(hash32_to_cid(digest), block)
        return _Link(digest, content, len(block) + below)

    def _root(self) -> Cid:
        level = 0
        while True:
            links = self._levels[level]
            top = level == len(self._levels) - 1
            if top and len(links) == 1:
                return hash32_to_cid(links[0].digest)
            if links:
                self._close(level)
            level += 1


def file_cid(data: bytes) -> Cid:
    """The CIDv0 of a file with these bytes."""
    hasher = CidHasher()
    hasher.update(data)
    return hasher.cid()


def blocks(data: bytes) -> Iterator[tuple[Cid, bytes]]:
    """All blocks of a file with their CIDs, children before parents, the root last."""
    found: list[tuple[Cid, bytes]] = []
    hasher = CidHasher(lambda cid, block: found.append((cid, block)))
    hasher.update(data)
    hasher.cid()
    yield from found
