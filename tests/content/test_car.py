"""Archives from strangers: whatever they hold, only checked bytes or an error of ours come out."""

import contextlib
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.content.car import read_car_file
from node.content.cid import CidHasher, cid_to_hash32, hash32_to_cid, varint
from node.errors import ContentError, ContentMismatch, ContentTooLarge
from node.records import Cid

HEADER = b"\xa2eroots\x80gversion\x01"


def car(blocks: list[tuple[bytes, bytes]]) -> bytes:
    """An archive of (CID bytes, block) pairs."""
    return varint(len(HEADER)) + HEADER + b"".join(varint(len(c) + len(b)) + c + b for c, b in blocks)


def layout(data: bytes, chunk: int, links: int) -> tuple[Cid, list[tuple[bytes, bytes]]]:
    blocks: list[tuple[bytes, bytes]] = []
    hasher = CidHasher(
        lambda cid, block: blocks.append((b"\x12\x20" + cid_to_hash32(cid), block)),
        chunk_bytes=chunk,
        links=links,
    )
    hasher.update(data)
    return hasher.cid(), blocks


@given(st.binary(max_size=300), st.integers(1, 50), st.integers(2, 4))
@settings(max_examples=60)
def test_a_file_comes_back_whatever_its_layout(data: bytes, chunk: int, links: int) -> None:
    cid, blocks = layout(data, chunk, links)
    assert read_car_file(car(blocks), cid, len(data)) == data
    assert read_car_file(car(blocks[::-1]), cid, len(data)) == data


@given(st.binary(min_size=1, max_size=300), st.data())
@settings(max_examples=100)
def test_a_flipped_byte_never_gives_other_bytes(data: bytes, draw: st.DataObject) -> None:
    cid, blocks = layout(data, 16, 3)
    archive = bytearray(car(blocks))
    at = draw.draw(st.integers(0, len(archive) - 1))
    archive[at] ^= draw.draw(st.integers(1, 255))
    with contextlib.suppress(ContentError):
        assert read_car_file(bytes(archive), cid, len(data)) == data


@given(st.binary(max_size=200))
def test_noise_is_a_mismatch(noise: bytes) -> None:
    cid, _ = layout(b"x", 16, 3)
    with pytest.raises(ContentMismatch):
        read_car_file(noise, cid, 100)


def test_raw_leaves_are_read() -> None:
    leaf = b"raw bytes"
    digest = hashlib.sha256(leaf).digest()
    raw_cid = b"\x01\x55\x12\x20" + digest
    unixfs = b"\x08\x02\x18\x09\x20\x09"
    link = b"\x0a" + varint(len(raw_cid)) + raw_cid + b"\x12\x00\x18\x09"
    root = b"\x12" + varint(len(link)) + link + b"\x0a" + varint(len(unixfs)) + unixfs
    root_digest = hashlib.sha256(root).digest()
    archive = car([(raw_cid, leaf), (b"\x12\x20" + root_digest, root)])
    assert read_car_file(archive, hash32_to_cid(root_digest), 100) == leaf


def test_a_small_archive_cannot_describe_an_endless_file() -> None:
    block = b"\x0a\x04\x08\x02\x18\x00"
    cid = b"\x12\x20" + hashlib.sha256(block).digest()
    blocks = [(cid, block)]
    for _ in range(40):  # each level links the one below it twice: 2**40 visits, no bytes
        link = b"\x0a\x22" + cid
        block = b"".join(b"\x12" + varint(len(link)) + link for _ in range(2)) + b"\x0a\x04\x08\x02\x18\x00"
        cid = b"\x12\x20" + hashlib.sha256(block).digest()
        blocks.append((cid, block))
    with pytest.raises(ContentMismatch, match="too many nodes"):
        read_car_file(car(blocks), hash32_to_cid(cid[2:]), 1 << 20)


def test_the_limit_holds() -> None:
    cid, blocks = layout(b"x" * 100, 16, 3)
    with pytest.raises(ContentTooLarge):
        read_car_file(car(blocks), cid, 99)
