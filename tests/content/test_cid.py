"""CIDs and Merkle roots against values computed by other implementations."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.content.cid import (
    EMPTY_CID,
    CidHasher,
    blocks,
    cid_to_hash32,
    file_cid,
    hash32_to_cid,
)
from node.content.merkle import MerkleHasher, merkle_root
from node.errors import ContentError

PATTERN = bytes(i % 251 for i in range(251 * 1000))
"""The vectors' files repeat this."""

# (file bytes, chunk bytes, links per node, CID), recorded from the JavaScript IPFS implementation
# (ipfs-unixfs-importer 17, CIDv0, no raw leaves, fixed chunks, balanced layout).
VECTORS = [
    (0, 262144, 174, "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"),
    (1, 262144, 174, "QmS9JArPwa55ePgDnyg6TzX24mYTS1b1vLqWNebyVotKxQ"),
    (11, 262144, 174, "QmVygzXjZeGrQn1X9rw3f3TQWRvFvhgHcLa8CopS6TdV55"),
    (262143, 262144, 174, "QmRfm83kqBpGJbGxJg1en9hpwq8eNnP4E2Dj8K73F4m983"),
    (262144, 262144, 174, "QmeqfRyS3vkku7n6krqC3DgGMex3x2sCpSeKMDmrG13QQq"),
    (262145, 262144, 174, "QmUSjGawaz4ptvREcMKSMJneWCa5j8dAz2wSAAvHtW2rnB"),
    (524288, 262144, 174, "QmX9AxjaxS7HCFKUdcQRgNKmfEj9hhjTsE57CB5iPe8zus"),
    (1310737, 262144, 174, "QmdG1MBTgKVV76xsbyaSJkSidKVwCbuFGvkEhn8LJ7QDZh"),
    (45350912, 262144, 174, "QmX5LLMAWXnFbTmdCYVoLtiZPxmQcDuS3j436JQPF3gire"),
    (45613055, 262144, 174, "QmSpC61nY4dcarPju8f7JsXaMpEL99ZAYsMbQnfymuVJBs"),
    (45613056, 262144, 174, "QmXCym15aFeWjAWyPFaAgwVmkuKB7EBsV77Skt54KmxChF"),
    (45613057, 262144, 174, "QmTedsTekQQkgACJXb1sPZSW8bLdS9LPMrT7L4YdjNRd4n"),
    (1, 4, 2, "QmS9JArPwa55ePgDnyg6TzX24mYTS1b1vLqWNebyVotKxQ"),
    (4, 4, 2, "QmSpgrxS7GV2xivpNPmgy8YPyPhSDmTJumDwv3RGNBXjE9"),
    (5, 4, 2, "Qmf2coSLeNjuq1scU2DSVGD8F51awNaZzYwKmhVaarNUdE"),
    (8, 4, 2, "Qmaswtt9vggAeybxo2ezk5GTZyxv9poDAYeoMrCTpXzmio"),
    (9, 4, 2, "QmQJhHiZMn5Q4Vof94473o8UzRdDDu4fGn5gQFeB1Wbtg9"),
    (16, 4, 2, "QmQdfof3xas169BNFggtRsCEjuEbqrwQzwAVVARENBduCY"),
    (17, 4, 2, "QmUnnvnAAfi8Xq74zkqNDPGTuNT7Gh4oBJQJWbWvhxvwwE"),
    (31, 4, 2, "QmSB3pka9vavuVnEq79iDQTH8nno6DsiMtYntTavAj35hi"),
    (32, 4, 2, "QmPWPnRYZqojToUgWyGka27DYsZ7LgZhvzP8CaqucVy1WB"),
    (33, 4, 2, "QmapjQ8wTtBavJNQ1LuPsdBGurBrADucNfzxag8135a2sY"),
    (69, 4, 2, "Qmeje3rsgkdJgdFTPX4THKQgq2jYYsfDDq4Gnhifd9WpnQ"),
    (1, 4, 3, "QmS9JArPwa55ePgDnyg6TzX24mYTS1b1vLqWNebyVotKxQ"),
    (4, 4, 3, "QmSpgrxS7GV2xivpNPmgy8YPyPhSDmTJumDwv3RGNBXjE9"),
    (5, 4, 3, "Qmf2coSLeNjuq1scU2DSVGD8F51awNaZzYwKmhVaarNUdE"),
    (12, 4, 3, "QmVyBTWKNq9Hrk6QDeg6qAqQrF1jiSchichpC3i6edekov"),
    (13, 4, 3, "Qmc1Du5QVrAgTSdvJecBgekPgVZfaTxdYMrGXmQ62L9n5Q"),
    (36, 4, 3, "QmSrLbaad7uec55vAJfn39XBCsppQtT8ivcRnAJMvzfhNA"),
    (37, 4, 3, "QmYD7tcjqnMfeEXS4sRvUBevtzcpxRLCFKSD83NXVEmX2J"),
    (107, 4, 3, "QmQpihEuhNFELR4uzXpvaWgLzko1kQKmNA7kzBRxbdVQxR"),
    (108, 4, 3, "QmdPVRLeYcnkUz63MEcFPWfnfLhzEMY4AjYK4iGUfX8nMe"),
    (109, 4, 3, "QmThZomnMt4M1vQLJNm1BuHSnEQhK5j3Cv65eEpdoUGp3K"),
    (329, 4, 3, "Qma5mnZk3M1KVVqXKBQrhaRNBDSVecgLwRJUUbPzBwwd3v"),
    (1, 7, 5, "QmS9JArPwa55ePgDnyg6TzX24mYTS1b1vLqWNebyVotKxQ"),
    (7, 7, 5, "QmXtPpVKh4LLD4HyvRsQkPuLoGCu4iueLgCF3qb7KkcgiW"),
    (8, 7, 5, "QmbGQrbUVuSkntBT7h7hfwxqRfyxTTGaBWY8NsXqCuYKdF"),
    (35, 7, 5, "QmXqy2rLqgHZEaL26553MWcu7BXygrRX6qDxA6sUSWgY3M"),
    (36, 7, 5, "QmWZEEbYumRzSLiYL2DJYv3Kw9uEnYetNgNTPKPHYfsCpF"),
    (175, 7, 5, "QmTXthMXDaVdngnRWpo89PRp4McRSoi4SBUWpqLkXaeRx6"),
    (176, 7, 5, "QmSh3SYeYujv7zbxXXzijNcbtLEqXpGWH6AVv1jqYQsQap"),
    (874, 7, 5, "QmVwxzsWp69pgVw6gtrB6HSK9ihQCA1vH8baF17WgVonkf"),
    (875, 7, 5, "QmQbFnYibkiMxU85Kr836fDmrkVcB9emofY9RyfjLiHDZ7"),
    (876, 7, 5, "QmYjAac1KR8K4qsMA2NGV86kUaU6PCbt2EAuraxfNQGVkQ"),
    (4383, 7, 5, "QmaBZ4cGrpupBdEv3Wz5q41VVw9KmFBzgYMgyXocmbXJHX"),
]


