"""Archives for tests: files in any layout as CARs, and a reader of whole ones."""

from __future__ import annotations

from collections.abc import Iterable

from node.content.assembly import Assembly
from node.content.car import CarReader
from node.content.cid import CHUNK_BYTES, LINKS_PER_NODE, CidHasher, cid_to_hash32, varint
from node.records import Cid

HEADER = b"\xa2eroots\x80gversion\x01"

Blocks = list[tuple[bytes, bytes]]
"""Binary CIDs and blocks."""


def car(blocks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """An archive of blocks."""
    return varint(len(HEADER)) + HEADER + b"".join(varint(len(c) + len(b)) + c + b for c, b in blocks)


def layout(data: bytes, chunk: int = CHUNK_BYTES, links: int = LINKS_PER_NODE) -> tuple[Cid, Blocks]:
    """A file's CID and blocks, children before parents, in some layout of fixed chunks."""
    blocks: Blocks = []
    hasher = CidHasher(
        lambda cid, block: blocks.append((b"\x12\x20" + cid_to_hash32(cid), block)),
        chunk_bytes=chunk,
        links=links,
    )
    hasher.update(data)
    return hasher.cid(), blocks


def read(archive: bytes, cid: Cid, limit: int, piece: int = 1 << 16) -> bytes:
    """The file of a CID in an archive that arrives in pieces; raises Malformed, NotFile or ContentTooLarge."""
    assembly = Assembly(cid_to_hash32(cid), limit)
    reader = CarReader(assembly.keep)
    for at in range(0, len(archive), piece):
        reader.feed(archive[at : at + piece])
    reader.close()
    return assembly.file()
