"""Reading a file out of a CAR (content archive, version 1), every block checked against its CID.

Needed where a file was added with another layout than ours: its plain bytes then hash to another CID, and only the
blocks themselves can be compared with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from node.content.cid import cid_to_hash32
from node.errors import ContentMismatch, ContentTooLarge
from node.records import Cid

_DAG_PB = 0x70
_RAW = 0x55
_MAX_VISITS = 200_000
"""Nodes walked at most: links may repeat, so a small archive could describe an endless file."""


class _Malformed(Exception):
    """The archive or a node in it does not decode."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A file node: its own bytes, then its children's."""

    data: bytes
    links: tuple[bytes, ...]


def read_car_file(archive: bytes, cid: Cid, limit: int) -> bytes:
    """The file of a CIDv0 from an archive.

    Raises ContentMismatch if a block is missing, does not hash to its CID or is no file; ContentTooLarge if the
    file has more than `limit` bytes.
    """
    try:
        blocks = dict(_blocks(archive))
        return _file(cid_to_hash32(cid), blocks, limit)
    except _Malformed as error:
        raise ContentMismatch(f"the archive of {cid} does not hold it: {error}") from None


def _file(root: bytes, blocks: dict[bytes, tuple[int, bytes]], limit: int) -> bytes:
    out = bytearray()
    # The root of a CIDv0 is a dag-pb node by definition, whatever the archive calls it.
    stack: list[tuple[int | None, bytes]] = [(_DAG_PB, root)]
    visits = 0
    while stack:
        codec, digest = stack.pop()
        visits += 1
        if visits > _MAX_VISITS:
            raise _Malformed("it has too many nodes")
        found = blocks.get(digest)
        if found is None:
            raise _Malformed(f"block {digest.hex()} is missing")
        node = _decode_node(codec if codec is not None else found[0], found[1])
        out += node.data
        if len(out) > limit:
            raise ContentTooLarge(f"the file has more than {limit:,} bytes")
        for link in reversed(node.links):
            link_codec, link_digest, end = _cid(link, 0)
            if end != len(link) or link_digest is None:
                raise _Malformed("a link is no SHA-256 CID")
            stack.append((link_codec, link_digest))
    return bytes(out)


# --- the archive ------------------------------------------------------------------------------------


def _blocks(archive: bytes) -> Iterator[tuple[bytes, tuple[int, bytes]]]:
    length, at = _varint(archive, 0)
    at += length  # the header names roots, which we know already
    if at > len(archive):
        raise _Malformed("the header is cut")
    while at < len(archive):
        length, at = _varint(archive, at)
        end = at + length
        if end > len(archive):
            raise _Malformed("a block is cut")
        codec, digest, body_at = _cid(archive, at)
        if body_at > end:
            raise _Malformed("a block is shorter than its CID")
        body = archive[body_at:end]
        if digest is not None:
            if hashlib.sha256(body).digest() != digest:
                raise _Malformed(f"block {digest.hex()} has other bytes than its CID says")
            yield digest, (codec, body)
        at = end


def _cid(data: bytes, at: int) -> tuple[int, bytes | None, int]:
    """Codec, SHA-256 (None for other hashes) and end of a binary CID."""
    if data[at : at + 2] == b"\x12\x20":
        codec = _DAG_PB
    else:
        version, at = _varint(data, at)
        if version != 1:
            raise _Malformed("a CID has an unknown version")
        codec, at = _varint(data, at)
    function, at = _varint(data, at)
    length, at = _varint(data, at)
    if at + length > len(data):
        raise _Malformed("a CID is cut")
    digest = data[at : at + length]
    return codec, digest if function == 0x12 and length == 32 else None, at + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise _Malformed("a number is cut or too long")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at


# --- dag-pb and UnixFS --------------------------------------------------------------------------------


def _decode_node(codec: int, block: bytes) -> _Node:
    if codec == _RAW:
        return _Node(block, ())
    if codec != _DAG_PB:
        raise _Malformed(f"codec {codec:#x} is no file")
    links: list[bytes] = []
    data = b""
    kind: object = None
    for number, value in _fields(block):
        if number == 2 and isinstance(value, bytes):
            links += [part for tag, part in _fields(value) if tag == 1 and isinstance(part, bytes)]
        elif number == 1 and isinstance(value, bytes):
            for tag, part in _fields(value):
                if tag == 1:
                    kind = part
                elif tag == 2 and isinstance(part, bytes):
                    data = part
    if kind not in (0, 2):  # raw, file
        raise _Malformed("a node is no file")
    return _Node(data, tuple(links))


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Fields of a protobuf message: numbers and length-delimited bytes; nothing else occurs here."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            number, at = _varint(message, at)
            yield tag >> 3, number
        elif tag & 7 == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise _Malformed("a field is cut")
            yield tag >> 3, message[at : at + length]
            at += length
        else:
            raise _Malformed("a field has an unknown type")