def hashed(size: int, chunk: int, links: int) -> str:
    hasher = CidHasher(chunk_bytes=chunk, links=links)
    while hasher.length < size:
        hasher.update(PATTERN[: size - hasher.length])
    return hasher.cid()


@pytest.mark.parametrize(("size", "chunk", "links", "cid"), VECTORS)
def test_cid_equals_the_recorded_one(size: int, chunk: int, links: int, cid: str) -> None:
    assert hashed(size, chunk, links) == cid


def test_well_known_cids() -> None:
    assert file_cid(b"hello world") == "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD"
    assert file_cid(b"hello world\n") == "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"
    assert file_cid(b"") == EMPTY_CID


# Recorded from the network's own client library.
CHAIN = [
    ("0000000000000000000000000000000000000000000000000000000000000000", "QmNLei78zWmzUdbeRB3CiUfAizWUrbeeZh5K1rhAQKCh51"),  # noqa: E501
    ("0101010101010101010101010101010101010101010101010101010101010101", "QmNQa1FSTXNHmrjjfgUW3Px3Vkke4oKiFWdigWkYSux2Pi"),  # noqa: E501
    ("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "QmNLfbof5rLekrACjeuLk9JmGZD2HDBHCU4z16iYKmx5SE"),  # noqa: E501
    ("6f0c3510aad26f365f225f9026b1ada7a85b81304a07f4cd0977b4369fb38605", "QmVp8m3Uq1Cm6JJ3NsuTMSGLNnqXa1mC85uV7YxBREQ78p"),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize(("digest", "cid"), CHAIN)
def test_chain_form_of_a_cid(digest: str, cid: str) -> None:
    assert hash32_to_cid(bytes.fromhex(digest)) == cid
    assert cid_to_hash32(cid).hex() == digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Qm",
        "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
        EMPTY_CID[:-1] + "0",
        EMPTY_CID[:-1] + "é",
        "1" * 46,
        "z" * 46,
        " " + EMPTY_CID,
        EMPTY_CID + "\n",
    ],
)
def test_other_text_is_no_cid(text: str) -> None:
    with pytest.raises(ContentError) as caught:
        cid_to_hash32(text)
    assert caught.value.hint


