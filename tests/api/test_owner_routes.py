"""The owner's requests that are answered at once: statuses, texts and documents that the network's clients know."""

from __future__ import annotations

import json

import pytest

from node.api.owner.port import JobView, ServiceStatus
from tests.api.conftest import Served
from tests.api.owner_double import DEFINITION, JOB, NODE, header, sample, service, view

UNKNOWN = "So11111111111111111111111111111111111111112"


async def ask(served: Served, method: str, path: str, **options: object) -> tuple[int, str, str]:
    async with served.client.request(method, path, headers=header(), **options) as answer:
        return answer.status, answer.content_type, await answer.text()


async def test_the_root_is_the_nodes_address_in_quotes(served: Served) -> None:
    async with served.client.get("/") as answer:
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert await answer.text() == f'"{NODE.pubkey()}"'
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_node_info_is_public_and_names_nobodys_images(served: Served) -> None:
    async with served.client.get("/node/info") as answer:
        document = await answer.json()
    assert document["node"] == str(NODE.pubkey())
    assert document["uptime"] == "2023-11-14T22:13:20.000Z"
    assert document["state"] == "RUNNING_JOB"
    assert document["info"] == {"version": "1.0.0", "country": "NL"}
    assert document["resources"] == {"images": [], "volumes": []}


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/info", 404, "Failed to find job for provided job id."),
        ("/stats", 404, "Invalid job address"),
        ("/stats/stream", 404, "Invalid job address"),
        ("/ops", 400, "invalid job id"),
        ("/job-definition", 400, "invalid job id"),
        ("/endpoints", 400, "invalid job id"),
    ],
)
async def test_a_job_that_is_not_here(served: Served, path: str, status: int, text: str) -> None:
    async with served.client.get(f"/job/{UNKNOWN}{path}", headers=header(UNKNOWN)) as answer:
        assert (answer.status, await answer.text()) == (status, text)


async def test_what_is_no_address_is_not_looked_up(served: Served) -> None:
    assert (await ask(served, "GET", "/job/..%2f..%2fetc/ops"))[0] in (400, 404)
    assert (await ask(served, "GET", "/job/0OIl/ops"))[0] == 400
    assert served.agent.lookups == 0


async def test_the_definition_is_given_as_it_came(served: Served) -> None:
    assert await ask(served, "GET", f"/job/{JOB}/job-definition") == (200, "application/json", json.dumps(DEFINITION))
    served.agent.body = None
    status, _, text = await ask(served, "GET", f"/job/{JOB}/job-definition")
    assert (status, text.startswith("The job definition has not yet been set.")) == (400, True)


