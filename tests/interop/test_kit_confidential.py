"""A confidential job by the network's packages: @nosana/kit pins and posts, @nosana/authorization signs, ws follows."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from node.job.travel import BLANK_DEFINITION
from node.localnet.app import Localnet
from tests.e2e.fixtures import busybox_image, docker_client
from tests.interop.agent import Agent, running_agent
from tests.interop.client import Client
from tests.interop.test_kit_agent import DONE, JOB_SECONDS, JOIN_SECONDS, post, until

__all__ = ["busybox_image", "docker_client"]

pytestmark = [pytest.mark.interop, pytest.mark.docker, pytest.mark.slow]


@pytest_asyncio.fixture
async def place(
    kit: Client, localnet: Localnet, docker_client: object, tmp_path: Path
) -> AsyncIterator[tuple[Agent, str]]:
    """An agent in the queue, and where its API is."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {"GPUNODE_SERVICE__TUNNEL": "direct", "GPUNODE_SERVICE__PORT": str(port)}
    async with running_agent(localnet, tmp_path, environment) as agent:
        await until(kit, "market", localnet.market, lambda seen: agent.address in seen["queue"], agent, JOIN_SECONDS)
        yield agent, f"http://127.0.0.1:{port}"


async def test_definition_and_result_pass_by_the_market(
    kit: Client, clients: Path, place: tuple[Agent, str], localnet: Localnet, busybox_image: str
) -> None:
    agent, url = place
    script = "for i in 1 2 3; do echo secret $i; sleep 1; done"
    operation = {"type": "container/run", "id": "one", "args": {"image": busybox_image, "cmd": script}}
    definition = {"version": "0.1", "type": "container", "ops": [operation]}
    async with Client.start("owner", clients) as owner:
        await owner.call("connect", secret=list(bytes(localnet.keys["poster"])))
        posted = await post(kit, localnet, dict(BLANK_DEFINITION))
        job = f"{url}/job/{posted['job']}"

        async def ask(path: str, **options: Any) -> dict[str, Any]:
            """As the network's command line does: the definition's CID, with a time, again until it is taken."""
            async with asyncio.timeout(JOB_SECONDS):
                while True:
                    agent.check()
                    answer: dict[str, Any] = await owner.call("ask", url=job + path, message=posted["cid"], **options)
                    if answer["status"] == 200:
                        return answer
                    await asyncio.sleep(0.5)

        assert (await ask("/job-definition", verb="POST", body=definition))["text"] == "Job definition received"
        shown = await ask("/job-definition")
        assert json.loads(shown["text"]) == definition
        seen = await owner.call(
            "frames",
            url=url.replace("http", "ws", 1),
            path="/flog",
            message=posted["cid"],
            body={"jobAddress": posted["job"], "type": "container"},
            count=3,
        )
        said = [each["data"]["message"] for each in seen["found"]]
        assert said == ["secret 1\n", "secret 2\n", "secret 3\n"]
        collected = json.loads((await ask("/results"))["text"])
    assert collected["status"] == "waiting-for-result"
    logs = [entry["log"] for entry in collected["opStates"][0]["logs"]]
    assert logs == ["secret 1\n", "secret 2\n", "secret 3\n"]
    assert "operations.0.image" in collected["gpunode"]["openings"]
    account = await until(kit, "job", posted["job"], lambda seen: seen["state"] == DONE, agent)
    pinned = await kit.call("retrieve", cid=account["ipfsResult"])
    assert set(pinned) == {"status", "startTime", "endTime", "opStates", "errors"}
    assert (pinned["status"], pinned["opStates"], pinned["errors"]) == ("success", [], [])
