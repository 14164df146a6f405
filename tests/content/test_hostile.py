"""Gateways and stores that lie, stall, redirect, or never end."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from node.content import library as library_room
from node.content.cid import file_cid
from node.content.http import MAX_REDIRECTS, ContentHttp
from node.content.library import Library
from node.content.source import GatewaySource
from node.content.store import KuboStore, PinataStore, Store
from node.errors import ContentMismatch, ContentTooLarge, ContentUnavailable, StoreRejected
from node.public_network import PublicTransport

DATA = b"some text\n" * 100
CID = file_cid(DATA)
Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[Raw], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Servers that speak as the test says; gives their addresses."""
    servers: list[asyncio.Server] = []
    busy: set[asyncio.Task[None]] = set()

    async def start(answer: Raw) -> str:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            busy.add(task)
            try:
                await answer(reader, writer)
            except (ConnectionError, asyncio.CancelledError):
                pass
            finally:
                busy.discard(task)
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    yield start
    for server in servers:
        server.close()
    for task in list(busy):
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)


def fixed(head: str, body: bytes = b"", requests: list[str] | None = None) -> Raw:
    """One answer to whatever is asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        if requests is not None:
            requests.append(asked.split(b"\r\n")[0].decode())
        writer.write(f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()

    return answer


async def fetched(url: str, limit: int = 1 << 20, timeout: float = 5.0) -> bytes:
    source = GatewaySource(f"{url}/ipfs/", timeout=timeout)
    try:
        return await source.fetch(CID, limit)
    finally:
        await source.aclose()


# --- redirects --------------------------------------------------------------------------------------


async def test_a_redirect_on_the_same_server_is_followed(serve: Serve) -> None:
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(request.split()[1])
        head = "200 OK" if "/there/" in request else f"301 Moved\r\nLocation: /there/{CID}"
        body = DATA if "/there/" in request else b""
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()

    assert await fetched(await serve(answer)) == DATA
    assert asked == [f"/ipfs/{CID}", f"/there/{CID}"]


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:{port}/secret", "file:///etc/passwd", "http://169.254.169.254/latest", "ftp://x/y", ""]
)
async def test_a_redirect_elsewhere_is_not_followed(serve: Serve, target: str) -> None:
    reached: list[str] = []
    inner = await serve(fixed("200 OK", DATA, reached))
    location = target.format(port=inner.rpartition(":")[2])
    url = await serve(fixed(f"302 Found\r\nLocation: {location}"))
    with pytest.raises(ContentUnavailable, match="not followed"):
        await fetched(url)
    assert reached == []


async def test_a_redirect_to_https_is_followed_and_its_certificate_checked(serve: Serve) -> None:
    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + DATA)
        await writer.drain()

    inner = await serve(no_tls)
    url = await serve(fixed(f"307 Temporary\r\nLocation: {inner.replace('http:', 'https:')}/x"))
    # This machine is no public host; with that waived, it is the certificate that is missing.
    with pytest.raises(ContentUnavailable, match="not of the public internet"):
        await fetched(url)
    waived = ContentHttp(timeout=5, strangers=PublicTransport(exempt=lambda _host, _port: True))
    with pytest.raises(ContentUnavailable, match="cannot be reached") as caught:
        await waived.fetch("GET", url, limit=100)
    assert "public" not in caught.value.message
    await waived.aclose()


async def test_redirects_end(serve: Serve) -> None:
    asked: list[str] = []
    url = await serve(fixed("302 Found\r\nLocation: /again", b"", asked))
    with pytest.raises(ContentUnavailable, match=f"more than {MAX_REDIRECTS}"):
        await fetched(url)
    assert len(asked) == MAX_REDIRECTS + 1


@pytest.mark.parametrize("status", ["301 Moved", "307 Temporary", "308 Permanent"])
async def test_uploads_are_never_sent_on(serve: Serve, status: str) -> None:
    reached: list[str] = []
    thief = await serve(fixed("200 OK", json.dumps({"IpfsHash": CID}).encode(), reached))
    url = await serve(store_answer(f"{status}\r\nLocation: {thief}/pinning/pinFileToIPFS", b""))
    store = PinataStore(url, "TOKEN")
    with pytest.raises(StoreRejected, match="sends uploads on to"):
        await store.add_file("x", DATA)
    await store.aclose()
    assert reached == []


# --- bodies -----------------------------------------------------------------------------------------


async def test_a_compressed_bomb_is_never_unfolded(serve: Serve) -> None:
    bomb = gzip.compress(b"\0" * (64 << 20))
    url = await serve(fixed(f"200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}", bomb))
    with pytest.raises(ContentMismatch):
        await fetched(url, limit=len(bomb))


async def test_an_endless_body_ends_at_the_limit(serve: Serve) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()

    with pytest.raises(ContentTooLarge):
        await fetched(await serve(endless))


async def test_a_dribbled_body_is_given_up(serve: Serve) -> None:
    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    began = time.monotonic()
    with pytest.raises(ContentUnavailable, match="did not answer within"):
        await fetched(await serve(dribble), timeout=0.3)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "head",
    [
        "200 OK\r\nContent-Length: 5000",
        "200 OK\r\nContent-Length: -1",
        "200 OK\r\nContent-Length: 10\r\nContent-Length: 20",
        "200 OK\r\nTransfer-Encoding: chunked",
        "nonsense",
        "200 OK\r\nX: " + "y" * 200_000,
    ],
)
async def test_broken_http_is_unavailable(serve: Serve, head: str) -> None:
    with pytest.raises(ContentUnavailable, match="cannot be reached"):
        await fetched(await serve(fixed(head, b"zz\r\n" + DATA)))


async def test_a_short_content_length_is_a_mismatch(serve: Serve) -> None:
    with pytest.raises(ContentMismatch):
        await fetched(await serve(fixed("200 OK\r\nContent-Length: 10", DATA)))


# --- stores -----------------------------------------------------------------------------------------

KINDS = [
    lambda url, seconds: KuboStore(url, timeout=seconds),
    lambda url, seconds: PinataStore(url, "t", timeout=seconds),
]


async def taking(reader: asyncio.StreamReader) -> bytes:
    """Read a whole upload."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    await reader.readexactly(length)
    return head


