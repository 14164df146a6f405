"""Remote data in real jobs: S3, Hugging Face and Ollama, mounted in a container and gone with the job."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from node.settings_resources import ResourceSettings
from tests.content.resources.hub import TOKEN, Hub, hub_server
from tests.content.resources.rclone import ABSENT, ACCESS_KEY, SECRET_KEY, find_rclone, s3_server
from tests.content.resources.store import Store, stall_at, store_server
from tests.content.resources.test_ollama import push
from tests.e2e.images import NoEngine
from tests.e2e.market_place import market_place, queued, settled, single, until
from tests.e2e.registry import registry

pytestmark = pytest.mark.docker

LOOK = """
cat /closed/sub/a.txt; echo
cat /hub/config.json; echo
cd /root/.ollama/models/blobs
for each in sha256-*; do echo "${each#sha256-}  $each"; done | sha256sum -c -s && echo "whole blobs"
ls /root/.ollama/models/manifests/registry.ollama.ai/library/tiny
echo more 2>/dev/null >/hub/new && echo "the hub's data were changed"
echo more >/own/a.txt && cat /own/a.txt
"""
SAID = """from a bucket
{"from": "the hub"}
whole blobs
latest
more
"""


def resources(open_s3: str) -> list[dict[str, Any]]:
    iam = {"REGION": "eu-west-1", "ACCESS_KEY_ID": ACCESS_KEY, "SECRET_ACCESS_KEY": SECRET_KEY}
    return [
        {"type": "S3", "url": "s3://bucket/pre", "target": "/closed", "IAM": iam},
        {"type": "S3", "url": f"{open_s3}/bucket/pre/sub", "target": "/own", "allowWrite": True},
        {"type": "HF", "repo": "owner/name", "files": ["config.json"], "target": "/hub", "accessToken": TOKEN},
        {"type": "Ollama", "model": "tiny"},
    ]


async def test_a_job_with_remote_data(tmp_path: Path, busybox_image: str) -> None:
    rclone = find_rclone()
    if rclone is None:
        pytest.skip(ABSENT)
    data = tmp_path / "buckets"
    (data / "bucket/pre/sub").mkdir(parents=True)
    (data / "bucket/pre/sub/a.txt").write_text("from a bucket")
    auth = ("--auth-key", f"{ACCESS_KEY},{SECRET_KEY}")
    hub = Hub({"config.json": b'{"from": "the hub"}', "model.bin": b"m" * 5000}, private=True)
    (tmp_path / "registry").mkdir()
    try:
        with (
            s3_server(rclone, data, tmp_path / "open.log") as open_s3,
            s3_server(rclone, data, tmp_path / "closed.log", *auth) as closed_s3,
            registry(tmp_path / "registry") as models,
        ):
            push(f"http://{models}", "library/tiny")
            async with hub_server(hub), market_place(tmp_path / "market") as place:
                servers = ResourceSettings(s3=closed_s3, hub=hub.base, ollama=f"http://{models}")
                place.settings = place.settings.model_copy(update={"resources": servers})
                async with place.agent() as agent:
                    await until(lambda: queued(agent))
                    posted = await place.post(single(busybox_image, LOOK, resources=resources(open_s3)))
                    await settled(agent, posted.job)
                    result = await place.result(await place.job(posted.job))
                    await until(lambda: queued(agent))
    except NoEngine as absent:
        pytest.skip(str(absent))
    (operation,) = result["opStates"]
    assert operation["errors"] == []
    said = "".join(entry["log"] for entry in operation["logs"] if entry["type"] == "stdout")
    assert said == SAID
    kept = place.settings.locations.data / "resources"
    assert list((kept / "pins").iterdir()) == list((kept / "copies").iterdir()) == []
    assert len(list((kept / "entries").iterdir())) == 4
    for path in place.settings.locations.data.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert SECRET_KEY.encode() not in content, path
            assert TOKEN.encode() not in content, path
    assert not any(secret in json.dumps(result) for secret in (SECRET_KEY, TOKEN))


@pytest.mark.long
async def test_an_agent_killed_half_way_goes_on(tmp_path: Path, busybox_image: str) -> None:
    data, reached = os.urandom(3_000_000), asyncio.Event()
    store_wanted = Store({"pre/model": data}, answer=stall_at(2_000_000, reached))
    async with store_server(store_wanted) as store, market_place(tmp_path / "market") as place:
        definition = single(
            busybox_image,
            "sha256sum </data/model",
            resources=[{"type": "S3", "url": f"{store.url}/pre", "target": "/data"}],
        )
        async with place.agent_process() as agent:
            await until(lambda: queued(agent.client))
            posted = await place.post(definition)
            await asyncio.wait_for(reached.wait(), 60)

            async def shown() -> bool:
                lane = (await agent.client.status())["lanes"][0]
                return f"resource S3 {store.url}/pre: 2 of 3 MB, 0 of 1 files" in (lane["progress"] or "")

            await until(shown)
            agent.process.kill()
            await agent.process.wait()
        store.asked.clear()
        async with place.agent_process() as agent:
            await settled(agent.client, posted.job)
            result = await place.result(await place.job(posted.job))
    (operation,) = result["opStates"]
    assert operation["logs"][0]["log"].split()[0] == hashlib.sha256(data).hexdigest()
    (line,) = [line for line in store.asked if line != "LIST"]
    assert int(line.removeprefix("pre/model bytes=").split("-")[0]) > 1_000_000
