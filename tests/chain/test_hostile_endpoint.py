"""Endpoints that send what no honest one does: over HTTP and over the socket, from real servers."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from websockets.asyncio.server import ServerConnection, serve

from node.chain import replies
from node.chain.subscription import Subscribed, Subscriptions
from node.chain.transport import Endpoint
from node.errors import ChainError
from node.retry import Retry
from tests.chain.test_subscription import PROGRAM, Http, running
from tests.test_bounded_input import MANY, bomb

BODIES = [
    b"",
    b"null",
    b"[]",
    b"5",
    b'"x"',
    b"[" * 200_000,
    b'{"result":' * 50_000,
    b'{"result":NaN}',
    b'{"result":' + b"9" * 5000 + b"}",
    b'{"result":18446744073709551616}',
    b'{"result":-9223372036854775809}',
    b'{"result":1e400}',
    b'{"result":true}',
    b'{"result":"7"}',
    b'{"result":7.0}',
    b'{"result":{"context":{"slot":[]},"value":1}}',
    b'{"result":5,"result":6}',
    b'{"error":5}',
    b'{"error":{"code":"x"}}',
    b'{"error":{"code":99999999999999999999999,"message":"\\u001b[2J"}}',
    b'{"error":{"code":-32002,"data":{"err":{"InstructionError":[[],{}]},"logs":{}}}}',
    b'{"error":{"code":-32002,"data":{"err":{"InstructionError":[9e99,{"Custom":-1}]},"logs":[1,null,[]]}}}',
    b"\xff\xfe",
]


PARSERS: list[Callable[[Any], object]] = [
    replies.slot_of,
    replies.valued(replies.integer),
    replies.accounts_parser([PROGRAM]),
    replies.statuses_parser(1),
    replies.landed_transaction,
    replies.signature_info,
]


@pytest.mark.parametrize("body", BODIES)
async def test_any_answer_is_read_or_an_error_of_ours(body: bytes) -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=body))
    async with httpx.AsyncClient(transport=transport) as client:
        endpoint = Endpoint("http://one.test", client, 5.0)
        with pytest.raises(ChainError):
            await endpoint.call("getBalance", [], replies.integer)
        for parse in PARSERS:
            with suppress(ChainError):
                await endpoint.call("getIt", [], parse)


async def test_a_folded_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.chain.transport.RESPONSE_LIMIT", MANY)
    packed = bomb(256 * MANY)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with httpx.AsyncClient() as client:
            tracemalloc.start()
            with pytest.raises(ChainError, match="more than"):
                await Endpoint(f"http://127.0.0.1:{port}", client, 5.0).call("getSlot", [], replies.integer)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    assert peak < 16 * MANY


FRAMES: list[Any] = [
    "",
    "null",
    "[]",
    "5",
    "[" * 100_000,
    '{"method":"slotNotification"}',
    '{"method":"slotNotification","params":{"result":{"slot":"x"}}}',
    '{"method":"slotNotification","params":{"result":{"slot":1e309}}}',
    '{"method":"slotNotification","params":{"result":{"slot":' + "9" * 30 + "}}}",
    '{"method":"programNotification","params":{"subscription":{},"result":{}}}',
    '{"method":"programNotification","params":[]}',
    '{"id":[]}',
    '{"id":1,"error":[]}',
    '{"id":{},"result":{}}',
    b"\xff\x00",
    '"\\ud800"',
]


@pytest.fixture
async def liar() -> AsyncIterator[str]:
    """Says every frame to whoever connects, then a bomb, and hangs on."""

    async def talk(socket: ServerConnection) -> None:
        for frame in FRAMES:
            await socket.send(frame)
        async for raw in socket:
            request = json.loads(raw)
            for frame in FRAMES:
                await socket.send(frame)
            await socket.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": {"a": []}}))

    async with serve(talk, "127.0.0.1", 0) as listening:
        yield f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}"


async def test_no_frame_ends_the_watch(liar: str) -> None:
    subscriptions = Subscriptions([liar], http_slot=Http())
    async with running(subscriptions), subscriptions.program(PROGRAM):
        await asyncio.sleep(0.5)
        assert subscriptions.slot < 1 << 64
        # Whatever was said, it is at most a sign to look for oneself.
        assert {type(notice) for notice in subscriptions._topics[0]._notices} <= {Subscribed}


async def test_a_folded_frame_ends_the_socket_and_not_the_agent() -> None:
    """The socket's own compression: 64 MiB in some kilobytes. The limit counts what it unfolds to."""
    connected: list[float] = []

    async def talk(socket: ServerConnection) -> None:
        connected.append(time.monotonic())
        await socket.send("0" * (64 * MANY))
        await socket.wait_closed()

    async with serve(talk, "127.0.0.1", 0, compression="deflate", ping_interval=None) as listening:
        url = f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}"
        subscriptions = Subscriptions([url], http_slot=Http())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("node.chain.subscription.RECONNECT", Retry(attempts=1, total=0.0, first=0.05, longest=0.1))
            async with running(subscriptions):
                async with asyncio.timeout(20):
                    while len(connected) < 2:
                        await asyncio.sleep(0.05)
    assert len(connected) >= 2, "it was opened anew"
