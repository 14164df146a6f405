"""Whether an engine answers, on a socket of the test's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from node.container import docker
from node.container.docker import DockerEngine
from node.errors import EngineRejected, EngineUnavailable


async def ping(socket: Path, answer: bytes | None) -> None:
    """Ping an engine that answers so; None: it takes the connection and hangs."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is not None:
            writer.write(answer)
            await writer.drain()
        else:
            await reader.read()  # until the other side gives up
        writer.close()

    server = await asyncio.start_unix_server(serve, socket)
    engine = DockerEngine(socket)
    try:
        await engine.ping()
    finally:
        await engine.aclose()
        server.close()


async def test_an_engine_that_answers(tmp_path: Path) -> None:
    await ping(tmp_path / "s", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")


async def test_an_engine_in_trouble_refuses(tmp_path: Path) -> None:
    with pytest.raises(EngineRejected):
        await ping(tmp_path / "s", b'HTTP/1.1 500 Error\r\nContent-Length: 17\r\n\r\n{"message":"bad"}')


async def test_one_that_hangs_and_one_that_is_not_there_are_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker, "PING_SECONDS", 0.2)
    with pytest.raises(EngineUnavailable):
        await ping(tmp_path / "s", None)
    engine = DockerEngine(tmp_path / "none")
    with pytest.raises(EngineUnavailable):
        await engine.ping()
    await engine.aclose()
