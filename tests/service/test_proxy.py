"""The proxy, with real sockets and services that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json

import aiohttp
import pytest
from aiohttp import WSCloseCode, WSMsgType, web

from node.service.table import ServiceStatus
from tests.service.scene import HOST, NAME, application, get, proxy, read_head, serve, upstream


async def echo(request: web.Request) -> web.Response:
    body = await request.read()
    seen = {"method": request.method, "path": request.path_qs, "headers": list(request.headers.items())}
    return web.json_response({**seen, "length": len(body), "sha": hashlib.sha256(body).hexdigest()})


def echoing() -> web.Application:
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{tail:.*}", echo)
    return app


async def test_requests_and_bodies_pass_both_ways_on_one_connection() -> None:
    async with application(echoing()) as port, proxy() as place:
        entry = serve(place, port)
        async with aiohttp.ClientSession() as session:
            base = f"http://127.0.0.1:{place.port}"
            for size in (0, 1, 5_000_000):
                body = b"x" * size
                async with session.post(f"{base}/a?b=c%20d", data=body, headers={"Host": HOST}) as answer:
                    seen = await answer.json()
                assert (seen["path"], seen["length"]) == ("/a?b=c%20d", size)
                assert seen["sha"] == hashlib.sha256(body).hexdigest()

            async def pieces():
                for _ in range(40):
                    yield b"y" * 10_000

            async with session.put(f"{base}/chunks", data=pieces(), headers={"Host": HOST.upper()}) as answer:
                seen = await answer.json()
            assert seen["length"] == 400_000
            async with session.head(f"{base}/", headers={"Host": HOST}) as answer:
                assert answer.status == 200
        assert entry.status is ServiceStatus.ONLINE


async def test_what_a_service_is_told_of_its_client() -> None:
    async with application(echoing()) as port, proxy() as place:
        serve(place, port)
        fields = ["X-Forwarded-For: 203.0.113.9", "Keep-Alive: 5", "X-Secret: 1", "Connection: close, X-Secret"]
        got = await place.send(get("/", *fields, "TE: trailers, deflate", "Proxy-Authorization: a"))
        seen = dict(json.loads(got.partition(b"\r\n\r\n")[2])["headers"])
    assert seen["Host"] == HOST
    assert seen["X-Forwarded-For"] == "203.0.113.9", "this machine's own are tunnels, which know the client"
    assert seen["X-Forwarded-Host"] == HOST
    assert seen["X-Forwarded-Proto"] == "http"
    assert seen["TE"] == "trailers"
    assert not {"Keep-Alive", "X-Secret", "Proxy-Authorization"} & set(seen)


async def test_unknown_names_and_services_that_are_not_there() -> None:
    async with proxy() as place:
        got = await place.send(get(host="nobody.localhost") + get("/", "Connection: close"))
        assert got.count(b"HTTP/1.1 404") == 2, "a short refusal leaves the connection open"
        entry = serve(place, 1)
        assert (await place.send(get("/", "Connection: close"))).startswith(b"HTTP/1.1 502")
        assert entry.status is ServiceStatus.OFFLINE
        entry.address = ""
        got = await place.send(get("/", "Connection: close"))
        assert got.startswith(b"HTTP/1.1 503")
        assert b"Retry-After" in got


async def test_events_come_one_by_one() -> None:
    async def events(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for number in range(3):
            await answer.write(f"data: {number}\n\n".encode())
            await gate.get()
        return answer

    gate: asyncio.Queue[int] = asyncio.Queue()
    app = web.Application()
    app.router.add_get("/", events)
    async with application(app) as port, proxy() as place:
        serve(place, port)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{place.port}/", headers={"Host": HOST}) as answer,
        ):
            for number in range(3):
                line = await asyncio.wait_for(answer.content.readuntil(b"\n\n"), 2)
                assert line == f"data: {number}\n\n".encode()
                gate.put_nowait(0)
            assert await answer.content.read() == b""


async def test_websockets_pass_whole(caplog: pytest.LogCaptureFixture) -> None:
    async def socket(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(max_msg_size=0, autoping=True)
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.TEXT and message.data == "leave":
                await ws.close(code=4001, message=b"as you wish")
            elif message.type is WSMsgType.TEXT:
                await ws.send_str(message.data[::-1])
            else:
                await ws.send_bytes(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/ws", socket)
    async with application(app) as port, proxy() as place:
        entry = serve(place, port)
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{place.port}/ws"
            async with session.ws_connect(url, headers={"Host": HOST}, max_msg_size=0, autoping=False) as ws:
                await ws.send_str("abc")
                assert (await ws.receive(2)).data == "cba"
                large = bytes(range(256)) * 20_000
                await ws.send_bytes(large)
                assert (await ws.receive(5)).data == large
                await ws.ping(b"there?")
                pong = await ws.receive(2)
                assert (pong.type, bytes(pong.data)) == (WSMsgType.PONG, b"there?")
                assert entry.active == 1
                await ws.send_str("leave")
                end = await ws.receive(2)
                assert (end.type, end.data, end.extra) == (WSMsgType.CLOSE, 4001, "as you wish")
            async with session.ws_connect(url, headers={"Host": HOST}) as ws:
                place.table.stop(entry)
                end = await ws.receive(2)
                assert end.type in (WSMsgType.CLOSED, WSMsgType.ERROR, WSMsgType.CLOSE)
                assert ws.close_code == WSCloseCode.ABNORMAL_CLOSURE
        await asyncio.sleep(0.05)
        assert (entry.active, len(entry.cuts)) == (0, 0)
    assert not caplog.records


async def test_an_answer_before_the_body_is_through_is_passed_on() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n")
        await writer.drain()
        await asyncio.sleep(0.3)
        writer.close()

    async with upstream(refuse) as port, proxy() as place:
        serve(place, port)
        got = await place.send(get("/", "Content-Length: 100000000", method="POST") + b"z" * 1000)
        assert got.startswith(b"HTTP/1.1 413 Too Large\r\n")
        assert got.endswith(b"\r\n\r\nno\n")


async def test_a_client_that_waits_for_a_word_gets_the_services_own() -> None:
    async def wordy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        assert b"Expect: 100-continue" in head
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(5)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body)
        await writer.drain()

    async with upstream(wordy) as port, proxy() as place:
        serve(place, port)
        reader, writer = await place.dial()
        writer.write(get("/", "Expect: 100-continue", "Content-Length: 5", method="POST"))
        assert await asyncio.wait_for(read_head(reader), 2) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        assert (await asyncio.wait_for(read_head(reader), 2)).startswith(b"HTTP/1.1 200 OK\r\n")
        assert await reader.readexactly(5) == b"hello"
        writer.close()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n", b"four"),
        (b"HTTP/1.0 200 OK\r\n\r\nfour", b"four"),
        (b"HTTP/1.1 200 OK\n\nfour", b"four"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
async def test_an_answer_that_was_cut_is_seen_to_be_cut(answer: bytes, expected: bytes | None) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with upstream(say) as port, proxy() as place:
        serve(place, port)
        async with aiohttp.ClientSession() as session:
            request = session.get(f"http://127.0.0.1:{place.port}/", headers={"Host": HOST})
            if expected is None:
                with pytest.raises(aiohttp.ClientError):
                    await (await request).read()
            else:
                assert await (await request).read() == expected


async def test_trailers_pass() -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\n")
        writer.write(b"X-Sum: 7\r\nContent-Length: 9\r\n\r\n")
        await writer.drain()

    async with upstream(say) as port, proxy() as place:
        serve(place, port)
        got = await place.send(get("/", "Connection: close"))
        assert got.endswith(b"\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n")


async def test_a_service_that_hung_up_between_two_requests_is_asked_anew() -> None:
    connections = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        await read_head(reader)
        writer.close()

    async with upstream(once) as port, proxy() as place:
        serve(place, port)
        got = await place.send(get() + get("/", "Connection: close"))
        assert got.count(b"\r\n\r\nhi") == 2
        assert connections == 2


async def test_who_leaves_is_worked_for_no_more() -> None:
    gone = asyncio.Event()

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        gone.set()

    async with upstream(work) as port, proxy() as place:
        serve(place, port)
        _, writer = await place.dial()
        writer.write(get())
        await asyncio.sleep(0.1)
        writer.close()
        await asyncio.wait_for(gone.wait(), 2)


async def test_the_rest_goes_to_the_api_on_the_same_port() -> None:
    async def about(request: web.Request) -> web.Response:
        return web.Response(text=f"api {request.path}")

    api = web.Application()
    api.router.add_get("/{tail:.*}", about)
    async with application(echoing()) as port, proxy(api=api) as place:
        serve(place, port)
        async with aiohttp.ClientSession() as session:
            for host in ("NodeAddress.localhost", "nodeaddress.localhost:5001", "127.0.0.1", "example.org"):
                async with session.get(f"http://127.0.0.1:{place.port}/x", headers={"Host": host}) as answer:
                    assert await answer.text() == "api /x"
        assert b"HTTP/1.1 404" in await place.send(get("/", "Connection: close", host="gone.localhost"))
        got = await place.send(get("/1", host="127.0.0.1") + get("/2", host=NAME + ".localhost"))
        assert b"api /1" in got
        assert b"HTTP/1.1 421" in got


@pytest.mark.parametrize(
    "raw",
    [
        get("/", "Content-Length: 4", "Transfer-Encoding: chunked", method="POST")
        + b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
        get("/", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\nGET /smuggled HTTP/1.1\r\nX: 1\r\n\r\n",
        get("/", "Transfer-Encoding: chunked", method="POST") + b"1\r\nZZGET /smuggled HTTP/1.1\r\n\r\n0\r\n\r\n",
        get("/", "Transfer-Encoding : chunked", method="POST") + b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
        get("/", "Content_Length: 40", method="POST") + b"GET /smuggled HTTP/1.1\r\n\r\n",
        get("/", "X: y\rContent-Length: 40", method="POST") + b"GET /smuggled HTTP/1.1\r\n\r\n",
        get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA", "Content-Length: x"),
        get("http://10.9.8.7:2375/smuggled"),
        get("/", host="10.9.8.7:2375").replace(b"GET /", b"CONNECT 10.9.8.7:2375"),
    ],
)
async def test_nothing_is_smuggled_to_a_service(raw: bytes) -> None:
    came = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            came.extend(piece)

    async with upstream(listen) as port, proxy() as place:
        serve(place, port)
        got = await place.send(raw, seconds=3)
        assert got.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501")), got
        assert got.count(b"HTTP/1.1 ") == 1
        assert b"smuggled" not in came


async def test_what_follows_a_request_is_a_request_of_its_own() -> None:
    """Also when it stands in the same packet: it is routed anew, by its own Host."""
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await read_head(reader)
            seen.append(head)
            body = await reader.readexactly(3) if head.startswith(b"POST") else b""
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + (body or b"non"))

    async with upstream(answer) as port, proxy() as place:
        serve(place, port)
        raw = get("/1", "Content-Length: 3", method="POST") + b"abc" + get("/2") + get("/3", host="else.localhost")
        got = await place.send(raw + get("/4", "Connection: close"))
        assert [head.split()[1] for head in seen] == [b"/1", b"/2", b"/4"]
        assert got.count(b"HTTP/1.1 200 OK") == 3
        assert got.count(b"HTTP/1.1 404 Not Found") == 1


async def test_a_service_that_switches_protocols_unasked_is_cut() -> None:
    async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nHTTP/1.1 200"
        )
        await asyncio.sleep(1)

    async with upstream(switch) as port, proxy() as place:
        serve(place, port)
        assert (await place.send(get("/", "Connection: close"))).startswith(b"HTTP/1.1 502")


async def test_small_pieces_do_not_wait_for_each_other() -> None:
    """Two small writes on a connection that waits for words on the first (Nagle's way) are 40 ms apart."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
            for piece in (b"he", b"ll", b"o\n"):
                await asyncio.sleep(0.001)
                writer.write(piece)

    async with upstream(drip) as port, proxy() as place:
        serve(place, port)
        reader, writer = await place.dial()
        took = []
        for _ in range(20):
            began = asyncio.get_running_loop().time()
            writer.write(get())
            await read_head(reader)
            assert await reader.readexactly(6) == b"hello\n"
            took.append(asyncio.get_running_loop().time() - began)
        assert sorted(took)[len(took) // 2] < 0.03
        writer.close()


@pytest.mark.parametrize("leaver", ["client", "service"])
async def test_a_tunnelled_connection_whose_one_side_has_left_ends(
    leaver: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The other side has some time for its last words."""
    after: list[bytes] = []

    async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        assert await reader.readexactly(5) == b"hello"
        if leaver == "service":
            writer.write(b"bye")
            writer.write_eof()
            after.append(await reader.read(-1))
            return
        assert await reader.read(-1) == b""
        writer.write(b"last words")
        await asyncio.sleep(30)

    async with upstream(switch) as port, proxy(patience=0.5) as place:
        entry = serve(place, port)
        reader, writer = await place.dial()
        writer.write(get("/", "Connection: Upgrade", "Upgrade: websocket"))
        assert (await read_head(reader)).startswith(b"HTTP/1.1 101")
        writer.write(b"hello")
        if leaver == "client":
            writer.write_eof()
            assert await reader.readexactly(10) == b"last words"
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(-1), 2) == b""
        else:
            assert await reader.read(-1) == b"bye"
            writer.write(b"more")
            writer.write_eof()
        await asyncio.sleep(0.1)
        assert (entry.active, place.listener.connections) == (0, 0)
        assert after == ([b"more"] if leaver == "service" else [])
        writer.close()
    assert not caplog.records
