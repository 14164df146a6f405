"""A job that takes more than its due: it ends, says why, and is paid for the time it had; the next one is served."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from node.proof.receipt import verify_receipt
from node.records import Cid, JobState
from node.settings import Settings
from tests.e2e.market_place import market_place, queued, settings_tree, settled, single, until

pytestmark = pytest.mark.docker

FILL = "i=0; while true; do dd if=/dev/zero of=/f$i bs=1M count=4 2>/dev/null; i=$((i+1)); done"
FLOOD = "i=0; while [ $i -lt 40 ]; do head -c 4000 /dev/zero | tr '\\0' x; echo; i=$((i+1)); done"


@pytest.mark.long
async def test_over_the_disk_and_the_log(busybox_image: str, docker_client: docker.APIClient, tmp_path: Path) -> None:
    async with market_place(tmp_path) as usual:
        tree = settings_tree(usual.net, tmp_path)
        tree["limits"] |= {"disk_most": "32 MiB", "log": "64 KiB"}
        tree["policy"] = {"isolation": [{"images": ["*"], "profile": "sealed"}]}
        place = replace(usual, settings=Settings.model_validate(tree))
        async with place.agent() as agent:
            await until(lambda: queued(agent))
            assert [each["setting"] for each in (await agent.status())["relaxations"]] == ["network.filter"]
            posted = await place.post(single(busybox_image, FILL))
            run = await settled(agent, posted.job)
            job = await place.job(posted.job)
            assert (job.state, run["settlement"]["kind"]) == (JobState.DONE, "finish")
            assert run["settlement"]["pay"] == job.price * (job.time_end - job.time_start) > 0
            result = await place.result(job)
            assert result["status"] == "failed"
            assert "disk limit of 32 MiB" in json.dumps(result["opStates"][0])
            assert docker_client.containers(all=True, filters={"label": f"gpunode.job={posted.job}"}) == []

            await until(lambda: queued(agent))
            posted = await place.post(single(busybox_image, FLOOD))
            run = await settled(agent, posted.job)
            result = await place.result(await place.job(posted.job))
            assert result["status"] == "success"
            last = result["opStates"][0]["logs"][-1]
            assert (last["type"], "limited to 65536 bytes" in last["log"]) == ("nodeerr", True)
            raw = await place.library.fetch(Cid(run["receipt_cid"]), 1 << 20)
            log = verify_receipt(raw.body, place.node).operations[0].log
            assert log is not None
            assert log.truncated
