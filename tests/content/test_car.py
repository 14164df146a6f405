"""Archives and blocks from strangers: whatever they hold, only checked bytes or an error of ours come out."""

from __future__ import annotations

import contextlib
import hashlib
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.content.assembly import Assembly
from node.content.car import SECTION_LIMIT, CarReader
from node.content.cid import cid_to_hash32, hash32_to_cid, varint
from node.content.dag import DAG_PB, RAW, Link, Malformed, NotFile, block_name, decode_node
from node.errors import ContentTooLarge
from node.records import Cid
from tests.content.archives import HEADER, Blocks, car, layout, read

SHA = b"\x12\x20"


def field(tag: int, body: bytes) -> bytes:
    return bytes((tag,)) + varint(len(body)) + body


def node(unixfs: bytes, links: list[bytes] | None = None) -> tuple[bytes, bytes]:
    """CIDv0 in binary and block of a dag-pb node."""
    linked = b"".join(field(0x12, field(0x0A, link) + b"\x12\x00\x18\x01") for link in links or [])
    block = linked + field(0x0A, unixfs)
    return SHA + hashlib.sha256(block).digest(), block


def cid_of(name: bytes) -> Cid:
    return hash32_to_cid(name[2:])


@given(st.binary(max_size=300), st.integers(1, 50), st.integers(2, 4), st.integers(1, 200))
@settings(max_examples=60)
def test_a_file_comes_back_whatever_its_layout(data: bytes, chunk: int, links: int, piece: int) -> None:
    cid, blocks = layout(data, chunk, links)
    assert read(car(blocks), cid, len(data), piece) == data
    assert read(car(blocks[::-1]), cid, len(data), piece) == data


@given(st.binary(min_size=1, max_size=300), st.data())
@settings(max_examples=100)
def test_a_flipped_byte_never_gives_other_bytes(data: bytes, draw: st.DataObject) -> None:
    cid, blocks = layout(data, 16, 3)
    archive = bytearray(car(blocks))
    at = draw.draw(st.integers(0, len(archive) - 1))
    archive[at] ^= draw.draw(st.integers(1, 255))
    with contextlib.suppress(Malformed, ContentTooLarge):
        assert read(bytes(archive), cid, len(data)) == data


@given(st.binary(max_size=200))
def test_noise_is_no_archive(noise: bytes) -> None:
    cid, _ = layout(b"x", 16, 3)
    with pytest.raises(Malformed):
        read(noise, cid, 100)


@given(st.binary(max_size=200), st.sampled_from([DAG_PB, RAW, 0x71]))
def test_noise_as_a_block_is_decoded_or_refused(noise: bytes, codec: int) -> None:
    with contextlib.suppress(Malformed):
        decode_node(codec, noise, 10)


def test_raw_leaves_and_inlined_leaves_are_read() -> None:
    raw = b"raw bytes"
    raw_cid = b"\x01\x55" + SHA + hashlib.sha256(raw).digest()
    inline_cid = b"\x01\x55\x00\x07inlined"
    root, block = node(b"\x08\x02\x18\x10\x20\x09\x20\x07", [raw_cid, inline_cid])
    archive = car([(raw_cid, raw), (root, block)])
    assert read(archive, cid_of(root), 100) == b"raw bytesinlined"
    assert block_name(RAW, raw_cid[4:]).startswith("bafkrei")
    assert block_name(DAG_PB, root[2:]) == cid_of(root)


def test_what_else_an_archive_holds_does_not_matter() -> None:
    cid, blocks = layout(b"x" * 100, 16, 3)
    stranger = node(b"\x08\x02\x12\x03abc\x18\x03")
    blake = b"\x01\x55\xa0\xe4\x02\x20" + bytes(32)
    inline = b"\x01\x55\x00\x01x"
    extra: Blocks = [stranger, (blake, b"cannot be checked"), (inline, b""), *blocks, *blocks, stranger]
    assert read(car(extra), cid, 100) == b"x" * 100


@pytest.mark.parametrize(
    ("unixfs", "said"),
    [
        (b"\x08\x01", "a directory"),
        (b"\x08\x05\x28\x22\x30\x80\x02", "a directory in shards"),
        (b"\x08\x04\x12\x03/tm", "a symbolic link"),
        (b"\x08\x03", "metadata"),
        (b"\x08\x63", "no file"),
        (b"", "no file"),
    ],
)
def test_what_is_no_file_is_named(unixfs: bytes, said: str) -> None:
    root, block = node(unixfs)
    with pytest.raises(NotFile, match=said):
        read(car([(root, block)]), cid_of(root), 100)


def test_a_directory_within_a_file_is_refused() -> None:
    folder, folder_block = node(b"\x08\x01")
    root, block = node(b"\x08\x02\x18\x00", [folder])
    with pytest.raises(NotFile, match="a directory"):
        read(car([(folder, folder_block), (root, block)]), cid_of(root), 100)


LINK = field(0x0A, SHA + bytes(32)) + b"\x12\x00\x18\x01"
FILE = field(0x0A, b"\x08\x02\x18\x00")


