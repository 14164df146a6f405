"""Blocks of files as IPFS nodes cut them: CIDs in binary form, dag-pb nodes, UnixFS data.

Decoding is strict, as the dag-pb specification asks: what two readers could understand differently is refused.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass

from node.content.cid import hash32_to_cid

DAG_PB = 0x70
RAW = 0x55
_SHA2_256 = 0x12
_IDENTITY = 0x00
_LONGEST_INLINE = 128
"""Bytes that an identity CID may hold: what IPFS nodes accept."""
_KINDS = {1: "a directory", 3: "metadata", 4: "a symbolic link", 5: "a directory in shards"}
_RAW_DATA, _FILE = 0, 2


class Malformed(Exception):
    """Bytes that do not decode, or decode to something that cannot be checked."""


class NotFile(Malformed):
    """A node decodes, and is no file."""


@dataclass(frozen=True, slots=True)
class Link:
    """A CID within a node or an archive."""

    codec: int
    digest: bytes
    """The SHA-256, or the bytes themselves where the CID holds them."""
    inline: bool = False


@dataclass(frozen=True, slots=True)
class FileNode:
    """A file node: its own bytes, then its children's."""

    data: memoryview
    links: tuple[Link, ...]
    size: int | None
    """Bytes of the file below it, as it says itself."""


def block_name(codec: int, digest: bytes) -> str:
    """The text of a block's CID: version 0 where that can be written, else version 1 in base32."""
    if codec == DAG_PB:
        return hash32_to_cid(digest)
    packed = bytes((1, codec, _SHA2_256, 32)) + digest
    return "b" + base64.b32encode(packed).decode().rstrip("=").lower()


def read_varint(data: bytes | bytearray | memoryview, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number and the place after it; Malformed if it is cut or has more than 63 bits."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 56:
            raise Malformed("a number is cut or too long")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at


def read_cid(data: bytes | memoryview, at: int) -> tuple[Link | None, int]:
    """A binary CID (None where its hash function is not one that is checked here) and the place after it."""
    if bytes(data[at : at + 2]) == b"\x12\x20":
        codec = DAG_PB
    else:
        version, at = read_varint(data, at)
        if version != 1:
            raise Malformed("a CID has an unknown version")
        codec, at = read_varint(data, at)
    function, at = read_varint(data, at)
    length, at = read_varint(data, at)
    if at + length > len(data):
        raise Malformed("a CID is cut")
    digest = bytes(data[at : at + min(length, _LONGEST_INLINE)])
    at += length
    if function == _SHA2_256 and length == 32:
        return Link(codec, digest), at
    if function == _IDENTITY and length <= _LONGEST_INLINE:
        return Link(codec, digest, inline=True), at
    return None, at


def decode_node(codec: int, block: bytes, most_links: int) -> FileNode:
    """A block as a node of a file.

    Raises Malformed for one that does not decode or has more than `most_links` links, NotFile for a directory and
    whatever else a file cannot hold.
    """
    view = memoryview(block)
    if codec == RAW:
        return FileNode(view, (), len(block))
    if codec != DAG_PB:
        raise NotFile(f"a block of codec {codec:#x} is no part of a file")
    links: list[Link] = []
    unixfs: memoryview | None = None
    for number, value in _fields(view):
        if number == 2 and isinstance(value, memoryview):
            links.append(_link(value))
            if len(links) > most_links:
                raise Malformed("it has too many nodes")
        elif number == 1 and isinstance(value, memoryview) and unixfs is None:
            unixfs = value
        else:
            raise Malformed("a node has a field that dag-pb does not know")
    if unixfs is None:
        raise NotFile("a node holds no file")
    data, size = _unixfs(unixfs)
    return FileNode(data, tuple(links), size)


def _link(message: memoryview) -> Link:
    found: Link | None = None
    for number, value in _fields(message):
        if number != 1:
            continue  # name and size of what is linked say nothing that is needed
        if found is not None or not isinstance(value, memoryview):
            raise Malformed("a link does not decode")
        found, end = read_cid(value, 0)
        if end != len(value):
            raise Malformed("a link does not decode")
        if found is None:
            raise Malformed("a link has a hash that is neither SHA-256 nor the bytes themselves")
    if found is None:
        raise Malformed("a link leads nowhere")
    return found


def _unixfs(message: memoryview) -> tuple[memoryview, int | None]:
    """Own bytes and size of a UnixFS message."""
    once: dict[int, int | memoryview] = {}
    for number, value in _fields(message):
        if number in (1, 2, 3):
            if number in once:
                raise Malformed("a node says the same thing twice")
            once[number] = value
    kind, data, size = once.get(1), once.get(2, memoryview(b"")), once.get(3)
    if kind not in (_RAW_DATA, _FILE):
        raise NotFile(f"it is {_KINDS.get(kind, 'no file') if isinstance(kind, int) else 'no file'}")
    if not isinstance(data, memoryview) or isinstance(size, memoryview):
        raise Malformed("a node does not decode")
    return data, size


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Fields of a protobuf message: numbers and length-delimited bytes; nothing else occurs here."""
    at = 0
    while at < len(message):
        tag, at = read_varint(message, at)
        if tag & 7 == 0:
            number, at = read_varint(message, at)
            yield tag >> 3, number
        elif tag & 7 == 2:
            length, at = read_varint(message, at)
            if at + length > len(message):
                raise Malformed("a field is cut")
            yield tag >> 3, message[at : at + length]
            at += length
        else:
            raise Malformed("a field has an unknown type")
