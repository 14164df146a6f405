"""Who may speak to the control socket, and what becomes of those who take too much of it. Real sockets, real time."""

from __future__ import annotations

import asyncio
import grp
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from node.api.client import ControlClient
from node.api.control import BODY_LIMIT, ControlServer
from node.api.guard import Guard, GuardLimits, everyone, loopback_socket, own_user_and
from node.errors import ControlError
from tests.api.double import DoublePort

HASTY = GuardLimits(connections=4, requests=1000.0, burst=1000, longest_wait=0.2, patience=0.4, answer=1.0)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
async def server(place: Path) -> AsyncIterator[ControlServer]:
    async with ControlServer(DoublePort(()), place, limits=HASTY) as server:
        yield server


async def closed_after(reader: asyncio.StreamReader) -> float:
    began = time.monotonic()
    try:
        async with asyncio.timeout(5):
            while await reader.read(1 << 16):
                pass
    except ConnectionError:
        pass
    return time.monotonic() - began


async def test_a_header_that_drips_is_cut_off(server: ControlServer, place: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(place)

    async def drip() -> None:
        for letter in b"GET /v1/status HTTP/1.1\r\nHost: agent\r\nX: " + b"x" * 1000:
            writer.write(bytes([letter]))
            await asyncio.sleep(0.02)

    dripping = asyncio.ensure_future(drip())
    assert 0.2 < await closed_after(reader) < 2
    dripping.cancel()
    writer.close()


async def test_a_body_that_drips_is_answered_and_cut_off(server: ControlServer, place: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(place)
    writer.write(b"POST /v1/drain HTTP/1.1\r\nHost: agent\r\nContent-Length: 100\r\n\r\n{")
    assert b"408" in await asyncio.wait_for(reader.readline(), 3)
    assert await closed_after(reader) < 2
    writer.close()


async def test_a_silent_connection_is_closed(server: ControlServer, place: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(place)
    assert 0.2 < await closed_after(reader) < 2
    writer.close()
    # And one that was used once.
    reader, writer = await asyncio.open_unix_connection(place)
    writer.write(b"GET /v1/gpus HTTP/1.1\r\nHost: agent\r\n\r\n")
    assert b"200" in await reader.readline()
    assert await closed_after(reader) < 2
    writer.close()


async def test_there_are_only_so_many_connections(server: ControlServer, place: Path) -> None:
    held = [await asyncio.open_unix_connection(place) for _ in range(HASTY.connections)]
    await asyncio.sleep(0.05)
    reader, writer = await asyncio.open_unix_connection(place)
    assert await closed_after(reader) < 0.2
    writer.close()
    for _, each in held:
        each.close()
    await asyncio.sleep(0.1)
    async with ControlClient(place) as client:
        assert (await client.status())["running"] is True


async def test_large_and_deep_requests_are_refused(server: ControlServer, place: Path) -> None:
    for body in (b"x" * (BODY_LIMIT + 1), b"[" * 5000, b'{"lane": "a", "lane": "b"}', b'{"seconds": NaN}', b"\xff"):
        reader, writer = await asyncio.open_unix_connection(place)
        writer.write(b"POST /v1/pause HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        status = (await asyncio.wait_for(reader.readline(), 3)).split()[1]
        assert status in (b"400", b"413")
        writer.close()
    for line in (
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"\x00" * 5000,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 9000,
    ):
        reader, writer = await asyncio.open_unix_connection(place)
        writer.write(line + b"\r\n")
        answer = await asyncio.wait_for(reader.read(100), 3)
        assert b" 200 " not in answer
        writer.close()
    async with ControlClient(place) as client:
        assert (await client.status())["running"] is True


async def test_requests_wait_their_turn_and_too_many_are_refused(place: Path) -> None:
    limits = GuardLimits(requests=20.0, burst=5, longest_wait=0.3)
    async with ControlServer(DoublePort(()), place, limits=limits), ControlClient(place) as client:
        began = time.monotonic()
        for _ in range(10):
            await client.gpus()
        assert time.monotonic() - began > 0.2
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(_gpus(place)) for _ in range(30)]
        refused = [task.result() for task in asked if task.result()]
        assert 5 < len(refused) < 30
        assert all("too many requests" in reason for reason in refused)


async def _gpus(place: Path) -> str:
    async with ControlClient(place) as client:
        try:
            await client.gpus()
        except ControlError as error:
            return error.message
    return ""


async def test_who_does_not_read_is_cut_off(tmp_path: Path) -> None:
    async def large(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * (64 << 20))

    guard = Guard(everyone, HASTY)
    app = web.Application(middlewares=[guard.middleware])
    app.router.add_get("/", large)
    runner = web.AppRunner(app)
    await runner.setup()
    assert runner.server is not None
    listener = loopback_socket("127.0.0.1", 0)
    serving = await guard.serve(runner.server, listener)
    try:
        peer = socket.create_connection(listener.getsockname())
        peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(1.5)
        got = 0
        with peer:
            peer.settimeout(2)
            try:
                while piece := await asyncio.to_thread(peer.recv, 1 << 20):
                    got += len(piece)
            except ConnectionResetError:
                pass
        assert got < 64 << 20
        assert not guard._open
    finally:
        serving.close()
        await runner.cleanup()


def test_only_this_machine_is_listened_on() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org", "127.0.0.1.example.org", ""):
        with pytest.raises(ControlError):
            loopback_socket(host, 0).close()
    loopback_socket("127.0.0.1", 0).close()


# --- who ----------------------------------------------------------------------------------------------------

_ASK = """
import os, socket, sys
place, user, *groups = sys.argv[1:]
os.setgroups([int(each) for each in groups])
os.setgid(int(user)); os.setuid(int(user))
peer = socket.socket(socket.AF_UNIX)
try:
    peer.connect(place)
    peer.sendall(b"GET /v1/gpus HTTP/1.0\\r\\n\\r\\n")
    print(peer.recv(15).decode())
except OSError as error:
    print(type(error).__name__)
"""


def ask(place: Path, user: int, *groups: int) -> str:
    command = [sys.executable, "-S", "-c", _ASK, str(place), str(user), *map(str, groups)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A place that every user can reach, whatever the socket's own mode says."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path("/tmp") or folder.stat().st_uid != os.geteuid():
            break
        folder.chmod(0o755)
    return tmp_path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_other_users_are_kept_out_by_mode_and_by_credentials(open_folder: Path) -> None:
    place = open_folder / "c.sock"
    async with ControlServer(DoublePort(()), place):
        assert await asyncio.to_thread(ask, place, 0) == "HTTP/1.0 200 OK"
        assert await asyncio.to_thread(ask, place, 4321) == "PermissionError"
        # Even where somebody has opened the socket's mode.
        place.chmod(0o666)
        assert await asyncio.to_thread(ask, place, 4321) in ("", "ConnectionResetError", "BrokenPipeError")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_the_named_group_is_let_in(open_folder: Path) -> None:
    group = grp.getgrnam("users")
    place = open_folder / "c.sock"
    async with ControlServer(DoublePort(()), place, group=group.gr_name):
        assert (place.stat().st_mode & 0o777, place.stat().st_gid) == (0o660, group.gr_gid)
        assert await asyncio.to_thread(ask, place, 4321, group.gr_gid) == "HTTP/1.0 200 OK"
        place.chmod(0o666)
        assert await asyncio.to_thread(ask, place, 4321, 7) in ("", "ConnectionResetError", "BrokenPipeError")


async def test_a_group_that_does_not_exist(place: Path) -> None:
    with pytest.raises(ControlError, match="no group"):
        await ControlServer(DoublePort(()), place, group="no-such-group").start()


def test_credentials_that_cannot_be_read_are_none() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert own_user_and(None)(one)
