"""The main job on a real node, with nothing in memory: agent process, container, result, pay, and `gpunode verify`."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import docker
import pytest

from node.chain import addresses
from node.records import Address, JobState
from tests.e2e.fixtures import busybox_image, docker_client
from tests.e2e.market_place import MarketPlace, queued, real_market_place, settled, single, until, working

__all__ = ["busybox_image", "docker_client"]

pytestmark = [pytest.mark.realchain, pytest.mark.docker]


async def verified(place: MarketPlace, job: Address) -> dict[str, Any]:
    """What `gpunode verify` says, which knows nothing but an endpoint and a gateway."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "node.cli", "verify", job, "--json"),
        *("--rpc", place.net.rpc_url, "--gateway", f"{place.net.content_url}/ipfs/", "--cluster", "localnet"),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    document = json.loads(said)
    assert isinstance(document, dict)
    return document


async def test_the_main_job_on_a_real_node(
    validator_binary: str, tmp_path: Path, busybox_image: str, docker_client: docker.APIClient
) -> None:
    async with real_market_place(tmp_path) as place, place.agent_process() as agent:
        await until(lambda: queued(agent.client))
        posted = await place.post(single(busybox_image, "echo begun; sleep 3; echo done"))
        await working(agent.client, posted.job)
        run = await settled(agent.client, posted.job)
        agent.process.send_signal(signal.SIGTERM)
        assert await agent.process.wait() == 0

        job = await place.job(posted.job)
        assert (job.state, job.node, job.result_cid) == (JobState.DONE, place.node, run["result_cid"])
        (operation,) = (await place.result(job))["opStates"]
        assert [entry["log"] for entry in operation["logs"]] == ["begun\n", "done\n"]
        paid = await place.rpc.get_token_amount(addresses.token_account(place.net.cluster, place.node))
        assert run["settlement"]["pay"] == paid == job.price * (job.time_end - job.time_start) > 0
        seen = await verified(place, posted.job)
        assert seen["ok"]
        assert {"settled", "pay"} <= {name for name, ok in seen["verified"].items() if ok}, seen["verified"]
        assert docker_client.containers(all=True, filters={"label": f"gpunode.job={posted.job}"}) == []
