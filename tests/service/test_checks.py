"""Health checks against real servers that do what servers do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from node.plan_records import HealthCheck, HealthCheckKind
from node.service.checks import CheckTimes, ask
from tests.service.scene import application, upstream

TIMES = CheckTimes(connect=0.5, http=0.6, websocket=0.6)


def http(path: str = "/", **more: Any) -> HealthCheck:
    return HealthCheck(HealthCheckKind.HTTP, continuous=True, path=path, **more)


def websocket(expected: str) -> HealthCheck:
    return HealthCheck(HealthCheckKind.WEBSOCKET, continuous=True, expected_response=expected)


@asynccontextmanager
async def patient(seen: list[dict[str, Any]]) -> AsyncIterator[int]:
    async def note(request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        seen.append({"method": request.method, "body": body, **{k.lower(): v for k, v in request.headers.items()}})
        return web.Response(status=int(request.query.get("status", "200")))

    async def away(request: web.Request) -> web.Response:
        raise web.HTTPFound("/note")

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"x" * 65536)

    app = web.Application()
    app.router.add_route("*", "/note", note)
    app.router.add_get("/away", away)
    app.router.add_get("/endless", endless)
    async with application(app) as port:
        yield port


async def test_the_status_is_what_counts() -> None:
    seen: list[dict[str, Any]] = []
    async with patient(seen) as port:
        assert await ask(http("/note"), "127.0.0.1", port) == ""
        assert await ask(http("note"), "127.0.0.1", port) == ""
        assert await ask(http("/note?status=503"), "127.0.0.1", port) == "status 503, not 200"
        assert await ask(http("/note?status=503", expected_status=503), "127.0.0.1", port) == ""
        assert await ask(http("/away", expected_status=302), "127.0.0.1", port) == ""
        assert len(seen) == 4, "a redirect is an answer, and is not followed"
        began = time.monotonic()
        assert await ask(http("/endless"), "127.0.0.1", port) == "", "nothing of the body is read"
        assert time.monotonic() - began < 2


async def test_method_headers_and_body_are_the_checks_own() -> None:
    seen: list[dict[str, Any]] = []
    async with patient(seen) as port:
        headers = (("X-Key", "v"), ("Host", "inner.example"))
        assert await ask(http("/note", method="POST", headers=headers, body={"a": 1}), "127.0.0.1", port) == ""
        assert await ask(http("/note", method="PUT", body="text"), "127.0.0.1", port) == ""
        assert await ask(http("/note", method="GET", body="text"), "127.0.0.1", port) == ""
        assert await ask(http("/note", method="POST", body=0), "127.0.0.1", port) == ""
    first, second, third, fourth = seen
    assert (first["method"], first["body"], first["content-type"]) == ("POST", '{"a": 1}', "application/json")
    assert (first["x-key"], first["host"]) == ("v", "inner.example")
    assert (second["method"], second["body"]) == ("PUT", "text")
    assert (third["method"], third["body"]) == ("GET", "")
    assert fourth["body"] == "", "what is false is not sent"


async def test_checks_that_get_no_answer_say_why() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        await writer.drain()

    for talk in (silent, drips):
        async with upstream(talk) as port:
            assert await ask(http(), "127.0.0.1", port, TIMES) == "no answer within 0.6 s"
    async with upstream(babble) as port:
        assert (await ask(http(), "127.0.0.1", port, TIMES)).startswith("no answer: ")
    assert (await ask(http(), "127.0.0.1", 1, TIMES)).startswith("no answer: ")
    bad = http("/ \r\nX: y", headers=(("A b", "c\r\nd"),))
    assert (await ask(bad, "127.0.0.1", 1, TIMES)).startswith("no answer: ")


@asynccontextmanager
async def greeter(greeting: str | bytes | None) -> AsyncIterator[int]:
    async def greet(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        if isinstance(greeting, str):
            await ws.send_str(greeting)
        elif greeting is not None:
            await ws.send_bytes(greeting)
        async for _ in ws:
            pass
        return ws

    app = web.Application()
    app.router.add_get("/", greet)
    async with application(app) as port:
        yield port


async def test_a_websockets_first_answer_is_looked_at() -> None:
    async with greeter('{"state": "ready", "n": 1}') as port:
        assert await ask(websocket("ready"), "127.0.0.1", port, TIMES) == ""
        assert await ask(websocket("101 Switching"), "127.0.0.1", port, TIMES) == "", "the handshake is an answer"
        assert "does not contain 'sorry'" in await ask(websocket("sorry"), "127.0.0.1", port, TIMES)
    async with greeter(b"\x00bytes") as port:
        assert await ask(websocket("bytes"), "127.0.0.1", port, TIMES) == ""
    async with greeter("x" * 200_000) as port:
        assert (await ask(websocket("y"), "127.0.0.1", port, TIMES)).startswith("closed before")
    async with greeter(None) as port:
        assert await ask(websocket(""), "127.0.0.1", port, TIMES) == ""
        assert await ask(websocket("hello"), "127.0.0.1", port, TIMES) == "no answer within 0.6 s"
    async with patient([]) as port:
        assert (await ask(websocket("x"), "127.0.0.1", port, TIMES)).startswith("no WebSocket")
    assert (await ask(websocket("x"), "127.0.0.1", 1, TIMES)).startswith("no WebSocket")


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "ws_proxy"])
async def test_no_proxy_of_the_environment_is_asked(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    async with patient([]) as port:
        assert await ask(http("/note"), "127.0.0.1", port) == ""
    async with greeter("hi") as port:
        assert await ask(websocket("hi"), "127.0.0.1", port) == ""
