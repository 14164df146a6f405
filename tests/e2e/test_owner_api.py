"""The owner's API over a running agent: a job is watched, steered and ended by its owner."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from node.base58 import b58encode
from node.chain.policy import SpendingPolicy
from node.chain.wallet import Wallet
from node.records import Address
from tests.e2e.market_place import MarketPlace, market_place, queued, settled, until, working

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[MarketPlace]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with market_place(tmp_path) as made:
        made.set_up(service={"tunnel": "direct", "port": port})
        yield made


class Owner:
    """A job's owner and their requests."""

    def __init__(self, place: MarketPlace, client: aiohttp.ClientSession, job: Address) -> None:
        wallet = Wallet.load(place.folder / "poster.json")
        signer = wallet.signer(SpendingPolicy(place.net.cluster, {}))
        self.word = f"{job}:{b58encode(signer.sign_document(job.encode()))}"
        self.job = job
        self.client = client

    async def ask(self, path: str, verb: str = "GET") -> tuple[int, Any]:
        headers = {"authorization": self.word}
        async with self.client.request(verb, f"/job/{self.job}{path}", headers=headers) as answer:
            body = await answer.text()
            return answer.status, json.loads(body) if answer.content_type == "application/json" else body

    async def until(self, path: str, wanted: Any) -> None:
        """Ask until the answer is as wanted."""
        seen: Any = None
        try:
            async with asyncio.timeout(60):
                while (seen := (await self.ask(path))[1]) != wanted:
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pytest.fail(f"{path} stays {seen}")

    async def infos(self, found: list[dict[str, Any]]) -> None:
        """Follow the stream of states to its end."""
        async with self.client.get(f"/job/{self.job}/info", headers={"authorization": self.word}) as answer:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    found.append(json.loads(line[6:]))

    async def lines(self, found: list[dict[str, Any]], **body: str) -> None:
        """Follow the log until cancelled."""
        async with self.client.ws_connect("/") as ws:
            await ws.send_json({"path": "/flog", "header": self.word, "body": {"jobAddress": self.job, **body}})
            async for message in ws:
                found.append(json.loads(json.loads(message.data)["data"]))


def operations(image: str) -> dict[str, Any]:
    """Two that run side by side for ever, and one that comes after them."""
    script = "echo up at $(date +%s%N); exec sleep 600"
    groups = {"left": "both", "right": "both", "after": "later"}
    return {
        "version": "0.1",
        "type": "container",
        "ops": [
            {
                "type": "container/run",
                "id": name,
                "args": {"image": image, "cmd": script},
                "execution": {"group": group},
            }
            for name, group in groups.items()
        ],
    }


async def test_a_job_is_watched_and_steered(place: MarketPlace, busybox_image: str) -> None:
    url = f"http://127.0.0.1:{place.settings.service.port}"
    async with place.agent() as agent, aiohttp.ClientSession(url) as client:
        await until(lambda: queued(agent))
        async with client.get("/", headers={"host": f"{place.node.lower()}.localhost"}) as answer:
            assert await answer.json() == place.node
        async with client.get("/node/info") as answer:
            assert (await answer.json())["state"] == "QUEUED"
        posted = await place.post(operations(busybox_image))
        owner = Owner(place, client, posted.job)
        await working(agent, posted.job)
        await owner.until("/ops", {"left": "running", "right": "running", "after": "pending"})
        infos: list[dict[str, Any]] = []
        lines: list[dict[str, Any]] = []
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(owner.infos(infos))
            following = group.create_task(owner.lines(lines, opId="left", type="container"))
            assert await owner.ask("/group/current") == (200, {"left": "running", "right": "running"})
            assert await owner.ask("/ops/left") == (200, {"left": "running"})
            assert await owner.ask("/group/later") == (200, {"after": "pending"})
            assert (await owner.ask("/endpoints"))[0] == 400
            assert (await owner.ask("/results"))[0] == 400
            assert (await owner.ask("/job-definition"))[1] == operations(busybox_image)

            refused = await owner.ask("/group/later/restart", "POST")
            assert refused == (500, {"error": "Failed to restart group operations"})
            refused = await owner.ask("/group/none/operation/left/stop", "POST")
            assert refused == (500, {"error": "Failed to Stop operation: GROUP_NOT_FOUND"})

            assert (await owner.ask("/group/both/operation/left/restart", "POST"))[0] == 200
            async with asyncio.timeout(60):
                while sum("up at" in str(each["message"]) for each in lines) < 2:
                    await asyncio.sleep(0.1)
            await owner.until("/ops/left", {"left": "running"})
            async with client.get(f"/job/{posted.job}/stats/stream", headers={"authorization": owner.word}) as answer:
                samples = json.loads((await answer.content.readline())[6:])
            assert {each["opId"] for each in samples} == {"left", "right"}
            assert all(each["memory"]["memory_usage"] > 0 for each in samples)

            assert (await owner.ask("/group/both/operation/left/stop", "POST"))[1] == {"message": "Operation Stopped"}
            await owner.until("/ops/left", {"left": "stopped"})
            assert (await owner.ask("/ops/right"))[1] == {"right": "running"}
            assert (await owner.ask("/group/both/stop", "POST"))[1] == {"message": "Group Operation Stopped"}
            await owner.until("/group/current", {"after": "running"})
            assert await owner.ask("/stop", "POST") == (200, "job stopped successfully")
            await settled(agent, posted.job)
            await watching
            following.cancel()
        assert infos[0]["operations"]["currentGroup"] == "both"
        assert infos[-1]["endTime"] is not None
        assert infos[-1]["status"] == "success"
        assert all("logs" not in state and "providerId" not in state for info in infos for state in info["opStates"])
        assert all(one != other for one, other in pairwise(infos))
        assert (await owner.ask("/stop", "POST"))[0] == 400
    result = await place.result(await place.job(posted.job))
    assert result["status"] == "success"
    left, right, after = result["opStates"]
    assert len(left["logs"]) == 2
    assert (left["status"], right["status"]) == ("stopped", "stopped")
    assert after["diagnostics"]["reason"]["jobExpired"]
