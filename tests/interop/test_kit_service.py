"""A service job by the network's packages: @nosana/kit posts it, and it answers where @nosana/endpoints says, through a
real frp server and directly, as does the owner's API."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from node.localnet.app import Localnet
from node.settings_service import DOMAINS
from tests.e2e.fixtures import busybox_image, docker_client
from tests.interop.agent import Agent, running_agent
from tests.interop.client import Client
from tests.interop.test_kit_agent import DONE, JOIN_SECONDS, post, until
from tests.service.frp import frp_folder, frp_server

__all__ = ["busybox_image", "docker_client", "frp_folder"]

pytestmark = [pytest.mark.interop, pytest.mark.docker, pytest.mark.slow]

DOMAIN = DOMAINS["devnet"]
SERVER = "mkdir /tmp/www; echo from the job > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www"


@dataclass(frozen=True)
class Place:
    """An agent in the queue; the domain that its names are of, and the local port to which they lead."""

    agent: Agent
    domain: str
    port: int
    base: str
    """What a service's URL is made of, with a place for its id."""
    session: aiohttp.ClientSession

    async def get(self, host: str, path: str = "/", **headers: str) -> tuple[int, str]:
        """What a visitor of `https://HOST` sees, whose names lead to the server."""
        try:
            url = f"http://127.0.0.1:{self.port}{path}"
            async with self.session.get(url, headers={**headers, "Host": host}) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError as error:
            return 0, str(error)

    async def until(self, host: str, text: str) -> None:
        async with asyncio.timeout(60):
            while (seen := await self.get(host))[1].strip() != text:
                self.agent.check()
                await asyncio.sleep(0.1)
        assert seen[0] == 200


@asynccontextmanager
async def settled_in(
    kit: Client, net: Localnet, folder: Path, environment: Mapping[str, str]
) -> AsyncIterator[tuple[Agent, aiohttp.ClientSession]]:
    """An agent in the queue, and somebody who visits."""
    connector = aiohttp.TCPConnector(force_close=True)  # names share an address here
    async with (
        running_agent(net, folder, environment) as agent,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        await until(kit, "market", net.market, lambda seen: agent.address in seen["queue"], agent, JOIN_SECONDS)
        yield agent, session


@pytest_asyncio.fixture(params=["frp", pytest.param("direct", marks=pytest.mark.long)])
async def place(
    request: pytest.FixtureRequest, kit: Client, localnet: Localnet, docker_client: object, tmp_path: Path
) -> AsyncIterator[Place]:
    """An agent in the queue, behind a tunnel under the network's own domain or on an address of its own."""
    if request.param == "frp":
        binaries: Path = request.getfixturevalue("frp_folder")
        with frp_server(binaries, tmp_path) as server:
            environment = {
                "GPUNODE_SERVICE__TUNNEL": "frp",
                "GPUNODE_SERVICE__PORT": "0",
                "GPUNODE_SERVICE__PUBLIC": f"https://{DOMAIN}",
                "GPUNODE_SERVICE__FRP__BINARY": str(binaries / "frpc"),
                "GPUNODE_SERVICE__FRP__SERVER": "127.0.0.1",
                "GPUNODE_SERVICE__FRP__PORT": str(server.bind),
            }
            async with settled_in(kit, localnet, tmp_path, environment) as (agent, session):
                yield Place(agent, DOMAIN, server.http, f"https://%s.{DOMAIN}", session)
        return
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {"GPUNODE_SERVICE__TUNNEL": "direct", "GPUNODE_SERVICE__PORT": str(port)}
    async with settled_in(kit, localnet, tmp_path, environment) as (agent, session):
        yield Place(agent, "localhost", port, f"http://%s.localhost:{port}", session)


async def test_a_service_answers_where_the_clients_look_for_it(
    kit: Client, clients: Path, place: Place, localnet: Localnet, busybox_image: str
) -> None:
    args = {"image": busybox_image, "cmd": SERVER, "expose": [{"port": 8080, "type": "web"}, 9090]}
    definition = {"version": "0.1", "type": "container", "ops": [{"type": "container/run", "id": "web", "args": args}]}
    await place.until(f"{place.agent.address}.{place.domain}", f'"{place.agent.address}"')
    posted = await post(kit, localnet, definition)
    async with Client.start("validators", clients) as endpoints:
        (found,) = await endpoints.call("services", definitions=[definition], job=posted["job"])
    web, other = (f"{each['hash']}.{place.domain}" for each in found)
    await place.until(web, "from the job")
    assert (await place.get(other))[0] == 502, "nobody listens at that port"
    await kit.call("end", job=posted["job"])
    await until(kit, "job", posted["job"], lambda seen: seen["state"] == DONE, place.agent)
    async with asyncio.timeout(30):
        while (await place.get(web))[0] != 404:
            await asyncio.sleep(0.1)


@pytest.mark.long
async def test_endpoints_as_the_clients_wait_for_them(
    kit: Client, clients: Path, place: Place, localnet: Localnet, busybox_image: str
) -> None:
    """The network's command line asks again for as long as it is answered 400, and takes nothing else for "not yet"."""
    check = {"type": "http", "path": "/", "method": "GET", "expected_status": 200, "continuous": True}
    served = {"image": busybox_image, "cmd": SERVER, "expose": [{"port": 8080, "health_checks": [check]}]}
    private = {"image": busybox_image, "cmd": SERVER, "expose": 8080, "private": True}
    first = {"image": busybox_image, "cmd": "sleep 3"}
    operations = {"first": first, "web": served, "hidden": private}
    groups = {"first": "before", "web": "serving", "hidden": "serving"}
    definition = {
        "version": "0.1",
        "type": "container",
        "ops": [
            {"type": "container/run", "id": name, "args": args, "execution": {"group": groups[name]}}
            for name, args in operations.items()
        ],
    }
    async with Client.start("owner", clients) as owner, Client.start("validators", clients) as endpoints:
        await owner.call("connect", secret=list(bytes(localnet.keys["poster"])))
        header = await owner.call("generate", message="Hello Nosana Node!", time=True)
        posted = await post(kit, localnet, definition)
        path = f"/job/{posted['job']}/endpoints"
        answers: list[int] = []
        shown: dict[str, Any] = {}
        async with asyncio.timeout(60):
            while not shown or shown["status"] != "ONLINE":
                place.agent.check()
                status, text = await place.get(f"{place.agent.address}.{place.domain}", path, authorization=header)
                answers.append(status)
                shown = json.loads(text) if status == 200 else {}
                await asyncio.sleep(0.2)
        (told,) = await endpoints.call("services", definitions=[definition], job=posted["job"])
        (alone,) = await endpoints.call("services", definitions=[public(definition)], job=posted["job"])
    assert [each["hash"] for each in told] == ["private"], "clients learn nothing of a job with a private service"
    assert set(answers) == {400, 200}
    assert answers == sorted(answers, key=lambda status: status != 400)
    (web,) = (each["hash"] for each in alone)
    assert shown["urls"][web] == {"opID": "web", "port": 8080, "url": place.base % web, "status": "ONLINE"}
    (hidden,) = set(shown["urls"]) - {web}
    assert len(hidden) == 45
    for name in (web, hidden):
        await place.until(f"{name}.{place.domain}", "from the job")
    await kit.call("end", job=posted["job"])
    await until(kit, "job", posted["job"], lambda seen: seen["state"] == DONE, place.agent)


def public(definition: dict[str, Any]) -> dict[str, Any]:
    """The definition without its last operation."""
    return {**definition, "ops": definition["ops"][:-1]}
