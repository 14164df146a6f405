"""Attacks as posted jobs: the whole agent settles them honestly, and stands in the queue again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest
import pytest_asyncio

from node.api.client import ControlClient
from node.proof.receipt import verify_receipt
from node.records import Cid, JobState
from node.settings import Settings
from tests.container.topology import Topology
from tests.e2e.market_place import MarketPlace, market_place, queued, settings_tree, settled, until
from tests.hostile import host
from tests.hostile.images import hostile_image

pytestmark = [pytest.mark.docker, pytest.mark.hostile, pytest.mark.asyncio(loop_scope="module")]

MIB = 1024**2
LIMITS = {"pids": 128, "memory": "128 MiB", "log": "1 MiB", "disk_most": "64 MiB", "disk_job": "32 MiB", "inodes": 5000}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def market(
    town: Topology | None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[MarketPlace, ControlClient]]:
    folder = tmp_path_factory.mktemp("agent")
    async with market_place(folder) as place:
        tree = settings_tree(place.net, folder)
        tree["limits"] |= LIMITS
        if town is not None:
            tree["engine"]["socket"] = str(town.socket)
        hardened = replace(place, settings=Settings.model_validate(tree))
        async with hardened.agent() as client:
            yield hardened, client


@pytest.mark.brief
async def test_posted_bomb_is_settled(
    market: tuple[MarketPlace, ControlClient], client: docker.APIClient, program: bytes
) -> None:
    """Processes and memory at once, with a name of an operation that is no name, and a wish for all GPUs."""
    script = "/bin/attack fork-bomb 2000 3 & /bin/attack memory 1024; /bin/attack daemons 20; sleep 1"
    args = {"env": {"NVIDIA_VISIBLE_DEVICES": "all", "LD_PRELOAD": "/bin/attack"}, "work_dir": "/../../.."}
    run, result = await _post(market, client, program, script, id="\u202e../../x", args=args)
    assert run["cause"] in ("completed", "failed")
    assert result["opStates"][0]["exitCode"] is not None


async def test_posted_log_flood_is_settled_as_cut(
    market: tuple[MarketPlace, ControlClient], client: docker.APIClient, program: bytes
) -> None:
    run, result = await _post(market, client, program, "/bin/attack flood 32; /bin/attack lines 20000")
    place, _ = market
    receipt_file = await place.library.fetch(Cid(run["receipt_cid"]), 1 << 20)
    receipt = verify_receipt(receipt_file.body, place.node)
    assert receipt.operations[0].log is not None
    assert receipt.operations[0].log.truncated
    assert [entry for entry in result["opStates"][0]["logs"] if entry["type"] == "nodeerr"]


async def test_posted_disk_fill_is_settled_with_its_reason(
    market: tuple[MarketPlace, ControlClient], client: docker.APIClient, program: bytes
) -> None:
    script = "i=0; while [ $i -lt 50 ]; do dd if=/dev/zero of=/tmp/$i bs=1M count=40; i=$((i+1)); done; sleep 20"
    run, result = await _post(market, client, program, script)
    assert "disk limit" in str(result["opStates"][0])
    assert run["settlement"]["pay"] >= 0


async def _post(
    market: tuple[MarketPlace, ControlClient], client: docker.APIClient, program: bytes, script: str, **operation: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    place, agent = market
    await until(lambda: queued(agent))
    before, resident = host.Host.now(), host.resident_bytes()
    args = {"image": hostile_image(client, program), "cmd": ["/bin/sh", "-c", script], **operation.pop("args", {})}
    op = {"type": "container/run", "id": "op", "args": args, **operation}
    definition = {"version": "0.1", "type": "container", "meta": {"trigger": "cli"}, "ops": [op]}
    posted = await place.post(definition, seconds=60)
    run = await settled(agent, posted.job)
    job = await place.job(posted.job)
    assert job.state is JobState.DONE
    assert job.result_cid == run["result_cid"]
    await until(lambda: queued(agent))
    assert client.containers(all=True, filters={"label": f"gpunode.job={posted.job}"}) == []
    assert client.networks(filters={"label": f"gpunode.job={posted.job}"}) == []
    assert host.resident_bytes() - resident < 96 * MIB
    before.assert_unchanged()
    for file in Path(place.folder).rglob("*"):
        assert "\u202e" not in file.name
    return run, await place.result(job)
