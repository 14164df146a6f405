"""Four lanes of one seed on one host: each gets jobs, and settles them once, with its own key."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from node.api.client import ControlClient
from node.chain.derivation import Seed
from node.records import Address
from tests.bench.lanes import set_up
from tests.e2e.market_place import MarketPlace, market_place, single, until

pytestmark = [pytest.mark.docker, pytest.mark.long]

LANES, JOBS = 4, 8


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[MarketPlace]:
    async with market_place(tmp_path) as made:
        yield made


async def phases(agent: ControlClient) -> dict[str, str]:
    return {lane["lane"]: lane["phase"] for lane in (await agent.status())["lanes"]}


async def test_each_lane_settles_its_own_once(place: MarketPlace, busybox_image: str) -> None:
    seed: Seed = await set_up(place, LANES, place.net.rpc_url)
    keys = {f"gpu-{account}": seed.account(account).address for account in range(LANES)}
    async with place.agent() as agent:

        async def all_queued() -> bool:
            return await phases(agent) == dict.fromkeys(keys, "queued")

        await until(all_queued)
        # One alone pauses and comes back; the others do not hear of it.
        await agent.pause("gpu-2")

        async def one_paused() -> bool:
            return await phases(agent) == dict.fromkeys(keys, "queued") | {"gpu-2": "paused"}

        await until(one_paused)
        await agent.resume("gpu-2")
        await until(all_queued)

        posted = await asyncio.gather(*(place.post(single(busybox_image, "echo here")) for _ in range(JOBS)))
        wanted = {each.job for each in posted}

        async def all_done() -> bool:
            runs = (await agent.jobs())["jobs"]
            return {run["job"] for run in runs if run["stage"] == "done"} == wanted

        await until(all_done, seconds=120)
        runs = (await agent.jobs())["jobs"]
        assert Counter(run["job"] for run in runs) == Counter(wanted)
        assert {run["settlement"]["kind"] for run in runs} == {"finish"}
        assert set(Counter(run["lane"] for run in runs)) == set(keys)
        for run in runs:
            job = await place.job(Address(run["job"]))
            assert job.node == run["node"] == keys[run["lane"]]
        await until(all_queued)


async def test_a_lane_without_its_key_leaves_the_others_alone(place: MarketPlace, busybox_image: str) -> None:
    await set_up(place, 2, place.net.rpc_url)
    group = place.more["lane_groups"][0] | {"gpus": "each"}
    broken = {
        "name": "broken",
        "wallet": str(place.folder / "none.json"),
        "market": place.net.market,
        "gpus": ["GPU-simulated-none"],
    }
    place.set_up(**{**place.more, "lanes": [broken], "lane_groups": [group]})
    async with place.agent() as agent:

        async def stands() -> bool:
            return await phases(agent) == {"gpu-0": "queued", "gpu-1": "queued", "broken": "degraded"}

        await until(stands)
        (lane,) = [each for each in (await agent.status())["lanes"] if each["lane"] == "broken"]
        assert "there is no key file" in lane["reason"]
        await agent.drain()
        await agent.resume()
        await until(stands)