@pytest.mark.parametrize(
    "block",
    [
        FILE + FILE,  # which of the two is the file's?
        field(0x12, LINK + field(0x0A, SHA + bytes(32))) + FILE,  # two hashes in a link
        field(0x12, b"\x12\x00\x18\x01") + FILE,  # no hash in a link
        field(0x12, field(0x0A, SHA + bytes(32) + b"x")) + FILE,
        field(0x12, field(0x0A, b"\x02\x70" + SHA + bytes(32))) + FILE,
        field(0x12, field(0x0A, b"\x01\x70\x11\x14" + bytes(20))) + FILE,  # SHA-1
        field(0x12, field(0x0A, b"\x01\x55\x00\x81\x01" + bytes(129))) + FILE,  # more than may be inlined
        field(0x1A, b"x") + FILE,
        b"\x08\x01" + FILE,
        field(0x0A, b"\x08\x02\x08\x02"),  # two kinds
        field(0x0A, b"\x08\x02\x12\x01a\x12\x01b"),  # two texts
        field(0x0A, b"\x08\x02\x10\x01"),  # the text is a number
        field(0x0A, b"\x08\x02\x1a\x01x"),  # the size is a text
        FILE[:-1],
        b"\xff" * 20,
        b"\x0d1234",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(block: bytes) -> None:
    with pytest.raises(Malformed) as raised:
        decode_node(DAG_PB, block, 10)
    assert not isinstance(raised.value, NotFile)


def test_a_size_that_is_not_the_files_is_refused() -> None:
    for size in (2, 4):
        root, block = node(b"\x08\x02\x12\x03abc\x18" + bytes((size,)))
        with pytest.raises(Malformed, match="says that it has"):
            read(car([(root, block)]), cid_of(root), 100)
    root, block = node(b"\x08\x02\x12\x03abc")
    assert read(car([(root, block)]), cid_of(root), 100) == b"abc"


def test_a_missing_block_is_named() -> None:
    cid, blocks = layout(b"x" * 100 + b"y" * 100, 100, 3)
    with pytest.raises(Malformed, match=f"{cid_of(blocks[0][0])} is missing"):
        read(car(blocks[1:]), cid, 200)


def test_a_wrong_block_ends_the_reading_at_once() -> None:
    cid, blocks = layout(b"x" * 100, 16, 3)
    blocks[0] = (blocks[0][0], blocks[0][1] + b"!")
    reader = CarReader(Assembly(cid_to_hash32(cid), 100).keep)
    with pytest.raises(Malformed, match="other bytes than its CID"):
        reader.feed(car(blocks[:1]))


def test_a_cut_archive_is_noticed() -> None:
    cid, blocks = layout(b"x" * 100, 16, 3)
    archive = car(blocks)
    for length in (0, 1, len(HEADER) // 2, len(archive) - 1):
        with pytest.raises(Malformed, match="the archive is cut"):
            read(archive[:length], cid, 100)


# --- bounds -----------------------------------------------------------------------------------------


def test_the_limit_holds() -> None:
    cid, blocks = layout(b"x" * 100, 16, 3)
    with pytest.raises(ContentTooLarge):
        read(car(blocks), cid, 99)


def test_a_small_archive_cannot_describe_an_endless_file() -> None:
    name, block = node(b"\x08\x02\x18\x00")
    blocks = [(name, block)]
    for _ in range(40):  # each level links the one below it twice: 2**40 visits, no bytes
        name, block = node(b"\x08\x02\x18\x00", [name, name])
        blocks.append((name, block))
    with pytest.raises(Malformed, match="too many nodes"):
        read(car(blocks), cid_of(name), 1 << 20)


def test_many_links_to_one_large_node_cost_one_decoding() -> None:
    """Fields without meaning make a node slow to decode; links to it are small."""
    unixfs = b"\x08\x02\x18\x00" + b"\x20\x00" * 400_000
    leaf, leaf_block = node(unixfs)
    root, block = node(b"\x08\x02\x18\x00", [leaf] * 5000)
    began = time.process_time()
    assert read(car([(leaf, leaf_block), (root, block)]), cid_of(root), 1 << 20) == b""
    assert time.process_time() - began < 10


def test_a_node_of_many_links_is_refused_early() -> None:
    root, block = node(b"\x08\x02\x18\x00", [b"\x01\x55\x00\x00"] * 50_000)
    with pytest.raises(Malformed, match="too many nodes"):
        read(car([(root, block)]), cid_of(root), 1 << 20)


def test_blocks_that_no_file_needs_are_not_kept() -> None:
    cid, _ = layout(b"x" * 100, 16, 3)
    assembly = Assembly(cid_to_hash32(cid), 1000)
    bodies = [bytes(10_000) + bytes((number,)) for number in range(7)]
    strangers = [(Link(RAW, hashlib.sha256(body).digest()), body) for body in bodies]
    for link, body in strangers[:6]:
        assembly.keep(link, body)
    with pytest.raises(ContentTooLarge, match="more bytes than a file"):
        assembly.keep(*strangers[6])


@pytest.mark.parametrize("length", [SECTION_LIMIT + 1, 1 << 62])
def test_a_part_that_never_ends_is_refused_before_it_comes(length: int) -> None:
    cid, _ = layout(b"", 16, 3)
    reader = CarReader(Assembly(cid_to_hash32(cid), 1000).keep)
    with pytest.raises(Malformed, match="is in no archive"):
        reader.feed(car([]) + varint(length))


def test_a_long_archive_of_strange_blocks_takes_no_memory() -> None:
    cid, _ = layout(b"", 16, 3)
    reader = CarReader(Assembly(cid_to_hash32(cid), 1000).keep)
    reader.feed(car([]))
    blake = b"\x01\x55\xa0\xe4\x02\x20" + bytes(32)
    section = varint(len(blake) + 100_000) + blake + bytes(100_000)
    tracemalloc.start()
    for _ in range(500):
        reader.feed(section)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 << 20
