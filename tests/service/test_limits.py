"""What the proxy holds at most, and for how long it waits."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.service.scene import HOST, NAME, application, get, proxy, read_head, serve, upstream

MIB = 1024**2
PIECE = b"\xa5" * 65536


def own_address() -> str:
    """An address of this host that is not this machine's alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("198.51.100.1", 9))
        address = str(probe.getsockname()[0])
        if not address.startswith(("127.", "0.")):
            return address
    pytest.skip("this host has no address but its own loopback")


class Memory:
    """Bytes by which this process's resident memory has peaked since."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self._before = self._field("VmRSS")

    def peak(self) -> int:
        return self._field("VmHWM") - self._before

    def _field(self, name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


@pytest.mark.long
async def test_two_hundred_megabytes_pass_each_way_in_little_memory() -> None:
    size = 200 * MIB

    async def down(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        if request.query["as"] == "length":
            answer.content_length = size
        await answer.prepare(request)
        for _ in range(size // len(PIECE)):
            await answer.write(PIECE)
        return answer

    async def up(request: web.Request) -> web.Response:
        seen = hashlib.blake2b()
        async for piece in request.content.iter_chunked(65536):
            seen.update(piece)
        return web.Response(text=seen.hexdigest())

    async def pieces():
        for _ in range(size // len(PIECE)):
            yield PIECE

    app = web.Application(client_max_size=1 << 40)
    app.router.add_get("/", down)
    app.router.add_put("/", up)
    whole = hashlib.blake2b()
    for _ in range(size // len(PIECE)):
        whole.update(PIECE)
    async with application(app) as port, proxy() as place, aiohttp.ClientSession(headers={"Host": HOST}) as session:
        serve(place, port)
        url = f"http://127.0.0.1:{place.port}/"
        memory = Memory()
        for kind in ("length", "chunks"):
            seen = hashlib.blake2b()
            async with session.get(url, params={"as": kind}) as answer:
                async for piece in answer.content.iter_chunked(1 << 18):
                    seen.update(piece)
            assert seen.digest() == whole.digest()
        for headers in ({"Content-Length": str(size)}, {}):
            async with session.put(url, data=pieces(), headers=headers) as answer:
                assert await answer.text() == whole.hexdigest()
        assert memory.peak() < 32 * MIB


async def test_a_client_that_does_not_read_holds_the_service_back_and_is_cut_off() -> None:
    sent = 0
    ended = asyncio.Event()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                writer.write(PIECE)
                await writer.drain()
                sent += len(PIECE)
        finally:
            ended.set()

    async with upstream(pour) as port, proxy(patience=1.0) as place:
        serve(place, port)
        reader, writer = await place.dial()
        writer.write(get())
        await read_head(reader)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(0.5)
        held = sent
        await asyncio.sleep(0.3)
        assert sent == held < 64 * MIB, "no more is taken than the sockets hold"
        async with asyncio.timeout(5):
            await ended.wait()
        assert place.listener.connections == 0
        writer.close()


async def test_a_service_that_does_not_read_holds_the_client_back() -> None:
    async def idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(1.2)

    async with upstream(idle) as port, proxy() as place:
        serve(place, port)
        _, writer = await place.dial()
        writer.write(get("/", "Content-Length: 1000000000", method="PUT"))
        memory, sent = Memory(), 0
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(0.7):
                while True:
                    writer.write(PIECE)
                    await writer.drain()
                    sent += len(PIECE)
        assert 0 < sent < 64 * MIB
        assert memory.peak() < 16 * MIB
        writer.close()


async def test_slow_heads_and_silent_connections_are_ended() -> None:
    async with proxy(head_time=0.4, idle=0.4) as place:
        serve(place, 1)
        began = time.monotonic()
        assert await place.send(b"") == b"", "who says nothing is told nothing"
        assert (await place.send(get()[:-2])).startswith(b"HTTP/1.1 408")
        reader, writer = await place.dial()
        for character in get()[:-2].decode():
            writer.write(character.encode())
            await asyncio.sleep(0.03)
            if reader.at_eof() or place.listener.connections == 0:
                break
        assert (await reader.read(12)) in (b"HTTP/1.1 408", b"")
        writer.close()
        assert (await place.send(get("/", host="no.localhost"))).startswith(b"HTTP/1.1 404")
        assert time.monotonic() - began < 8


async def test_a_body_that_does_not_come_is_given_up() -> None:
    async def read_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with upstream(read_all) as port, proxy(patience=0.4) as place:
        entry = serve(place, port)
        got = await place.send(get("/", "Content-Length: 100", method="POST") + b"half")
        assert got == b""
        await asyncio.sleep(0.05)
        assert entry.active == 0


async def test_heads_have_a_longest_size() -> None:
    async with proxy(head=4096) as place:
        serve(place, 1)
        got = await place.send(get("/", "X-Long: " + "x" * 10_000))
        assert got.startswith(b"HTTP/1.1 431")
        assert (await place.send(b"GET /" + b"x" * 10_000)).startswith(b"HTTP/1.1 431")


async def test_a_service_has_so_many_connections_and_no_more() -> None:
    gate = asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        await gate.wait()
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/", wait)
    async with application(app) as port, proxy(per_service=3) as place, aiohttp.ClientSession() as session:
        serve(place, port)
        other = NAME[::-1]
        serve(place, port, name=other)
        url, us = f"http://127.0.0.1:{place.port}/", {"Host": HOST}

        async def status(headers: dict[str, str]) -> int:
            async with session.get(url, headers=headers) as answer:
                return answer.status

        async with asyncio.TaskGroup() as group:
            served = [group.create_task(status(us)) for _ in range(3)]
            await asyncio.sleep(0.2)
            assert await status(us) == 503
            elsewhere = group.create_task(status({"Host": f"{other}.localhost"}))
            await asyncio.sleep(0.1)
            gate.set()
        assert [each.result() for each in (*served, elsewhere)] == [200] * 4
        assert await status(us) == 200


async def test_one_stranger_does_not_take_all_connections() -> None:
    address = own_address()
    async with proxy(host="0.0.0.0", per_client=4) as place:
        held = []
        refused = 0
        for _ in range(8):
            reader, writer = await asyncio.open_connection(address, place.port)
            writer.write(get(host="no.localhost"))
            try:
                async with asyncio.timeout(2):
                    head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 404")
                held.append(writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                refused += 1
                writer.close()
        assert (len(held), refused) == (4, 4)
        assert (await place.send(get("/", "Connection: close", host="no.localhost"))).startswith(b"HTTP/1.1 404")
        for writer in held:
            writer.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_a_strangers_word_on_who_he_is_counts_nothing(host: str) -> None:
    if host == "::" and not socket.has_dualstack_ipv6():
        pytest.skip("this host has no IPv6")
    address = own_address()

    async def told(request: web.Request) -> web.Response:
        return web.json_response({name.lower(): value for name, value in request.headers.items()})

    app = web.Application()
    app.router.add_get("/", told)
    async with application(app) as port, proxy(host=host) as place, aiohttp.ClientSession() as session:
        serve(place, port)
        lies = {
            "X-Forwarded-For": "1.2.3.4",
            "X-Forwarded-Proto": "https",
            "X-Real-IP": "1.2.3.4",
            "Forwarded": "for=1",
        }
        lies |= {"X_Forwarded_For": "1.2.3.4", "X-Forwarded-Host": "bank.example", "Host": HOST}
        async with session.get(f"http://{address}:{place.port}/", headers=lies) as answer:
            seen = await answer.json()
        assert seen["x-forwarded-for"] == address
        assert (seen["x-forwarded-proto"], seen["x-forwarded-host"]) == ("http", HOST)
        assert not {"x-real-ip", "forwarded", "x_forwarded_for"} & set(seen)


async def test_many_clients_at_once() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{tail:.*}", echo)
    connector = aiohttp.TCPConnector(limit=100)
    async with application(app) as port, proxy() as place, aiohttp.ClientSession(connector=connector) as session:
        entry = serve(place, port)

        async def one(number: int) -> None:
            body = f"{number} ".encode() * (number * 7 % 9000)
            async with session.post(f"http://127.0.0.1:{place.port}/", data=body, headers={"Host": HOST}) as answer:
                assert await answer.read() == body

        async with asyncio.TaskGroup() as group:
            for number in range(1000):
                group.create_task(one(number))
        assert entry.active == 0
        assert place.listener.connections <= 100
