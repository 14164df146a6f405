"""Gateways that lie, stall, flood or know only half of what is asked, when a file's layout is not ours."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from node.content.cid import file_cid, varint
from node.content.dag import RAW, block_name
from node.content.layout import AT_ONCE
from node.content.library import Library
from node.content.source import GatewaySource
from node.errors import ContentMismatch, ContentNotFile, ContentTooLarge, ContentUnavailable
from node.records import Cid
from tests.content.archives import Blocks, car, layout

DATA = bytes(range(256)) * 40
CID, BLOCKS = layout(DATA, 1000, 3)
LIMIT = 1 << 20
assert file_cid(DATA) != CID


def text(name: bytes) -> str:
    """A block's CID as it is asked for."""
    return block_name(0x70, name[2:])


class Gateway:
    """Serves the file, an archive and blocks, each as the test changes it; None: not served."""

    def __init__(self) -> None:
        self.plain: bytes | int | None = DATA
        self.archive: bytes | int | None = car(BLOCKS)
        self.blocks: dict[str, bytes] | None = {text(name): block for name, block in BLOCKS}
        self.refusal = 404
        self.delay = 0.0
        self.asked: list[str] = []
        self.busy = self.most_busy = 0
        self.url = ""

    async def get(self, request: web.Request) -> web.StreamResponse:
        form = request.query.get("format", "")
        self.asked.append(form)
        self.busy += 1
        self.most_busy = max(self.busy, self.most_busy)
        try:
            await asyncio.sleep(self.delay)
            return await self._answer(request, form)
        finally:
            self.busy -= 1

    async def _answer(self, request: web.Request, form: str) -> web.StreamResponse:
        body: bytes | int | None = {"": self.plain, "car": self.archive}.get(form)
        if form == "raw" and self.blocks is not None:
            body = self.blocks.get(request.match_info["cid"])
        if body is None:
            return web.Response(status=self.refusal, text="not\x1b[31m offered")
        if isinstance(body, int):
            return await self._flood(request, body)
        return web.Response(body=body)

    async def _flood(self, request: web.Request, length: int) -> web.StreamResponse:
        """So many bytes that begin like an archive of blocks nobody asked for."""
        response = web.StreamResponse()
        await response.prepare(request)
        body = b"\x01\x55\x12\x20" + hashlib.sha256(bytes(60_000)).digest() + bytes(60_000)
        section = varint(len(body)) + body
        await response.write(car([]))
        for _ in range(length // len(section)):
            await response.write(section)
        return response


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    made = Gateway()
    app = web.Application()
    app.router.add_get("/ipfs/{cid}", made.get)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/ipfs/"
    yield made
    await runner.cleanup()


@pytest.fixture
async def fetch(gateway: Gateway) -> AsyncIterator[Callable[..., Awaitable[bytes]]]:
    opened: list[GatewaySource] = []

    async def get(cid: Cid = CID, limit: int = LIMIT, seconds: float = 20) -> bytes:
        opened.append(GatewaySource(gateway.url, timeout=seconds))
        return await opened[-1].fetch(cid, limit)

    yield get
    for source in opened:
        await source.aclose()


Fetch = Callable[..., Awaitable[bytes]]


# --- whatever is offered will do ----------------------------------------------------------------------


async def test_blocks_and_an_archive(gateway: Gateway, fetch: Fetch) -> None:
    assert await fetch() == DATA
    assert gateway.asked == ["", "raw", "car"]


async def test_an_archive_only(gateway: Gateway, fetch: Fetch) -> None:
    gateway.blocks = None
    assert await fetch() == DATA


async def test_blocks_only(gateway: Gateway, fetch: Fetch) -> None:
    gateway.archive, gateway.delay = None, 0.01
    assert await fetch() == DATA
    assert gateway.asked.count("raw") == len({name for name, _ in BLOCKS})
    assert gateway.most_busy <= AT_ONCE


@pytest.mark.parametrize("status", [400, 403, 406, 415, 500, 501])
async def test_no_plain_files(gateway: Gateway, fetch: Fetch, status: int) -> None:
    gateway.plain, gateway.refusal = None, status
    assert await fetch() == DATA


@pytest.mark.parametrize("status", [404, 410, 429, 502, 503, 504])
async def test_what_is_not_there_is_not_asked_for_in_another_form(gateway: Gateway, fetch: Fetch, status: int) -> None:
    gateway.plain, gateway.refusal = None, status
    with pytest.raises(ContentUnavailable, match=f"HTTP {status}"):
        await fetch()
    assert gateway.asked == [""]


async def test_raw_leaves_are_asked_for_by_their_own_name(gateway: Gateway, fetch: Fetch) -> None:
    leaf = b"raw bytes"
    digest = hashlib.sha256(leaf).digest()
    link = b"\x0a\x24\x01\x55\x12\x20" + digest + b"\x12\x00\x18\x09"
    root = b"\x12" + bytes((len(link),)) + link + b"\x0a\x06\x08\x02\x18\x09\x20\x09"
    name = b"\x12\x20" + hashlib.sha256(root).digest()
    gateway.plain, gateway.archive = leaf, None
    gateway.blocks = {text(name): root, block_name(RAW, digest): leaf}
    assert await fetch(Cid(text(name))) == leaf


async def test_an_archive_that_lacks_blocks_is_completed(gateway: Gateway, fetch: Fetch) -> None:
    gateway.archive = car(BLOCKS[3:])
    assert await fetch() == DATA
    assert gateway.asked.count("raw") == 1 + 3


async def test_an_archive_that_is_cut_is_completed(gateway: Gateway, fetch: Fetch) -> None:
    gateway.archive = car(BLOCKS)[:-500]
    assert await fetch() == DATA


async def test_blocks_in_excess_and_in_any_order_do_no_harm(gateway: Gateway, fetch: Fetch) -> None:
    _, others = layout(b"another file", 5, 3)
    gateway.blocks, gateway.archive = None, car([*others, *BLOCKS[::-1], *BLOCKS])
    assert await fetch() == DATA


async def test_a_small_file_costs_one_block(gateway: Gateway, fetch: Fetch) -> None:
    """One node, and not as we write it: its size is not stated."""
    root = b"\x0a\x07\x08\x02\x12\x03abc"
    cid = Cid(text(b"\x12\x20" + hashlib.sha256(root).digest()))
    gateway.plain, gateway.blocks = b"abc", {cid: root}
    assert await fetch(cid) == b"abc"
    assert gateway.asked == ["", "raw"]


# --- lies ---------------------------------------------------------------------------------------------


async def test_wrong_plain_bytes_are_replaced_by_right_blocks(gateway: Gateway, fetch: Fetch) -> None:
    gateway.plain = b"lies"
    assert await fetch() == DATA


def changed(blocks: Blocks, at: int) -> Blocks:
    name, block = blocks[at]
    return [*blocks[:at], (name, block[:-1] + bytes((block[-1] ^ 1,))), *blocks[at + 1 :]]


@pytest.mark.parametrize("at", [0, 5, len(BLOCKS) - 1])
async def test_a_wrong_block_is_a_mismatch(gateway: Gateway, fetch: Fetch, at: int) -> None:
    wrong = changed(BLOCKS, at)
    gateway.archive = car(wrong)
    gateway.blocks = None
    with pytest.raises(ContentMismatch, match="has other bytes than its CID says") as raised:
        await fetch()
    assert CID in raised.value.message
    assert raised.value.hint
    gateway.blocks = {text(name): block for name, block in wrong}
    with pytest.raises(ContentMismatch, match="has other bytes than its CID says"):
        await fetch()


async def test_wrong_blocks_in_an_archive_and_right_ones_alone(gateway: Gateway, fetch: Fetch) -> None:
    gateway.archive = car(changed(BLOCKS, 2))
    assert await fetch() == DATA


async def test_a_gateway_that_gives_the_file_for_everything(gateway: Gateway, fetch: Fetch) -> None:
    gateway.archive, gateway.blocks = DATA, {CID: DATA}
    with pytest.raises(ContentMismatch, match="no archive"):
        await fetch()


async def test_missing_blocks_are_named(gateway: Gateway, fetch: Fetch) -> None:
    missing = text(BLOCKS[0][0])
    gateway.archive = car(BLOCKS[1:])
    assert gateway.blocks is not None
    del gateway.blocks[missing]
    with pytest.raises(ContentMismatch, match=f"{missing} is missing"):
        await fetch()


async def test_a_gateway_with_neither(gateway: Gateway, fetch: Fetch) -> None:
    gateway.archive = gateway.blocks = None
    with pytest.raises(ContentMismatch, match=r"HTTP 404: not \[31m offered"):
        await fetch()
    gateway.plain, gateway.refusal = None, 406
    with pytest.raises(ContentUnavailable, match="HTTP 406"):
        await fetch()


async def test_one_liar_does_not_hide_an_honest_gateway(gateway: Gateway) -> None:
    """A source that says that the file is too large proves nothing; a root block does."""
    gateway.plain = 64 << 20
    library = Library((), [GatewaySource(gateway.url)])
    assert (await library.fetch(CID, LIMIT)).body == DATA
    await library.aclose()


# --- floods -------------------------------------------------------------------------------------------


async def test_a_file_too_large_is_refused_by_its_root(gateway: Gateway, fetch: Fetch) -> None:
    with pytest.raises(ContentTooLarge, match=f"{CID} has 10,240 bytes, more than 10,239"):
        await fetch(limit=len(DATA) - 1)
    assert gateway.asked == ["", "raw"]


async def test_a_root_that_hides_its_size_is_refused_at_the_limit(gateway: Gateway, fetch: Fetch) -> None:
    cid, blocks = layout(bytes(5000), 1000, 3)
    # The same node without its size (field 3 of the file's data, two bytes long and last but the chunks' sizes).
    name, root = blocks[-1]
    start = root.rindex(b"\x0a", 0, root.index(b"\x08\x02", len(root) - 20))
    unixfs = root[start + 2 :].replace(b"\x18\x88\x27", b"", 1)
    bare = root[:start] + b"\x0a" + bytes((len(unixfs),)) + unixfs
    bare_name = b"\x12\x20" + hashlib.sha256(bare).digest()
    gateway.plain, gateway.archive = bytes(5000), car([*blocks[:-1], (bare_name, bare)])
    gateway.blocks = None
    assert await fetch(Cid(text(bare_name)), 5000) == bytes(5000)
    with pytest.raises(ContentTooLarge, match="more than 4,999 bytes"):
        await fetch(Cid(text(bare_name)), 4999)
    assert cid != text(bare_name)
    assert name != bare_name


async def test_endless_answers_take_bounded_memory(gateway: Gateway, fetch: Fetch) -> None:
    gateway.plain = gateway.archive = 64 << 20
    gateway.blocks = None
    tracemalloc.start()
    with pytest.raises(ContentMismatch, match=r"no archive: .* sent more than"):
        await fetch(limit=100_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def chain(length: int) -> tuple[Cid, dict[str, bytes]]:
    """A file of no bytes whose nodes link to one another, one to the next."""
    size = b"\x0a\x04\x08\x02\x18\x00"
    block, name, blocks = size, b"", {}
    for _ in range(length):
        name = b"\x12\x20" + hashlib.sha256(block).digest()
        blocks[text(name)] = block
        link = b"\x0a\x22" + name + b"\x12" + varint(500) + bytes(500)
        block = b"\x12" + varint(len(link)) + link + size
    return Cid(text(name)), blocks


async def test_a_slow_gateway_is_given_up(gateway: Gateway, fetch: Fetch) -> None:
    """Each answer comes in time, all of them together do not."""
    cid, gateway.blocks = chain(100)
    gateway.archive, gateway.delay = None, 0.1
    with pytest.raises(ContentUnavailable, match="did not give the blocks of"):
        await fetch(cid, seconds=2)
    assert gateway.asked.count("raw") < 100


async def test_a_directory_is_refused_at_once_and_for_all(gateway: Gateway) -> None:
    root = b"\x0a\x02\x08\x01"
    cid = Cid(text(b"\x12\x20" + hashlib.sha256(root).digest()))
    assert cid == "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", "the empty directory of every IPFS node"
    gateway.plain, gateway.blocks = b"<html>index</html>", {cid: root}
    away = GatewaySource("http://127.0.0.1:1/ipfs/")
    library = Library((), [away, GatewaySource(gateway.url)])
    with pytest.raises(ContentNotFile, match="it is a directory"):
        await library.fetch(cid, LIMIT)
    assert gateway.asked == ["", "raw"], "nobody asks twice"
    await library.aclose()


async def test_an_endless_chain_of_nodes_ends(gateway: Gateway, fetch: Fetch) -> None:
    """A server may make up no blocks, but whoever made the file may chain a great many."""
    cid, gateway.blocks = chain(200)
    gateway.plain, gateway.archive = b"?", None
    with pytest.raises(ContentTooLarge, match="more bytes than a file of 1,000 needs"):
        await fetch(cid, 1000, 60)