async def test_a_definition_is_taken_once_while_the_job_waits(served: Served) -> None:
    served.agent.waits_for_definition = True
    # Larger than the 100 kB at which the network's own node gives up.
    body = json.dumps({**DEFINITION, "meta": {"trigger": "x" * 300_000}}).encode()
    path = f"/job/{JOB}/job-definition"
    assert (await ask(served, "POST", path, data=body))[::2] == (200, "Job definition received")
    assert served.agent.calls == [("deliver", JOB, body)]
    assert (await ask(served, "POST", path, data=body))[::2] == (400, "cannot send job definition at this time")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff", b'{"a":NaN}', b"[" * 5000])
async def test_what_is_no_document_is_refused_before_the_job_hears_of_it(served: Served, body: bytes) -> None:
    served.agent.waits_for_definition = True
    assert (await ask(served, "POST", f"/job/{JOB}/job-definition", data=body))[0] == 400
    assert served.agent.calls == []


async def test_a_body_beyond_the_limit_is_refused(served: Served) -> None:
    served.agent.waits_for_definition = True
    assert (await ask(served, "POST", f"/job/{JOB}/job-definition", data=b"x" * (1024 * 1024 + 1)))[0] == 413
    assert served.agent.calls == []


async def test_a_result_is_collected_once_it_was_sent_whole(served: Served) -> None:
    path = f"/job/{JOB}/results"
    assert (await ask(served, "GET", path))[::2] == (400, "cannot get job result at this time")
    served.agent.waiting_result = b'{"status":"waiting-for-result"}'
    assert (await ask(served, "HEAD", path))[0] == 405
    assert served.agent.calls == []
    assert await ask(served, "GET", path) == (200, "application/json", '{"status":"waiting-for-result"}')
    assert served.agent.calls == [("collected", JOB)]
    assert (await ask(served, "GET", path))[0] == 400


async def test_statuses_of_operations_and_groups(served: Served) -> None:
    async def document(path: str) -> object:
        status, kind, text = await ask(served, "GET", f"/job/{JOB}{path}")
        assert (status, kind) == (200, "application/json")
        return json.loads(text)

    assert await document("/ops") == {"hello": "running", "after": "waiting"}
    assert await document("/ops/after") == {"after": "waiting"}
    assert await document("/ops/nobody") == {"nobody": None}
    assert await document("/group/current") == {"hello": "running"}
    assert await document("/group/two") == {"after": "waiting"}
    assert await document("/group/none") == {}
    served.agent.current = view("running", group=None)
    assert await document("/group/current") is None
    served.agent.current = JobView(served.agent.current.state)
    assert (await ask(served, "GET", f"/job/{JOB}/ops"))[::2] == (400, "invalid job id")


@pytest.mark.parametrize(
    ("path", "call", "message", "failure"),
    [
        (
            "/group/g/operation/o/restart",
            ("restart_operation", JOB, "g", "o"),
            "Operation restarted",
            "Failed to restart operation: GROUP_NOT_FOUND",
        ),
        (
            "/group/g/operation/o%20p/stop",
            ("stop_operation", JOB, "g", "o p"),
            "Operation Stopped",
            "Failed to Stop operation: GROUP_NOT_FOUND",
        ),
        (
            "/group/g/restart",
            ("restart_group", JOB, "g"),
            "Group Operation restarted",
            "Failed to restart group operations",
        ),
        ("/group/g/stop", ("stop_group", JOB, "g"), "Group Operation Stopped", "Failed to stop group operations"),
        (
            "/group/g/move",
            ("move_group", JOB, "g"),
            "Group Operation restarted",
            "Failed to restart group operations",
        ),
    ],
)
async def test_actions(served: Served, path: str, call: tuple[str, ...], message: str, failure: str) -> None:
    status, _, text = await ask(served, "POST", f"/job/{JOB}{path}")
    assert (status, json.loads(text)) == (200, {"message": message})
    assert served.agent.calls == [call]
    served.agent.refusal = "GROUP_NOT_FOUND"
    status, _, text = await ask(served, "POST", f"/job/{JOB}{path}")
    assert (status, json.loads(text)) == (500, {"error": failure})


async def test_stopping_the_job(served: Served) -> None:
    assert (await ask(served, "POST", f"/job/{JOB}/stop"))[::2] == (200, "job stopped successfully")
    assert served.agent.calls == [("stop", JOB)]
    served.agent.refusal = "it is over"
    assert (await ask(served, "POST", f"/job/{JOB}/stop"))[::2] == (400, "invalid job id")


async def test_endpoints(served: Served) -> None:
    path = f"/job/{JOB}/endpoints"
    assert (await ask(served, "GET", path))[::2] == (400, "No exposed url for job id")
    served.agent.exposed = (service(ServiceStatus.UNKNOWN),)
    status, _, text = await ask(served, "GET", path)
    url = {"opID": "hello", "port": 8080, "url": "https://3Js9.node.example", "status": "UNKNOWN"}
    assert (status, json.loads(text)) == (200, {"urls": {"3Js9": url}, "status": "OFFLINE"})
    served.agent.exposed = (service(ServiceStatus.ONLINE),)
    assert json.loads((await ask(served, "GET", path))[2])["status"] == "ONLINE"


async def test_stats_want_sound_parameters(served: Served) -> None:
    served.agent.samples = (sample("hello", 1),)
    path = f"/job/{JOB}/stats"
    assert (await ask(served, "GET", path))[::2] == (200, "[]")
    for query in ("interval=0", "interval=x", "interval=1801", "start=x", "end=-1", "end=1e3"):
        assert (await ask(served, "GET", f"{path}?{query}"))[0] == 400, query


@pytest.mark.parametrize(("method", "path"), [("POST", "authorize"), ("GET", "keys"), ("DELETE", "keys")])
async def test_there_is_no_shell_and_it_says_so(served: Served, method: str, path: str) -> None:
    status, _, text = await ask(served, method, f"/job/{JOB}/ssh/{path}", json={"sshPublicKey": "ssh-ed25519 AAAA"})
    assert status == 404
    assert "no shell" in json.loads(text)["error"]


async def test_any_page_may_ask(served: Served) -> None:
    asked = {"origin": "https://example.org", "access-control-request-headers": "authorization"}
    async with served.client.options(f"/job/{JOB}/ops", headers=asked) as answer:
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-headers"] == "authorization"
    async with served.client.get("/nothing") as answer:
        assert answer.status == 404
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_node_is_known_by_its_host_name(served: Served) -> None:
    name = f"{str(NODE.pubkey()).lower()}.node.example"
    async with served.client.get("/", headers={"host": name}) as answer:
        assert await answer.json() == str(NODE.pubkey())
