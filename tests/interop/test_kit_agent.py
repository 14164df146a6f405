"""@nosana/kit posts jobs, our agent runs them in real containers, and the kit reads, extends and ends them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import docker
import pytest
import pytest_asyncio

from node.localnet.app import Localnet
from tests.e2e.fixtures import busybox_image, docker_client
from tests.interop.agent import Agent, running_agent
from tests.interop.client import Client

__all__ = ["busybox_image", "docker_client"]

pytestmark = [pytest.mark.interop, pytest.mark.docker, pytest.mark.slow]

DONE = 2
JOIN_SECONDS = 60.0
JOB_SECONDS = 90.0


@pytest_asyncio.fixture
async def agent(kit: Client, localnet: Localnet, docker_client: object, tmp_path: Path) -> AsyncIterator[Agent]:
    """An agent that waits in the market's queue, as the kit sees it."""
    async with running_agent(localnet, tmp_path) as running:

        def queued(market: dict[str, Any]) -> bool:
            running.check()
            return bool(running.address in market["queue"])

        await until(kit, "market", localnet.market, queued, running, JOIN_SECONDS)
        yield running


async def until(
    kit: Client,
    kind: str,
    address: object,
    reached: Callable[[dict[str, Any]], bool],
    agent: Agent,
    seconds: float = JOB_SECONDS,
) -> dict[str, Any]:
    """The account as the kit reads it, once it is as wanted."""
    seen: dict[str, Any] = {}
    try:
        async with asyncio.timeout(seconds):
            while not reached(seen := await kit.call(kind, address=address)):
                agent.check()
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"{kind} did not get there in {seconds:.0f} s: {seen}\n{agent.log_end()}")
    return seen


async def post(kit: Client, net: Localnet, definition: dict[str, Any], *, seconds: int = 300) -> dict[str, Any]:
    """Pin and post a definition."""
    cid = await kit.call("pin", document=definition)
    return {"cid": cid, **await kit.call("post", market=net.market, timeout=seconds, cid=cid)}


def shell_job(image: str, script: str, **operation: Any) -> dict[str, Any]:
    """A definition with one operation that runs a shell script; unlike any other by a comment."""
    arguments = {"image": image, "cmd": ["sh", "-c", f"{script} # {secrets.token_hex(8)}"], "gpu": True}
    one = {"type": "container/run", "id": "one", "args": arguments, **operation}
    return {"version": "0.1", "type": "container", "ops": [one]}


async def running_container(agent: Agent, client: docker.APIClient) -> dict[str, Any]:
    """The container that the agent runs, once its process is up."""
    ours = {"label": f"gpunode.node={agent.address}", "status": "running"}
    async with asyncio.timeout(JOB_SECONDS):
        while not (found := await asyncio.to_thread(client.containers, filters=ours)):
            agent.check()
            await asyncio.sleep(0.1)
    row: dict[str, Any] = found[0]
    return row


async def test_the_agent_runs_a_posted_job_and_the_kit_reads_its_result(
    kit: Client, agent: Agent, localnet: Localnet, busybox_image: str
) -> None:
    script = "echo answer: 42; echo mumble >&2; sleep 2; echo done"
    posted = await post(kit, localnet, shell_job(busybox_image, script, results={"answer": "^answer: (\\d+)"}))
    job = await until(kit, "job", posted["job"], lambda seen: seen["state"] == DONE, agent)

    assert job["node"] == agent.address
    result = await kit.call("retrieve", cid=job["ipfsResult"])
    assert result["status"] == "success"
    (operation,) = result["opStates"]
    assert (operation["operationId"], operation["exitCode"], operation["status"]) == ("one", 0, "success")
    assert operation["results"]["answer"][0] in (["answer: 42", "42"], "answer: 42")
    by_stream = {
        kind: [e["log"].strip() for e in operation["logs"] if e["type"] == kind] for kind in ("stdout", "stderr")
    }
    assert by_stream == {"stdout": ["answer: 42", "done"], "stderr": ["mumble"]}

    paid = job["price"] * min(job["timeEnd"] - job["timeStart"], job["timeout"])
    assert paid >= 2 * job["price"]
    assert round((await kit.call("balance", of=agent.address))["nos"] * 1e6) == paid
    # It serves on: back in the queue for the next one.
    await until(kit, "market", localnet.market, lambda seen: agent.address in seen["queue"], agent)


@pytest.mark.long
async def test_an_extension_by_the_kit_moves_the_deadline(
    kit: Client, agent: Agent, localnet: Localnet, busybox_image: str
) -> None:
    posted = await post(kit, localnet, shell_job(busybox_image, "sleep 12; echo made it"), seconds=6)
    await kit.call("extend", job=posted["job"], seconds=120)
    job = await until(kit, "job", posted["job"], lambda seen: seen["state"] == DONE, agent)
    assert job["timeout"] == 126
    assert job["timeEnd"] - job["timeStart"] >= 12
    result = await kit.call("retrieve", cid=job["ipfsResult"])
    assert result["status"] == "success"
    assert "made it" in result["opStates"][0]["logs"][-1]["log"]


@pytest.mark.long
async def test_a_job_ended_by_the_kit_is_stopped_and_its_result_still_delivered(
    kit: Client, agent: Agent, localnet: Localnet, busybox_image: str, docker_client: docker.APIClient
) -> None:
    posted = await post(kit, localnet, shell_job(busybox_image, "echo begun; sleep 600"))
    container = await running_container(agent, docker_client)
    await kit.call("end", job=posted["job"])
    ended = await kit.call("job", address=posted["job"])
    assert (ended["state"], ended["node"]) == (DONE, agent.address)
    job = await until(kit, "job", posted["job"], lambda seen: seen["ipfsResult"] is not None, agent)
    result = await kit.call("retrieve", cid=job["ipfsResult"])
    assert result["status"] == "stopped"
    assert any("begun" in entry["log"] for entry in result["opStates"][0]["logs"])
    with pytest.raises(docker.errors.NotFound):
        docker_client.inspect_container(container["Id"])


@pytest.mark.long
async def test_a_definition_outside_the_schema_is_settled_as_such(
    kit: Client, agent: Agent, localnet: Localnet, busybox_image: str
) -> None:
    definition = shell_job(busybox_image, "echo never")
    definition["ops"][0]["args"]["priority"] = "high"
    posted = await post(kit, localnet, definition)
    job = await until(kit, "job", posted["job"], lambda seen: seen["state"] == DONE, agent)
    result = await kit.call("retrieve", cid=job["ipfsResult"])
    assert result["status"] == "validation-error"
    assert "priority" in str(result["errors"])
