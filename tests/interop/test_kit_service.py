"""A service job by the network's packages: @nosana/kit posts it, and it answers where @nosana/endpoints says, through a
real frp server, as does the owner's API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from node.localnet.app import Localnet
from node.settings_service import DOMAINS
from tests.e2e.fixtures import busybox_image, docker_client
from tests.interop.agent import Agent, running_agent
from tests.interop.client import Client
from tests.interop.test_kit_agent import DONE, JOIN_SECONDS, post, until
from tests.service.frp import FrpServer, frp_folder, frp_server

__all__ = ["busybox_image", "docker_client", "frp_folder"]

pytestmark = [pytest.mark.interop, pytest.mark.docker, pytest.mark.slow]

DOMAIN = DOMAINS["devnet"]
SERVER = "mkdir /tmp/www; echo from the job > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www"


@dataclass(frozen=True)
class Place:
    agent: Agent
    server: FrpServer
    session: aiohttp.ClientSession

    async def get(self, host: str) -> tuple[int, str]:
        """What a visitor of `https://HOST` sees, whose names lead to the server."""
        try:
            url = f"http://127.0.0.1:{self.server.http}/"
            async with self.session.get(url, headers={"Host": host}) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError as error:
            return 0, str(error)

    async def until(self, host: str, text: str) -> None:
        async with asyncio.timeout(60):
            while (seen := await self.get(host))[1].strip() != text:
                self.agent.check()
                await asyncio.sleep(0.1)
        assert seen[0] == 200


@pytest_asyncio.fixture
async def place(
    kit: Client, localnet: Localnet, docker_client: object, frp_folder: Path, tmp_path: Path
) -> AsyncIterator[Place]:
    """An agent in the queue, behind a tunnel under the network's own domain."""
    with frp_server(frp_folder, tmp_path) as server:
        environment = {
            "GPUNODE_SERVICE__TUNNEL": "frp",
            "GPUNODE_SERVICE__PORT": "0",
            "GPUNODE_SERVICE__PUBLIC": f"https://{DOMAIN}",
            "GPUNODE_SERVICE__FRP__BINARY": str(frp_folder / "frpc"),
            "GPUNODE_SERVICE__FRP__SERVER": "127.0.0.1",
            "GPUNODE_SERVICE__FRP__PORT": str(server.bind),
        }
        async with running_agent(localnet, tmp_path, environment) as agent, aiohttp.ClientSession() as session:
            market = localnet.market
            await until(kit, "market", market, lambda seen: agent.address in seen["queue"], agent, JOIN_SECONDS)
            yield Place(agent, server, session)


async def test_a_service_answers_where_the_clients_look_for_it(
    kit: Client, clients: Path, place: Place, localnet: Localnet, busybox_image: str
) -> None:
    args = {"image": busybox_image, "cmd": SERVER, "expose": [{"port": 8080, "type": "web"}, 9090]}
    definition = {"version": "0.1", "type": "container", "ops": [{"type": "container/run", "id": "web", "args": args}]}
    await place.until(f"{place.agent.address}.{DOMAIN}", f'"{place.agent.address}"')
    posted = await post(kit, localnet, definition)
    async with Client.start("validators", clients) as endpoints:
        (found,) = await endpoints.call("services", definitions=[definition], job=posted["job"])
    web, other = (f"{each['hash']}.{DOMAIN}" for each in found)
    await place.until(web, "from the job")
    assert (await place.get(other))[0] == 502, "nobody listens at that port"
    await kit.call("end", job=posted["job"])
    await until(kit, "job", posted["job"], lambda seen: seen["state"] == DONE, place.agent)
    async with asyncio.timeout(30):
        while (await place.get(web))[0] != 404:
            await asyncio.sleep(0.1)
