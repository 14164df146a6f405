"""The tunnel, by a real frp server and client: names come and go, and it comes back from whatever ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import docker
import pytest
from aiohttp import web

from node.errors import ServiceError
from node.records import Address
from node.service.desk import ServiceDesk
from node.service.frpc_config import Admin, FrpProxy, FrpServer, config_text, wanted_proxies
from node.service.frpc_container import container_name
from node.service.frpc_process import binary_version, find_binary
from node.service.table import Entry, ServiceStatus
from node.service.tunnel import TunnelPhase
from node.settings_service import ServiceSettings
from tests.e2e import images
from tests.service import frp
from tests.service.scene import JOB, NAME, application

NODE = Address("5FWJ8QsGshcANQNQR9WMpZBmpjkDvgBrT97tKtCooxvE")
DOMAIN = "frp.example"


@dataclass
class Scene:
    desk: ServiceDesk
    server: frp.FrpServer
    session: aiohttp.ClientSession

    async def get(self, label: str, path: str = "/") -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.server.http}{path}"
        async with self.session.get(url, headers={"Host": f"{label}.{DOMAIN}"}) as answer:
            return answer.status, await answer.text()

    def enter(self, port: int, **facts: Any) -> Entry:
        entry = Entry(**{"id": NAME, "job": JOB, "op_id": "op", "port": port, **facts})
        self.desk.table.add(entry)
        entry.address = "127.0.0.1"
        self.desk.table.tell()
        return entry

    async def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.02)

    @property
    def names(self) -> int:
        assert self.desk.tunnel is not None
        return self.desk.tunnel.state.names

    @property
    def phase(self) -> TunnelPhase:
        assert self.desk.tunnel is not None
        return self.desk.tunnel.state.phase


def saying(text: str) -> web.Application:
    async def say(request: web.Request) -> web.Response:
        return web.Response(text=f"{text} {request.host} {request.headers['X-Forwarded-Proto']}")

    app = web.Application()
    app.router.add_get("/{tail:.*}", say)
    return app


def tunnel_settings(server: frp.FrpServer, folder: Path, **more: Any) -> ServiceSettings:
    tunnel = {"binary": str(folder / "frpc"), "server": "127.0.0.1", "port": server.bind, **more}
    return ServiceSettings.model_validate({"tunnel": "frp", "port": 0, "public": f"https://{DOMAIN}", "frp": tunnel})


@asynccontextmanager
async def tunnel(
    server: frp.FrpServer, folder: Path, data: Path, *, node: Address = NODE, **more: Any
) -> AsyncIterator[Scene]:
    settings = tunnel_settings(server, folder, **more)
    desk = ServiceDesk(
        settings, "devnet", data=data, nodes=(node,), api=saying("api"), engine_socket="/var/run/docker.sock"
    )
    await desk.open_listener()
    try:
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            serving = group.create_task(desk.run())
            try:
                yield Scene(desk, server, session)
            finally:
                serving.cancel()
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None


async def test_services_and_the_api_are_reached_through_the_server(frp_folder: Path, tmp_path: Path) -> None:
    with frp.frp_server(frp_folder, tmp_path) as server:
        async with application(saying("service")) as port, tunnel(server, frp_folder, tmp_path) as scene:
            await scene.until(lambda: scene.phase is TunnelPhase.ONLINE)
            assert (await scene.get(NODE))[1] == f"api {NODE}.{DOMAIN} http"
            assert (await scene.get(NAME))[0] == 404
            entry = scene.enter(port, op_id='an {{ .Envs.PATH }} " id')
            await scene.until(lambda: scene.names == 2)
            assert await scene.get(NAME) == (200, f"service {NAME}.{DOMAIN} https")
            assert await scene.get(NAME.lower()) == (200, f"service {NAME.lower()}.{DOMAIN} https")
            assert scene.desk.service_url(NAME) == f"https://{NAME}.{DOMAIN}"
            config = tmp_path / "service" / "frpc.toml"
            assert stat.S_IMODE(config.stat().st_mode) == 0o600
            password = tomllib.loads(config.read_text())["webServer"]["password"]
            for words in running_words():
                assert password not in words
            scene.desk.table.remove(entry)
            await scene.until(lambda: scene.names == 1)
            assert (await scene.get(NAME))[0] == 404
            assert (await scene.get(NODE))[0] == 200


def running_words() -> list[str]:
    """Every process's arguments."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(each.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


def children(name: str) -> list[int]:
    """Processes of this name that are ours."""
    done = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())], capture_output=True, text=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return [int(pid) for pid, command in rows if command == name]