@pytest.mark.parametrize("length", [0, 31, 33])
def test_hash_of_another_length(length: int) -> None:
    with pytest.raises(ContentError):
        hash32_to_cid(bytes(length))


@given(st.binary(min_size=32, max_size=32))
def test_chain_form_round_trip(digest: bytes) -> None:
    assert cid_to_hash32(hash32_to_cid(digest)) == digest


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(1, 9), st.integers(2, 5))
@settings(max_examples=60)
def test_cid_does_not_depend_on_how_bytes_arrive(pieces: list[bytes], chunk: int, links: int) -> None:
    streamed = CidHasher(chunk_bytes=chunk, links=links)
    for piece in pieces:
        streamed.update(piece)
    at_once = CidHasher(chunk_bytes=chunk, links=links)
    at_once.update(b"".join(pieces))
    assert streamed.cid() == at_once.cid() == streamed.cid()


def test_blocks_hash_to_their_cids_and_end_with_the_root() -> None:
    data = PATTERN[:1000] * 600
    found = list(blocks(data))
    assert len(found) == 4
    for cid, block in found:
        assert cid_to_hash32(cid) == hashlib.sha256(block).digest()
    assert found[-1][0] == file_cid(data)


def test_a_finished_hasher_takes_no_more() -> None:
    hasher = CidHasher()
    hasher.cid()
    with pytest.raises(ContentError):
        hasher.update(b"x")


# --- Merkle -----------------------------------------------------------------------------------------


def plain_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word: recursive and slow."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + plain_root(leaves[:split]) + plain_root(leaves[split:])).digest()


# Roots of the certificate-transparency reference tree over its eight published test leaves.
CT_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
CT_ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize("count", CT_ROOTS)
def test_merkle_root_equals_the_published_one(count: int) -> None:
    assert merkle_root([bytes.fromhex(leaf) for leaf in CT_LEAVES[:count]]) == CT_ROOTS[count]


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_merkle_root_equals_the_definition(leaves: list[bytes]) -> None:
    assert merkle_root(leaves) == plain_root(leaves).hex()


@given(st.lists(st.binary(max_size=30), max_size=10), st.integers(1, 7))
def test_merkle_stream_does_not_depend_on_how_bytes_arrive(pieces: list[bytes], chunk: int) -> None:
    hasher = MerkleHasher(chunk_bytes=chunk)
    for piece in pieces:
        hasher.update(piece)
        hasher.root()
    data = b"".join(pieces)
    assert hasher.length == len(data)
    assert hasher.root() == merkle_root(data[i : i + chunk] for i in range(0, len(data), chunk))


@given(st.binary(min_size=1, max_size=200), st.data())
def test_any_changed_byte_changes_the_merkle_root(data: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(data) - 1))
    changed = bytearray(data)
    changed[at] ^= draw.draw(st.integers(1, 255))
    roots = []
    for version in (data, bytes(changed), data + b"\0", data[:-1]):
        hasher = MerkleHasher(chunk_bytes=16)
        hasher.update(version)
        roots.append(hasher.root())
    assert len(set(roots)) == 4 or data[:-1] == bytes(changed)


def test_chunk_bytes_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MerkleHasher(chunk_bytes=0)
