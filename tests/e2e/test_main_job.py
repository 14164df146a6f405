"""The main job for real: posted on the embedded chain, run by Docker, settled and paid."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from node.records import JobState
from tests.e2e.market_place import MarketPlace, market_place, single, until

pytestmark = pytest.mark.docker


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[MarketPlace]:
    async with market_place(tmp_path) as made:
        yield made


async def test_a_job_is_run_settled_and_paid(place: MarketPlace, busybox_image: str) -> None:
    async with place.agent() as agent:

        async def queued() -> bool:
            return (await agent.status())["lanes"][0]["phase"] == "queued"

        await until(queued)
        posted = await place.post(single(busybox_image, "echo hello; echo oops >&2; sleep 1; echo $NOSANA_ID"))

        async def done() -> bool:
            return (await place.job(posted.job)).state is JobState.DONE

        await until(done)
        job = await place.job(posted.job)
        assert job.node == place.node
        result = await place.result(job)
        print(json.dumps(result, indent=1))
        assert result["status"] == "success"
        (operation,) = result["opStates"]
        assert operation["exitCode"] == 0
        assert [entry["log"] for entry in operation["logs"] if entry["type"] == "stdout"] == [
            "hello\n",
            f"{posted.job}\n",
        ]
        await until(queued)
        (run,) = (await agent.jobs())["jobs"]
        print(json.dumps(run, indent=1))
        assert run["stage"] == "done"
