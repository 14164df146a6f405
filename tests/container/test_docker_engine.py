"""The Docker engine as a whole: what it says of itself, and what happens when it does not answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import docker
import pytest

from node.container.docker import DockerEngine, unix_nanoseconds
from node.container.engine import EngineEvent
from node.container.transport import DEFAULT_SOCKET, rejection_hint, socket_path, unavailable
from node.errors import EngineRejected, EngineUnavailable, SettingsError
from tests.container.operations import operation

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[Answer], Awaitable[DockerEngine]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """An engine whose socket is answered by the test."""
    opened: list[tuple[asyncio.Server, DockerEngine]] = []

    async def start(answer: Answer) -> DockerEngine:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await answer(reader, writer)
            writer.close()

        server = await asyncio.start_unix_server(handle, str(tmp_path / "engine.sock"))
        engine = DockerEngine(tmp_path / "engine.sock")
        opened.append((server, engine))
        return engine

    yield start
    for server, engine in opened:
        await engine.aclose()
        server.close()


def fixed(head: str, body: bytes = b"") -> Answer:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {head}\r\n\r\n".encode() + body)
        await writer.drain()

    return answer


async def test_a_refusal_keeps_status_and_message(serve: Serve) -> None:
    body = b'{"message":"no such thing"}'
    engine = await serve(fixed(f"409 Conflict\r\nContent-Length: {len(body)}\r\nConnection: close", body))
    for call in (engine.wait("x"), engine.stop("x", 1), engine.start("x"), anext(engine.logs("x"))):
        with pytest.raises(EngineRejected, match="no such thing") as raised:
            await call
        assert raised.value.status == 409


async def test_broken_streams_are_unavailable_and_not_an_end(serve: Serve) -> None:
    frame = b"\x01\0\0\0\0\0\0\x23" + b"2026-11-20T12:00:00.000000000Z abc\n"
    chunked = b"%x\r\n%b\r\n" % (len(frame), frame)
    engine = await serve(fixed("200 OK\r\nTransfer-Encoding: chunked", chunked))
    stream = engine.logs("x")
    assert [item.data for item in await anext(stream)] == [b"abc\n"]
    with pytest.raises(EngineUnavailable):
        await anext(stream)
    with pytest.raises(EngineUnavailable):
        await (await serve(fixed("200 OK\r\nContent-Length: 50", b'{"StatusCode"'))).wait("x")


async def test_nonsense_is_refused_or_unavailable(serve: Serve) -> None:
    engine = await serve(fixed("200 OK\r\nContent-Length: 4\r\nConnection: close", b"nope"))
    with pytest.raises(EngineRejected, match="no JSON"):
        await engine.wait("x")
    with pytest.raises((EngineRejected, EngineUnavailable)):
        await engine.info()


async def test_no_socket(tmp_path: Path) -> None:
    engine = DockerEngine(tmp_path / "none.sock")
    for call in (engine.info(), engine.wait("x"), anext(engine.logs("x")), engine.find({"a": "b"})):
        with pytest.raises(EngineUnavailable, match="does not answer") as raised:
            await call
        assert "does not exist" in raised.value.hint
    await engine.aclose()


def test_no_right_to_the_socket(tmp_path: Path) -> None:
    error = unavailable(tmp_path, PermissionError(13, "Permission denied"))
    assert "usermod -aG docker" in error.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
async def test_no_right_to_a_real_socket(serve: Serve, tmp_path: Path) -> None:
    engine = await serve(fixed("200 OK"))
    (tmp_path / "engine.sock").chmod(0o600)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith("pytest") or folder == tmp_path:
            folder.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(EngineUnavailable) as raised:
            await engine.wait("x")
    finally:
        os.seteuid(0)
    assert "usermod -aG docker" in raised.value.hint


def test_which_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert socket_path() == DEFAULT_SOCKET
    assert socket_path("/x.sock") == Path("/x.sock")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/1000/docker.sock")
    assert socket_path() == Path("/run/user/1000/docker.sock")
    assert socket_path("/x.sock") == Path("/x.sock")
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    with pytest.raises(SettingsError, match="DOCKER_HOST is 'tcp://"):
        socket_path()


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ('could not select device driver "nvidia" with capabilities: [[gpu]]', "NVIDIA Container Toolkit"),
        ("could not find an available, non-overlapping IPv4 address pool", "network prune"),
        ("Unknown runtime specified runsc", "daemon.json"),
        ("write: no space left on device", "disk space"),
    ],
)
def test_hints(message: str, hint: str) -> None:
    assert hint in rejection_hint(400, message)


@pytest.mark.parametrize(
    ("timestamp", "unix"),
    [
        ("1970-01-01T00:00:01.000000001Z", "1.000000001"),
        ("2026-11-20T12:00:00.5Z", "1795176000.500000000"),
        ("2026-11-20T12:00:00Z", "1795176000.000000000"),
        ("2026-11-20T14:00:00.123456789+02:00", "1795176000.123456789"),
    ],
)
def test_since(timestamp: str, unix: str) -> None:
    assert unix_nanoseconds(timestamp) == unix


@pytest.mark.docker
async def test_info(docker_engine: DockerEngine, docker_client: docker.APIClient) -> None:
    info, raw = await docker_engine.info(), docker_client.info()
    assert (info.name, info.version, info.cpus) == ("docker", raw["ServerVersion"], raw["NCPU"])
    assert "runc" in info.runtimes
    assert info.root_dir == raw["DockerRootDir"]
    assert tuple(map(int, info.api_version.split("."))) >= (1, 41)


@pytest.mark.docker
async def test_missing_things(docker_engine: DockerEngine) -> None:
    assert await docker_engine.image("gpunode-test/none:none") is None
    assert await docker_engine.inspect("gpunode-none") is None
    assert await docker_engine.find({"gpunode.none": ""}) == ()
    assert await docker_engine.remove_network("gpunode-none") is True
    await docker_engine.remove("gpunode-none")
    await docker_engine.stop("gpunode-none", 0)
    with pytest.raises(EngineRejected) as raised:
        await docker_engine.wait("gpunode-none")
    assert raised.value.status == 404


@pytest.mark.docker
async def test_events_and_logs_from_a_time(docker_engine: DockerEngine, busybox_image: str, node_address: str) -> None:
    spec = operation(busybox_image, node_address, "echo one; sleep 0.2; echo two").container
    events: list[EngineEvent] = []

    async def listen() -> None:
        async for event in docker_engine.events({"gpunode.node": node_address}):
            events.append(event)
            if event.action == "die":
                return

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(listen())
        await asyncio.sleep(0.3)
        await docker_engine.ensure_network(spec.network, dict(spec.labels))
        container = await docker_engine.create(spec)
        await docker_engine.start(container)
        await docker_engine.start(container)
        assert await docker_engine.wait(container) == 0
    assert [event.action for event in events] == ["create", "start", "die"]
    assert {event.id for event in events} == {container}

    frames = [frame async for batch in docker_engine.logs(container, follow=False) for frame in batch]
    assert [frame.data for frame in frames] == [b"one\n", b"two\n"]
    later = [frame async for batch in docker_engine.logs(container, frames[1].timestamp) for frame in batch]
    assert later == frames[1:]