@pytest.mark.long
async def test_it_comes_back_when_client_or_server_have_died(frp_folder: Path, tmp_path: Path) -> None:
    with frp.frp_server(frp_folder, tmp_path, token="a word") as server:
        word = tmp_path / "token"
        word.write_text("a word\n")
        word.chmod(0o600)
        async with (
            application(saying("service")) as port,
            tunnel(server, frp_folder, tmp_path, token_file=str(word)) as scene,
        ):
            scene.enter(port)
            await scene.until(lambda: scene.names == 2)
            (first,) = children("frpc")
            os.kill(first, signal.SIGKILL)
            await scene.until(lambda: scene.phase is not TunnelPhase.ONLINE)
            await scene.until(lambda: scene.names == 2)
            assert children("frpc") != [first]
            assert (await scene.get(NAME))[0] == 200
            server.stop()
            await scene.until(lambda: scene.phase is TunnelPhase.FAILING, 40)
            assert scene.desk.tunnel is not None
            assert scene.desk.tunnel.state.reason
            server.start()
            await scene.until(lambda: scene.names == 2, 40)
            assert (await scene.get(NAME))[0] == 200
        assert children("frpc") == []


@pytest.mark.long
async def test_a_wrong_token_and_a_name_that_is_taken_are_told(frp_folder: Path, tmp_path: Path) -> None:
    for each in ("a", "b"):
        (tmp_path / each).mkdir()
    with frp.frp_server(frp_folder, tmp_path) as server:
        async with (
            tunnel(server, frp_folder, tmp_path / "a") as first,
            tunnel(server, frp_folder, tmp_path / "b") as second,
        ):
            await first.until(lambda: TunnelPhase.FAILING in (first.phase, second.phase))
            states = [scene.desk.tunnel.state for scene in (first, second) if scene.desk.tunnel is not None]
            failing = next(state for state in states if state.phase is TunnelPhase.FAILING)
            assert NODE in failing.reason
            assert "same key" in failing.hint
    with frp.frp_server(frp_folder, tmp_path, token="a word") as server:
        async with tunnel(server, frp_folder, tmp_path / "a") as scene:
            await scene.until(lambda: scene.phase is TunnelPhase.FAILING)
            assert scene.desk.tunnel is not None
            assert "token" in scene.desk.tunnel.state.reason
            await asyncio.sleep(3)
            assert "token" in scene.desk.tunnel.state.reason, "also when it has been asked for its status many times"


async def test_nodes_of_a_deployment_share_a_name_while_they_are_well(frp_folder: Path, tmp_path: Path) -> None:
    shared = "4gwQKsACLWsRgHmm8QsG2X1cFaFR54d1pAJjifMshCJ5"
    for each in ("a", "b"):
        (tmp_path / each).mkdir()
    other = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")
    with frp.frp_server(frp_folder, tmp_path) as server:
        async with (
            application(saying("one")) as one,
            application(saying("two")) as two,
            tunnel(server, frp_folder, tmp_path / "a") as first,
            tunnel(server, frp_folder, tmp_path / "b", node=other) as second,
        ):
            group = {"deployment": shared, "group_key": "D", "text": "80"}
            left = first.enter(one, **group)
            right = second.enter(two, id=NAME[::-1], checked=True, **group)
            await first.until(lambda: first.names == 3)
            await second.until(lambda: second.names == 2)
            assert {(await first.get(shared))[1].split()[0] for _ in range(4)} == {"one"}
            second.desk.table.judge(right, ServiceStatus.ONLINE)
            await second.until(lambda: second.names == 3)
            assert {(await first.get(shared))[1].split()[0] for _ in range(6)} == {"one", "two"}
            first.desk.table.stop(left)
            await first.until(lambda: first.names == 2)
            assert {(await first.get(shared))[1].split()[0] for _ in range(4)} == {"two"}


