"""A running agent on a host that falls ill and recovers: what it says, and what becomes of the job at hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest
import pytest_asyncio

from node.api.client import ControlClient
from node.gpu.scenario import LOST_NAME
from tests.e2e.market_place import MarketPlace, market_place, queued, settled, single, until, working

pytestmark = pytest.mark.docker


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[MarketPlace]:
    async with market_place(tmp_path) as made:
        yield made


async def states(agent: ControlClient) -> dict[str, str]:
    return {each["subject"]: each["state"] for each in (await agent.status())["health"]}


@pytest.mark.long
async def test_all_is_well_then_a_gpu_is_lost_under_a_job_and_comes_back(
    place: MarketPlace, busybox_image: str, docker_client: docker.APIClient
) -> None:
    well = dict.fromkeys(("engine", "rpc", "disk", "clock", "escapes", "gpu"), "ok")
    data = place.settings.locations.data
    async with place.agent() as agent:
        await until(lambda: queued(agent))

        async def all_well() -> bool:
            return well.items() <= (await states(agent)).items()

        await until(all_well)
        assert (data / "ballast").stat().st_size == place.settings.health.ballast_bytes

        posted = await place.post(single(busybox_image, "sleep 600", gpu=True))
        await working(agent, posted.job)
        (data / LOST_NAME).write_text("0")
        run = await settled(agent, posted.job)
        assert run["settlement"]["kind"] == "quit"
        assert "is gone" in run["refusal"]
        assert docker_client.containers(all=True, filters={"label": f"gpunode.job={posted.job}"}) == []

        async def degraded() -> bool:
            lane = (await agent.status())["lanes"][0]
            return lane["phase"] == "degraded" and "is gone" in lane["reason"]

        await until(degraded)
        assert place.net.market is not None
        assert place.node not in (await place.ledger_context.ledger.market(place.net.market)).queue
        assert (await states(agent))["gpu"] == "failing"

        (data / LOST_NAME).unlink()
        await until(lambda: queued(agent), seconds=120)
