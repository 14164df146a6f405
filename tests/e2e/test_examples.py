"""What people post, in miniature: each kind of definition through a whole agent with real containers.

A definition's file says what it stands for; `tests/README.md` has the count of real ones of each kind.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import docker
import pytest
import pytest_asyncio

from node.job.exposure import deployment_endpoint, deployment_key, public_id
from tests.e2e import examples
from tests.e2e.example_shop import Shop, shop
from tests.e2e.examples import said

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kept(
    tmp_path_factory: pytest.TempPathFactory, docker_client: docker.APIClient, busybox_image: str
) -> AsyncIterator[Shop]:
    async with shop(tmp_path_factory.mktemp("examples")) as open_shop:
        open_shop.images |= {"shell": busybox_image, "web": examples.web_image(docker_client)}
        yield open_shop


@pytest.fixture
def with_python(kept: Shop, docker_client: docker.APIClient) -> Shop:
    """The shop with the image that has a Python, which is built once per machine."""
    kept.images["python"] = examples.python_image(docker_client)
    return kept


async def test_hello_world(kept: Shop) -> None:
    document, states = await kept.run("hello-world")
    assert document["status"] == "success"
    hello = states["hello-world"]
    assert (hello["status"], hello["exitCode"], hello["errors"]) == ("success", 0, [])
    assert said(hello) == ["hello world"]


async def test_a_definition_chosen_at_run_time(kept: Shop) -> None:
    async with kept.posted("chosen-at-run-time") as job:
        await job.until_ops({"choose": "finished", "run": "running"})
        services = await job.services(online=False)
        assert services == {("run", port): public_id(1, port, job.job) for port in ("1000", "9000")}
        for (_, port), service in services.items():
            assert await job.page(service) == f"port {port}\n"
        document, states = await job.stop()
    assert document["status"] == "success"
    assert states["choose"]["results"]["image"] == [kept.images["shell"]]
    assert states["choose"]["results"]["entrypoint"] == []
    assert len(states["choose"]["results"]["cmd"]) == 2
    assert said(states["run"]) == [f"first a-small-one by {kept.place.node} last"]


async def test_a_private_service(kept: Shop) -> None:
    async with kept.posted("private") as job:
        ((_, service),) = (await job.services(online=False)).items()
        assert len(service) == 45
        assert await job.page(service) == "for me alone\n"
        assert await job.services() == {("notebook", "8888"): service}, "one that has answered is online"
        assert (await job.visit(public_id(0, "8888", job.job)))[0] == 404
        shown = (await job.info())["secrets"]
        assert shown["urlmode"] == "private"
        assert list(shown[job.job]) == [service]
        document, _ = await job.stop()
    assert service not in json.dumps(document)
    assert (await job.visit(service))[0] == 404


@pytest.mark.long
async def test_counting_together_and_after(kept: Shop) -> None:
    document, states = await kept.run("count")
    assert document["status"] == "success"
    assert [said(states[f"count-{number}"]) for number in (1, 2, 3)] == [["1", "2", "3"]] * 3
    first, second, third = (states[f"count-{number}"] for number in (1, 2, 3))
    assert max(first["startTime"], second["startTime"]) < min(first["endTime"], second["endTime"])
    assert third["startTime"] >= max(first["endTime"], second["endTime"])


@pytest.mark.long
async def test_a_volume_and_folders_to_work_in(kept: Shop) -> None:
    document, states = await kept.run("volume")
    assert document["status"] == "success"
    assert said(states["write"]) == ["/tmp"]
    assert said(states["read"]) == ["from the first", "/work", "debug 1"]


@pytest.mark.long
async def test_defaults_of_all_operations(kept: Shop) -> None:
    document, states = await kept.run("defaults")
    assert document["status"] == "success"
    assert said(states["as-told"]) == ["blue small", "/work"]
    assert said(states["its-own"]) == ["blue large given", "/tmp"]


@pytest.mark.long
async def test_figures_read_from_a_log(kept: Shop) -> None:
    document, states = await kept.run("benchmark")
    assert document["status"] == "success"
    found = states["bench"]["results"]
    assert found["speed"] == ["speed: 11.5 tokens/s", "11.5", "speed: 12.25 tokens/s", "12.25"]
    assert (found["token"], found["none"]) == (["a-b-c"], [])
    assert found["warnings"] == ["warning: cold"]
    assert found["broken"].startswith("SyntaxError: ")


@pytest.mark.long
async def test_commands_that_are_started_again(kept: Shop) -> None:
    document, states = await kept.run("restarted")
    assert document["status"] == "failed"
    assert (states["flaky"]["status"], said(states["flaky"])) == ("success", ["attempt 1", "attempt 2", "attempt 3"])
    hopeless = states["hopeless"]
    assert (hopeless["status"], hopeless["exitCode"]) == ("failed", 5)
    assert said(hopeless) == ["once more"] * 3


@pytest.mark.long
async def test_a_helper_that_ends_with_the_work(kept: Shop) -> None:
    began = time.monotonic()
    document, states = await kept.run("stops-with-another")
    assert time.monotonic() - began < 60
    assert document["status"] == "success"
    assert (states["work"]["status"], said(states["work"])) == ("success", ["working", "worked"])
    assert states["helper"]["status"] == "stopped"
    assert said(states["helper"]) == ["helping"]


@pytest.mark.long
async def test_dependencies_between_groups_are_refused(kept: Shop) -> None:
    async with kept.posted("stories") as job:
        document = await job.document()
    assert (document["status"], document["endTime"], document["opStates"]) == ("init error", None, [])
    assert "'story' of group 'story'" in document["errors"][0]


@pytest.mark.long
async def test_web_servers_one_after_the_other(kept: Shop) -> None:
    async with kept.posted("web-servers") as job:
        await job.until_ops({"web-1": "running", "web-2": "running", "web-3": "pending"})
        ids = {f"web-{number}": public_id(number - 1, "80", job.job) for number in (1, 2, 3)}
        services = {name: service for (name, _), service in (await job.services(online=False)).items()}
        assert services == {name: ids[name] for name in services}
        for name in ("web-1", "web-2"):
            assert await job.page(services[name]) == examples.PAGE
        assert (await kept.owner.post(job.job, "/group/run/stop"))[0] == 200
        await job.until_ops({"web-1": "stopped", "web-2": "stopped", "web-3": "running"})
        assert await job.page(ids["web-3"]) == examples.PAGE
        assert (await job.visit(ids["web-1"]))[0] >= 400
        document, states = await job.stop()
    assert document["status"] == "success"
    assert [states[f"web-{number}"]["status"] for number in (1, 2, 3)] == ["stopped", "stopped", "success"]
    assert states["web-2"]["startTime"] > states["web-1"]["startTime"]
    assert states["web-3"]["diagnostics"]["reason"]["jobExpired"] is True


@pytest.mark.long
async def test_a_model_and_a_page_in_front_of_it(with_python: Shop) -> None:
    async with with_python.posted("model-and-page") as job:
        await job.until_ops({"model": "running", "page": "running"})
        services = await job.services(online=False)
        listed = json.loads(await job.page(services["page", "8080"]))
        assert [model["id"] for model in listed["data"]] == ["tiny"]
        model = services["model", "9000"]
        question = {"model": "tiny", "messages": [{"role": "user", "content": "what is said"}]}
        status, text = await job.visit(model, "/v1/chat/completions", question)
        assert (status, json.loads(text)["choices"][0]["message"]["content"]) == (200, "what is said")
        status, text = await job.visit(model, "/v1/chat/completions", {**question, "stream": True})
        pieces: list[Any] = [line.removeprefix("data: ") for line in text.splitlines() if line]
        assert pieces.pop() == "[DONE]"
        assert [json.loads(piece)["choices"][0]["delta"]["content"] for piece in pieces] == ["what", "is", "said"]
        _, states = await job.stop()
    assert states["model"]["status"] == states["page"]["status"] == "success"


@pytest.mark.long
async def test_two_ports_of_which_one_answers(kept: Shop) -> None:
    async with kept.posted("ports") as job:
        await job.until_ops({"hello-world": "running"})
        services = await job.services(online=False)
        assert services == {("hello-world", port): public_id(0, port, job.job) for port in ("3000", "8081")}
        assert await job.page(services["hello-world", "3000"]) == "on 3000\n"
        assert (await job.visit(services["hello-world", "8081"]))[0] >= 500
        await job.stop()


@pytest.mark.long
async def test_a_range_of_ports(kept: Shop) -> None:
    async with kept.posted("range") as job:
        ((place, service),) = (await job.services(online=False)).items()
        assert (place, service) == (("many", "8000-8002"), public_id(0, "8000-8002", job.job))
        assert await job.page(service) == "first of them\n"
        await job.stop()


@pytest.mark.long
async def test_a_server_of_sockets(with_python: Shop) -> None:
    async with with_python.posted("socket") as job:
        ((_, service),) = (await job.services()).items()
        host = {"Host": f"{service}.localhost"}
        async with with_python.session.ws_connect(with_python.base, headers=host) as socket:
            assert await socket.receive_str(timeout=10) == "welcome"
            await socket.send_str("back")
            assert await socket.receive_str(timeout=10) == "back"
        await job.stop()


@pytest.mark.long
async def test_servers_of_a_deployment(kept: Shop) -> None:
    async with kept.posted("deployment") as job:
        page = await job.page(public_id(2, "80", job.job))
        assert page == examples.PAGE * 3
        address = deployment_endpoint(deployment_key("several-servers", kept.place.ledger_context.node), "inbound")
        assert await job.page(address) == page
        _, states = await job.stop()
    assert states["lobby"]["results"] == {"names": ["worker_1,worker_2"]}
    assert said(states["lobby"])[1] == f"{address}.localhost:{kept.place.settings.service.port}"
