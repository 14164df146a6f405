"""The agent dies while a job serves: its services are found under the same names when it is back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import docker
import pytest

from node.api.client import ControlClient
from node.job.exposure import public_id
from node.records import Address
from tests.e2e.market_place import market_place, queued, settled, until
from tests.e2e.test_service_job import CHECK, SERVER, Owner, free_port
from tests.e2e.test_whole_job import definition, nothing_left, run

pytestmark = [pytest.mark.docker, pytest.mark.slow]


def job_of(image: str) -> dict[str, Any]:
    """A group that is over, and one with a private and a public service side by side, and what waits for them."""
    checked = [{"port": 8080, "health_checks": [CHECK]}]
    return definition(
        run("before", image, "echo done"),
        run("hidden", image, SERVER, {"group": "g"}, expose=checked, private=True),
        run("shown", image, SERVER, {"group": "g"}, expose=8080),
        run(
            "beside",
            image,
            "echo $U; exec sleep 600",
            {"group": "g", "depends_on": ["hidden", "shown"]},
            env={"U": "%%ops.hidden.endpoint.8080%%"},
        ),
    )


async def starts(agent: ControlClient, job: Address) -> list[int]:
    return [each["starts"] for each in (await agent.job(job))["runs"][0]["operations"]]


@pytest.mark.parametrize("moment", ["serving", pytest.param("starting", marks=pytest.mark.long)])
async def test_services_are_the_same_after_kill_9(
    tmp_path: Path, busybox_image: str, docker_client: docker.APIClient, moment: str
) -> None:
    connector = aiohttp.TCPConnector(force_close=True)  # names share an address here
    async with market_place(tmp_path) as place, aiohttp.ClientSession(connector=connector) as session:
        place.set_up(service={"tunnel": "direct", "port": free_port()})
        owner = Owner(place, session)
        running = {"before": "finished", "hidden": "running", "shown": "running", "beside": "running"}

        async def all_run() -> bool:
            try:
                return bool(await owner.get(job, "/ops") == running)
            except aiohttp.ClientError:
                return False

        async def exposed() -> Any:
            """What is exposed, once both are."""
            endpoints = await owner.get(job, "/endpoints")
            return isinstance(endpoints, dict) and len(endpoints["urls"]) == 2 and endpoints["urls"]

        async def online() -> Any:
            """Both pages, once they come and the owner is told so."""
            pages = [await owner.visit(name) for name in (secret, public_id(2, "8080", job))]
            shown = await owner.get(job, "/endpoints")
            well = [status for status, _ in pages] == [200, 200] and {
                name: each["status"] for name, each in shown["urls"].items()
            } == {secret: "ONLINE", public_id(2, "8080", job): "ONLINE"}
            return ([text for _, text in pages], shown) if well else None

        async with place.agent_process() as agent:
            await until(lambda: queued(agent.client))
            job = (await place.post(job_of(busybox_image))).job
            urls = await until(exposed)
            (secret,) = (name for name, each in urls.items() if each["opID"] == "hidden")
            assert len(secret) == 45
            before = await until(online) if moment == "serving" else None
            agent.process.kill()
            await agent.process.wait()
        with pytest.raises(aiohttp.ClientError):
            await owner.visit(secret)
        async with place.agent_process() as agent:
            await until(all_run)
            after = await until(online)
            assert before in (None, after), "the same containers under the same names"
            assert (await owner.visit(public_id(1, "8080", job)))[0] == 404
            assert await starts(agent.client, job) == [1, 1, 1, 1]
            assert await owner.post(job, "/stop") == (200, "job stopped successfully")
            assert (await settled(agent.client, job))["settlement"]["kind"] == "finish"
            assert (await owner.visit(secret))[0] == 404
        document = await place.result(await place.job(job))
    states = {state["operationId"]: state for state in document["opStates"]}
    assert document["status"] == "success"
    assert states["beside"]["logs"][0]["log"] == f"{urls[secret]['url'].removeprefix('http://')}\n"
    assert secret not in str({**document, "opStates": [state for name, state in states.items() if name != "beside"]})
    assert nothing_left(docker_client, job)