@pytest.mark.long
async def test_frpc_dies_with_the_agent(frp_folder: Path, tmp_path: Path) -> None:
    with frp.frp_server(frp_folder, tmp_path) as server:
        script = f"""
import asyncio, sys
from pathlib import Path
from tests.service import test_tunnel as t
class Server: bind, http = {server.bind}, {server.http}
async def main():
    async with t.tunnel(Server, Path({str(frp_folder)!r}), Path({str(tmp_path)!r})) as scene:
        await scene.until(lambda: scene.phase is t.TunnelPhase.ONLINE)
        print(t.children("frpc")[0], flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
        agent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
        assert agent.stdout is not None
        pid = int(await agent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        agent.kill()
        await agent.wait()
        async with asyncio.timeout(5):
            while Path(f"/proc/{pid}").exists():
                await asyncio.sleep(0.02)


async def test_the_binary_is_looked_for(frp_folder: Path, tmp_path: Path) -> None:
    assert await binary_version(find_binary(str(frp_folder / "frpc"))) == "0.65.0"
    with pytest.raises(ServiceError) as raised:
        find_binary("no-such-frpc")
    assert "release" in raised.value.hint
    impostor = tmp_path / "frpc"
    impostor.write_text("#!/bin/sh\necho 0.51.3\n")
    impostor.chmod(0o700)
    with pytest.raises(ServiceError, match="too old"):
        await binary_version(str(impostor))


def test_the_configuration_is_text_that_nothing_escapes_from() -> None:
    vile = 'a"\n[x]\\ {{ .Envs.HOME }} \U0001f600 \x7f é'
    text = config_text(
        FrpServer(vile, 1, token=vile), Admin(2, vile), ("127.0.0.1", 3), [FrpProxy(vile, vile, vile, vile)]
    )
    assert "{{" not in text
    read = tomllib.loads(text)
    (proxy,) = read["proxies"]
    assert read["serverAddr"] == read["auth"]["token"] == read["webServer"]["password"] == vile
    assert proxy["name"] == proxy["customDomains"][0] == vile
    assert proxy["loadBalancer"] == {"group": vile, "groupKey": vile}
    assert proxy["localPort"] == 3
    assert vile not in repr(Admin(2, vile))


def test_names_are_the_networks_own() -> None:
    entry = Entry(id=NAME, job=JOB, op_id="op 1", port=80, deployment="D1", group_key="key", address="172.17.0.2")
    names = wanted_proxies([entry], [NODE], DOMAIN)
    assert [(each.name, each.domain) for each in names] == [
        (f"API-{NODE}", f"{NODE}.{DOMAIN}"),
        (f"{NAME}-op_1", f"{NAME}.{DOMAIN}"),
        (f"{NAME}-op_1-deployment", f"D1.{DOMAIN}"),
    ]
    assert (names[2].group, names[2].group_key) == ("D1-80", "key")


@pytest.fixture
def frpc_image(frp_folder: Path, docker_client: docker.APIClient, tmp_path: Path) -> str:
    return images.image_of({"usr/bin/frpc": (frp_folder / "frpc").read_bytes()}, client=docker_client, name="frpc")


@pytest.mark.docker
async def test_frpc_runs_from_an_image_too(
    frp_folder: Path, frpc_image: str, docker_client: docker.APIClient, tmp_path: Path
) -> None:
    def ours() -> list[dict[str, Any]]:
        return list(docker_client.containers(all=True, filters={"label": f"gpunode.frpc={container_name(tmp_path)}"}))

    with frp.frp_server(frp_folder, tmp_path) as server:
        async with (
            application(saying("service")) as port,
            tunnel(server, frp_folder, tmp_path, image=frpc_image) as scene,
        ):
            await scene.until(lambda: scene.phase is TunnelPhase.ONLINE)
            scene.enter(port)
            await scene.until(lambda: scene.names == 2)
            assert await scene.get(NAME) == (200, f"service {NAME}.{DOMAIN} https")
            (running,) = ours()
            docker_client.kill(running["Id"])
            await scene.until(lambda: scene.phase is TunnelPhase.FAILING)
            assert scene.desk.tunnel is not None
            assert "status 137" in scene.desk.tunnel.state.reason
            await scene.until(lambda: scene.names == 2)
            assert (await scene.get(NAME))[0] == 200
            assert ours() != [running]
        assert ours() == []
        left = docker_client.create_container(
            frpc_image, "frpc", name=container_name(tmp_path), labels={"gpunode.frpc": container_name(tmp_path)}
        )
        assert [each["Id"] for each in ours()] == [left["Id"]]
        async with tunnel(server, frp_folder, tmp_path) as scene:
            # What an agent with other settings left behind goes, beside the tunnel's start.
            await scene.until(lambda: ours() == [])


async def test_streams_and_sockets_pass_through_the_server(frp_folder: Path, tmp_path: Path) -> None:
    async def events(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for number in range(3):
            await answer.write(f"data: {number}\n\n".encode())
            await gate.get()
        return answer

    async def socket(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(max_msg_size=0)
        await ws.prepare(request)
        async for message in ws:
            await ws.send_bytes(message.data)
        return ws

    async def large(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    gate: asyncio.Queue[int] = asyncio.Queue()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_get("/events", events)
    app.router.add_get("/socket", socket)
    app.router.add_put("/large", large)
    host = {"Host": f"{NAME}.{DOMAIN}"}
    with frp.frp_server(frp_folder, tmp_path) as server:
        async with application(app) as port, tunnel(server, frp_folder, tmp_path) as scene:
            scene.enter(port)
            await scene.until(lambda: scene.names == 2)
            url = f"http://127.0.0.1:{server.http}"
            async with scene.session.get(f"{url}/events", headers=host) as answer:
                for number in range(3):
                    line = await asyncio.wait_for(answer.content.readuntil(b"\n\n"), 2)
                    assert line == f"data: {number}\n\n".encode()
                    gate.put_nowait(0)
            async with scene.session.ws_connect(f"{url}/socket", headers=host, max_msg_size=0) as ws:
                for size in (1, 70_000, 5_000_000):
                    await ws.send_bytes(b"x" * size)
                    assert len((await ws.receive(5)).data) == size
            async with scene.session.put(f"{url}/large", headers=host, data=b"x" * 20_000_000) as answer:
                assert await answer.text() == "20000000"
