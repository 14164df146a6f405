"""What gateways and stores send, and what other nodes sign."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import Any

from node.content import dag
from node.content.car import CarReader
from node.content.cid import blocks, cid_to_hash32, file_cid, varint
from node.content.layout import assembled
from node.content.merkle import MerkleHasher
from node.errors import ContentMismatch, ContentUnavailable
from node.proof.card import HostMeasures, build_card, verify_card
from node.proof.memo import memo_cid, parse_memo
from node.proof.receipt import parse_receipt, verify_receipt
from node.records import Cid
from tests.fuzz.target import Target
from tests.proof.test_receipt import GPU, NODE, RECEIPT, sign
from tests.proof.test_receipt import receipt as receipt_of

LOOP = asyncio.new_event_loop()
FILE = bytes(range(256)) * 4
LIMIT = 1 << 20


def cid(body: bytes) -> None:
    """A CID as text."""
    text = body.decode("utf-8", "replace")
    digest = cid_to_hash32(text)
    assert len(digest) == 32


def node(body: bytes) -> None:
    """A block of a DAG, dag-pb where a `p` stands before it, else raw; and the CID of a link."""
    codec, block = (0x70 if body[:1] == b"p" else 0x55), body[1:]
    found = dag.decode_node(codec, block, 1000)
    assert len(found.links) <= 1000
    with contextlib.suppress(dag.Malformed):
        dag.read_cid(block, 0)


def car(body: bytes) -> None:
    """An archive in two pieces, with every block's hash checked."""
    kept: list[tuple[dag.Link, bytes]] = []
    reader = CarReader(lambda link, block: kept.append((link, block)))
    reader.feed(body[: len(body) // 2])
    reader.feed(body[len(body) // 2 :])
    reader.close()
    assert sum(len(block) for _, block in kept) <= len(body)


class _Server:
    """A block server that sends whatever it likes."""

    name = "a liar"

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def archive(self, cid: Cid, take: Any, limit: int) -> None:
        take(self._body)

    async def block(self, name: str, limit: int) -> bytes:
        if len(self._body) % 3 == 0:
            raise ContentUnavailable("none here")
        return self._body[:limit]


def layout(body: bytes) -> None:
    """A file put together from a liar's blocks: it is the one that was asked for, or refused."""
    wanted = file_cid(FILE)
    problem = ContentMismatch("the plain bytes are others")
    found = LOOP.run_until_complete(assembled(_Server(body), wanted, LIMIT, problem, 5.0))
    assert found == FILE


def receipt(body: bytes) -> None:
    """A receipt, as itself and as one of a certain node's."""
    verify_receipt(body, NODE)
    parse_receipt(body)


def card(body: bytes) -> None:
    """A host card."""
    verify_card(body, NODE)


def memo(body: bytes) -> None:
    """A transaction's memo."""
    text = body.decode("utf-8", "replace")
    parse_memo(text)
    memo_cid(text, "r")


def merkle(body: bytes) -> None:
    """The log's tree does not depend on how its bytes arrive."""
    whole, parts = MerkleHasher(), MerkleHasher()
    whole.update(body)
    at = body[0] if body else 0
    parts.update(body[:at])
    parts.update(body[at:])
    assert whole.root() == parts.root()


def _archive() -> bytes:
    header = b"\xa2gversion\x01eroots\x80"
    out = varint(len(header)) + header
    for name, block in blocks(FILE):
        digest = hashlib.sha256(block).digest()
        prefix = (b"\x12\x20" if name.startswith("Qm") else b"\x01\x55\x12\x20") + digest
        out += varint(len(prefix) + len(block)) + prefix + block
    return out


def _cards() -> tuple[bytes, ...]:
    measures = HostMeasures("x86_64", 2, 1 << 30, 1 << 40, None, False, 1.7e9)
    return (build_card(NODE, (GPU,), measures, agent_version="1", sign=sign),)


TARGETS = (
    Target(
        "cid", cid, lambda: (file_cid(FILE).encode(), b"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")
    ),
    Target("node", node, lambda: tuple(b"p" + block for _, block in blocks(FILE * 2000))[-3:], (dag.Malformed,)),
    Target("car", car, lambda: (_archive(),), (dag.Malformed,)),
    Target("layout", layout, lambda: (_archive(), *(block for _, block in blocks(FILE)))),
    Target("receipt", receipt, lambda: (RECEIPT, receipt_of(gpus=()))),
    Target("card", card, _cards),
    Target("memo", memo, lambda: (b"gpunode/1 r=" + file_cid(FILE).encode(), b"gpunode/1 h=x r=y")),
    Target("merkle", merkle, lambda: (FILE,)),
)
