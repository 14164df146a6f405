"""The agent ends and starts again while a job runs: by its operator, and by kill -9."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest
import pytest_asyncio

from node.agent.wiring import run_agent
from node.errors import JournalError, WrongCluster
from node.records import Address, JobState
from tests.e2e.market_place import MarketPlace, market_place, queued, real_market_place, settled, single, until, working

pytestmark = pytest.mark.docker


@pytest_asyncio.fixture(params=["localnet", pytest.param("real", marks=pytest.mark.realchain)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MarketPlace]:
    if request.param == "real":
        request.getfixturevalue("validator_binary")
    start = real_market_place if request.param == "real" else market_place
    async with start(tmp_path) as made:
        yield made


async def test_stop_and_quit_gives_the_job_back(
    place: MarketPlace, busybox_image: str, docker_client: docker.APIClient
) -> None:
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        posted = await place.post(single(busybox_image, "sleep 600"))
        await working(agent, posted.job)
        await agent.stop_and_quit()
        await until(lambda: stopped(place, posted.job))
    assert docker_client.containers(all=True, filters={"label": f"gpunode.job={posted.job}"}) == []
    assert place.net.market is not None
    assert place.node not in (await place.ledger_context.ledger.market(place.net.market)).queue


async def stopped(place: MarketPlace, job: Address) -> bool:
    return (await place.job(job)).state is JobState.STOPPED


async def test_a_restart_goes_on_with_the_running_container(place: MarketPlace, busybox_image: str) -> None:
    script = "for i in 1 2 3 4; do echo line $i; sleep 1; done"
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        posted = await place.post(single(busybox_image, script))
        await working(agent, posted.job)
    async with place.agent() as agent:
        run = await settled(agent, posted.job)
    assert run["settlement"]["kind"] == "finish"
    result = await place.result(await place.job(posted.job))
    (operation,) = result["opStates"]
    assert [entry["log"] for entry in operation["logs"]] == [f"line {i}\n" for i in range(1, 5)]
    assert operation["exitCode"] == 0


@pytest.mark.long
@pytest.mark.parametrize(
    "moment", ["working", *(pytest.param(each, marks=pytest.mark.long) for each in ("ended", "queued"))]
)
async def test_kill_9_loses_nothing(place: MarketPlace, busybox_image: str, moment: str) -> None:
    script = "for i in 1 2 3 4; do echo line $i; sleep 1; done"
    async with place.agent_process() as agent:
        await until(lambda: queued(agent.client))
        if moment == "queued":
            agent.process.kill()
            await agent.process.wait()
        posted = await place.post(single(busybox_image, script))
        if moment != "queued":
            await working(agent.client, posted.job)
            agent.process.kill()
            await agent.process.wait()
    if moment == "ended":
        await asyncio.sleep(5)
    async with place.agent_process() as agent:
        run = await settled(agent.client, posted.job)
        await until(lambda: queued(agent.client))
        agent.process.send_signal(signal.SIGTERM)
        assert await agent.process.wait() == 0
    assert run["settlement"]["kind"] == "finish"
    job = await place.job(posted.job)
    assert run["settlement"]["pay"] == job.price * (job.time_end - job.time_start)
    result = await place.result(job)
    (operation,) = result["opStates"]
    assert [entry["log"] for entry in operation["logs"]] == [f"line {i}\n" for i in range(1, 5)]
    assert (operation["exitCode"], operation["status"]) == (0, "success")


@pytest.mark.long
async def test_a_second_agent_on_the_same_data_is_refused(place: MarketPlace) -> None:
    async with place.agent_process():
        with pytest.raises(JournalError, match="in use by another agent") as raised:
            await run_agent(place.settings)
        assert raised.value.hint


@pytest.mark.long
async def test_another_chain_is_refused(place: MarketPlace, tmp_path: Path) -> None:
    async with place.agent() as agent:
        await until(lambda: queued(agent))
    other = tmp_path / "other"
    other.mkdir()
    async with market_place(other) as elsewhere:
        tree = place.settings.model_copy(update={"rpc": elsewhere.settings.rpc})
        with pytest.raises(WrongCluster) as raised:
            await run_agent(tree)
        assert raised.value.hint
