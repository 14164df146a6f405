"""A service of a job on a whole market, reached through a real frp server; also when the agent is killed meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from node.job.exposure import public_id
from tests.e2e.market_place import AgentProcess, market_place, queued, settled, until
from tests.e2e.test_service_job import CHECK, SERVER
from tests.e2e.test_whole_job import definition, run
from tests.service import frp

pytestmark = pytest.mark.docker


@pytest.mark.long
@pytest.mark.slow
async def test_a_service_answers_through_the_tunnel_again_after_a_crash(
    tmp_path: Path, busybox_image: str, frp_folder: Path
) -> None:
    job = definition(run("web", busybox_image, SERVER, expose=[{"port": 8080, "health_checks": [CHECK]}]))
    with frp.frp_server(frp_folder, tmp_path) as server:
        async with market_place(tmp_path) as place, aiohttp.ClientSession() as session:
            tunnel = {"binary": str(frp_folder / "frpc"), "server": "127.0.0.1", "port": server.bind}
            place.set_up(service={"tunnel": "frp", "port": 0, "public": "https://frp.example", "frp": tunnel})

            async def get(label: str) -> tuple[int, str]:
                url, host = f"http://127.0.0.1:{server.http}", f"{label}.frp.example"
                async with session.get(url, headers={"Host": host}) as answer:
                    return answer.status, await answer.text()

            async def answers(label: str) -> str:
                try:
                    status, text = await get(label)
                except aiohttp.ClientError:
                    return ""
                return text if status == 200 else ""

            async def tunnel_is_well(agent: AgentProcess) -> bool:
                health = (await agent.client.status())["health"]
                return any(each["subject"] == "tunnel" and each["state"] == "ok" for each in health)

            async with place.agent_process() as agent:
                await until(lambda: queued(agent.client))
                assert place.node in await until(lambda: answers(place.node)), "the API is there before any job"
                await until(lambda: tunnel_is_well(agent))
                address = (await place.post(job)).job
                service = public_id(0, "8080", address)
                first = await until(lambda: answers(service))
                agent.process.kill()
                await agent.process.wait()

            async def gone() -> bool:
                return (await get(service))[0] == 404

            await until(gone, seconds=10)
            async with place.agent_process() as agent:
                assert await until(lambda: answers(service)) == first, "the same container, under the same name"
                await place.poster.stop(address)
                await settled(agent.client, address)
                await until(gone)
            async with asyncio.timeout(5):
                while await answers(place.node):
                    await asyncio.sleep(0.1)
