"""The owner's API behind the agent's own listener: slow clients, many connections, half requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from node.api.owner.app import make_app
from node.records import Address
from node.service import listener
from node.service.desk import ServiceDesk
from node.settings_service import ServiceSettings
from tests.api.conftest import PLENTY
from tests.api.owner_double import JOB, NODE, AgentDouble, header

KEY = Address(str(NODE.pubkey()))


@asynccontextmanager
async def door(folder: Path, agent: AgentDouble, **options: object) -> AsyncIterator[int]:
    """The listener that services share with the API; its port."""
    settings = ServiceSettings(tunnel="direct", port=0, **options)
    desk = ServiceDesk(settings, "localnet", data=folder, nodes=(KEY,), api=make_app(agent, PLENTY))
    await desk.open_listener()
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(desk.run())
        try:
            assert desk._listener is not None
            yield desk._listener.port
        finally:
            serving.cancel()


async def test_the_api_answers_under_the_nodes_name(tmp_path: Path) -> None:
    agent = AgentDouble()
    async with door(tmp_path, agent) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        host = {"host": f"{KEY.lower()}.localhost"}
        async with client.get("/", headers=host) as answer:
            assert await answer.json() == KEY
        async with client.get(f"/job/{JOB}/ops", headers={**host, **header()}) as answer:
            assert answer.status == 200
        async with client.ws_connect("/", headers=host) as socket:
            await socket.send_str("{}")
            assert (await socket.receive()).data == 3003


async def test_half_a_request_on_a_kept_connection_does_not_hold_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first head has the listener's own time; a second one, which the API's server waits for, is not waited for
    without end."""
    monkeypatch.setattr(listener, "_API_IDLE", 1.0)
    async with door(tmp_path, AgentDouble()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200" in await reader.readline()
        await reader.readuntil(f'"{KEY}"'.encode())

        async def drip() -> None:
            writer.write(b"GET / HTTP/1.1\r\n")
            while True:
                writer.write(b"x-header: y\r\n")
                await writer.drain()
                await asyncio.sleep(0.1)

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            dripping = group.create_task(_quietly(drip()))
            with suppress(ConnectionError):
                assert await reader.read() == b""
            dripping.cancel()
        writer.close()


async def _quietly(work: object) -> None:
    with suppress(ConnectionError):
        await work  # type: ignore[misc]


async def test_open_streams_do_not_hold_up_a_stop(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        async with door(tmp_path, AgentDouble()) as port:
            client = await stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{port}"))
            stream = await stack.enter_async_context(client.get(f"/job/{JOB}/info", headers=header()))
            await stream.content.readline()
            socket = await client.ws_connect("/")
            frame = {"path": "/flog", "header": header()["authorization"], "body": {"jobAddress": JOB}}
            await socket.send_json(frame)
            began = loop.time()
        assert loop.time() - began < 1.9
        assert (await socket.receive()).data == 1001


async def test_a_crowd_is_turned_away_and_its_places_come_back(tmp_path: Path) -> None:
    async with door(tmp_path, AgentDouble(), connections=32) as port:
        crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(32)]
        reader, late = await asyncio.open_connection("127.0.0.1", port)
        late.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        with suppress(ConnectionError):
            assert await reader.read() == b""
        for _, writer in crowd:
            writer.close()
            await writer.wait_closed()
        late.close()
        await asyncio.sleep(0.05)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client, client.get("/") as answer:
            assert answer.status == 200


@pytest.mark.parametrize("host", ["nobody.localhost", "3Js9.localhost"])
async def test_other_names_are_not_the_apis(tmp_path: Path, host: str) -> None:
    async with (
        door(tmp_path, AgentDouble()) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
        client.get("/", headers={"host": host}) as answer,
    ):
        assert answer.status == 404
