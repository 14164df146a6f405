"""A job of several operations: a volume, an order, outputs of one that another starts with; and a death in between."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import docker
import pytest
import pytest_asyncio

from node.api.client import ControlClient
from node.proof.verify import verify_job
from node.records import Address
from tests.e2e.market_place import MarketPlace, market_place, queued, settled, until

pytestmark = pytest.mark.docker


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[MarketPlace]:
    async with market_place(tmp_path) as made:
        yield made


def definition(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"version": "0.1", "type": "container", "meta": {"trigger": "cli"}, "ops": list(operations)}


def volume(name: str) -> dict[str, Any]:
    return {"type": "container/create-volume", "id": f"make-{name}", "args": {"name": name}}


def run(name: str, image: str, script: str, execution: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    results = more.pop("results", None)
    operation: dict[str, Any] = {
        "type": "container/run",
        "id": name,
        "args": {"image": image, "cmd": ["sh", "-c", script], **more},
    }
    if execution is not None:
        operation["execution"] = execution
    if results is not None:
        operation["results"] = results
    return operation


def shared(image: str, pause: int) -> dict[str, Any]:
    """One writes a number into a volume and says it; another, in a later group, gets both; a third is asked by name."""
    data = [{"name": "data", "dest": "/data"}]
    return definition(
        volume("data"),
        run(
            "write",
            image,
            f"echo 42 > /data/number; sleep {pause}; echo number: 42",
            volumes=data,
            results={"number": "[0-9]+"},
        ),
        run(
            "serve",
            image,
            "mkdir -p /www && echo hello > /www/index.html && timeout 8 httpd -f -p 8080 -h /www; true",
            {"group": "ask"},
        ),
        run(
            "read",
            image,
            "echo file $(cat /data/number) literal $N; "
            "for i in 1 2 3 4 5 6; do wget -qO- http://%%ops.serve.host%%:8080/ && break; sleep 1; done",
            {"group": "ask", "depends_on": ["serve"]},
            volumes=data,
            env={"N": "%%ops.write.results.number%%"},
        ),
    )


async def result(place: MarketPlace, job: Address) -> dict[str, dict[str, Any]]:
    document = await place.result(await place.job(job))
    assert document["status"] == "success", document
    return {state["operationId"]: state for state in document["opStates"]}


def output(state: dict[str, Any]) -> str:
    return "".join(entry["log"] for entry in state["logs"])


def nothing_left(engine: docker.APIClient, job: Address) -> bool:
    filters = {"label": f"gpunode.job={job}"}
    return not (
        engine.containers(all=True, filters=filters)
        or engine.networks(filters=filters)
        or engine.volumes(filters=filters)["Volumes"]
    )


async def check(place: MarketPlace, agent: ControlClient, job: Address, engine: docker.APIClient) -> None:
    settlement = (await settled(agent, job))["settlement"]
    assert settlement["kind"] == "finish"
    states = await result(place, job)
    assert list(states) == ["make-data", "write", "serve", "read"]
    assert states["make-data"]["exitCode"] == 0
    assert states["write"]["results"] == {"number": ["42"]}
    assert output(states["read"]) == "file 42 literal 42\nhello\n"
    assert states["read"]["startTime"] >= states["serve"]["startTime"] >= states["write"]["endTime"]
    assert nothing_left(engine, job)
    checked = await verify_job(job, cluster=place.net.cluster, chain=place.rpc, content=place.library)
    assert [check.name for check in checked.checks if check.ok is False] == []
    assert {"operations", "log_root"} <= {check.name for check in checked.checks if check.ok}


@pytest.mark.long
async def test_operations_share_files_and_outputs(
    place: MarketPlace, busybox_image: str, docker_client: docker.APIClient
) -> None:
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        posted = await place.post(shared(busybox_image, 0))
        await check(place, agent, posted.job, docker_client)


@pytest.mark.long
async def test_kill_9_between_operations_loses_nothing(
    place: MarketPlace, busybox_image: str, docker_client: docker.APIClient
) -> None:
    async with place.agent_process() as agent:
        await until(lambda: queued(agent.client))
        posted = await place.post(shared(busybox_image, 3))
        await begun(agent.client, posted.job, "write")
        agent.process.kill()
        await agent.process.wait()
    async with place.agent_process() as agent:
        await begun(agent.client, posted.job, "serve")
        agent.process.send_signal(signal.SIGTERM)
        assert await agent.process.wait() == 0
    async with place.agent_process() as agent:
        await check(place, agent.client, posted.job, docker_client)
        runs = (await agent.client.job(posted.job))["runs"]
        assert [operation["starts"] for operation in runs[0]["operations"]] == [0, 1, 1, 1]


@pytest.mark.long
async def test_a_failure_keeps_later_groups_from_running(place: MarketPlace, busybox_image: str) -> None:
    job = definition(
        run("bad", busybox_image, "sleep 1; exit 3", {"group": "one"}),
        run("long", busybox_image, "sleep 100", {"group": "one"}),
        run("later", busybox_image, "true"),
    )
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        posted = await place.post(job)
        await settled(agent, posted.job)
    document = await place.result(await place.job(posted.job))
    states = {state["operationId"]: state for state in document["opStates"]}
    assert document["status"] == "failed", document
    assert (states["bad"]["status"], states["bad"]["exitCode"]) == ("failed", 3), str(states)
    assert states["long"]["status"] == "stopped"
    assert states["later"]["status"] == "stopped"
    assert states["later"]["exitCode"] == 0
    assert states["later"]["startTime"] == states["later"]["endTime"]


@pytest.mark.long
async def test_its_poster_ends_a_job_between_operations(
    place: MarketPlace, busybox_image: str, docker_client: docker.APIClient
) -> None:
    job = definition(
        run("first", busybox_image, "true"),
        run("runs", busybox_image, "echo began; sleep 300", {"group": "g"}),
        run("beside", busybox_image, "sleep 300", {"group": "g", "depends_on": ["runs"]}),
        run("later", busybox_image, "true"),
    )
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        posted = await place.post(job)
        await begun(agent, posted.job, "beside")
        await place.poster.stop(posted.job)
        assert (await settled(agent, posted.job))["settlement"]["kind"] == "complete"
    document = await place.result(await place.job(posted.job))
    states = {state["operationId"]: state for state in document["opStates"]}
    assert document["status"] == "stopped"
    assert [states[name]["status"] for name in states] == ["success", "stopped", "stopped", "stopped"]
    told = [states[name]["diagnostics"]["reason"]["jobStopped"] for name in states]
    assert told == [False, True, True, False]
    assert states["runs"]["exitCode"] in (137, 143)
    assert (states["later"]["exitCode"], states["later"]["startTime"]) == (0, states["later"]["endTime"])
    assert nothing_left(docker_client, posted.job)


async def test_a_circle_of_dependencies_is_told_before_anything_starts(place: MarketPlace, busybox_image: str) -> None:
    job = definition(
        run("a", busybox_image, "true", {"group": "g", "depends_on": ["b"]}),
        run("b", busybox_image, "true", {"group": "g", "depends_on": ["a"]}),
    )
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        posted = await place.post(job)
        settlement = (await settled(agent, posted.job))["settlement"]
    assert settlement["kind"] == "finish"
    document = await place.result(await place.job(posted.job))
    assert (document["status"], document["endTime"], document["opStates"]) == ("init error", None, [])
    assert document["errors"][0].startswith("Execution Plan Validation Failed:\n- ")


async def begun(agent: ControlClient, job: Address, operation: str) -> None:
    async def look() -> bool:
        if not any(run["job"] == job for run in (await agent.jobs())["jobs"]):
            return False
        operations = (await agent.job(job))["runs"][0]["operations"]
        return any(each["id"] == operation and each["starts"] for each in operations)

    await until(look)