def store_answer(head: str, body: bytes) -> Raw:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await taking(reader)
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()

    return answer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("head", "body", "error", "said"),
    [
        ("200 OK\r\nContent-Type: text/html", b"<html>\n<body>Welcome</body>\n", StoreRejected, "answered CID"),
        ("200 OK", b"[]", StoreRejected, "answered CID"),
        ("200 OK", b'{"Hash":7,"IpfsHash":{}}', StoreRejected, "answered CID"),
        ("200 OK", b"", StoreRejected, "answered CID"),
        ("200 OK", b"x" * (2 << 20), StoreRejected, "answered more than"),
        ("413 Payload Too Large", b"too\nlarge", StoreRejected, "HTTP 413: too large"),
        ("401 Unauthorized", b"no", StoreRejected, "HTTP 401"),
        ("500 Oops", b"<html>", ContentUnavailable, "HTTP 500"),
        ("429 Slow Down", b"", ContentUnavailable, "HTTP 429"),
    ],
)
async def test_what_a_store_may_answer(
    serve: Serve, kind: Callable[[str, float], Store], head: str, body: bytes, error: type[Exception], said: str
) -> None:
    store = kind(await serve(store_answer(head, body)), 20)
    with pytest.raises(error, match=said) as raised:
        await store.add_file("x", DATA)
    assert "\n" not in str(raised.value)
    await store.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_store_that_hangs_is_worth_another_try(serve: Serve, kind: Callable[[str, float], Store]) -> None:
    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await taking(reader)
        await asyncio.sleep(60)

    store = kind(await serve(hang), 0.3)
    with pytest.raises(ContentUnavailable, match="did not answer within"):
        await store.add_file("x", DATA)
    await store.aclose()


async def test_a_store_that_compresses_its_answers_is_understood(aiohttp_store: str) -> None:
    """Front servers compress JSON for every client that does not say that it cannot take it."""
    store = PinataStore(aiohttp_store, "t")
    assert await store.add_file("x", DATA) == CID
    await store.aclose()


@pytest.fixture
async def aiohttp_store() -> AsyncIterator[str]:
    async def add(request: web.Request) -> web.Response:
        await request.post()
        answer = web.json_response({"IpfsHash": CID, "padding": "x" * 2000})
        answer.enable_compression()
        return answer

    app = web.Application()
    app.router.add_post("/pinning/pinFileToIPFS", add)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_hanging_store_does_not_hold_up_a_file_that_another_has(
    serve: Serve, aiohttp_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await asyncio.sleep(60)

    monkeypatch.setattr(library_room, "STRAGGLER_SECONDS", 0.1)
    library = Library([KuboStore(await serve(hang), timeout=30), PinataStore(aiohttp_store, "t")], ())
    async with asyncio.timeout(5):
        assert await library.publish("r", DATA) == (CID, ("pinata 127.0.0.1",))
    await library.aclose()
