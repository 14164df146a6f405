"""The poster's side of a confidential job, against the API that nodes serve."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from node.cli.job import confidential
from node.cli.job.confidential import NodeApi, collect, deliver, reachable, with_collected
from node.cli.job.post import blank_definition
from node.errors import AccountMissing, JobError, RpcUnavailable, UsageError
from node.job.definition import validate
from node.market.poster import JobView
from node.records import Address, JobState
from node.retry import SystemClock
from tests.api.conftest import Serve, Served, serve  # noqa: F401 (a fixture)
from tests.api.owner_double import DEFINITION, JOB, NODE, OWNER
from tests.journal.samples import assignment

KEY = Address(str(NODE.pubkey()))
BODY = json.dumps(DEFINITION).encode()


@pytest.fixture
async def served(serve: Serve) -> Served:  # noqa: F811
    return await serve()


def api_of(served: Served) -> NodeApi:
    base = served.url.replace("127.0.0.1", "localhost")
    return NodeApi(base, JOB, lambda document: bytes(OWNER.sign_message(document)), SystemClock())


class PosterDouble:
    """A Poster that shows what it is told to, one after the other."""

    def __init__(self, *views: JobView | Exception) -> None:
        self.views = list(views)

    async def view(self, job: Address) -> JobView:
        view = self.views.pop(0) if len(self.views) > 1 else self.views[0]
        if isinstance(view, Exception):
            raise view
        return view


def job_view(*, running: bool = True, state: int = 0) -> JobView:
    a = assignment(1)
    return JobView(replace(a.job, state=JobState(state)), a.run if running else None)


async def test_the_definition_is_sent_until_it_is_taken(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confidential, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(confidential, "SEND_AGAIN", 0.01)
    told: list[str] = []
    poster: Any = PosterDouble(job_view(running=False), RpcUnavailable("no endpoint answers"), job_view())

    async def open_soon() -> None:
        await asyncio.sleep(0.2)
        served.agent.waits_for_definition = True

    async with asyncio.TaskGroup() as group:
        group.create_task(open_soon())
        node = await deliver(poster, api_of(served), JOB, BODY, told.append)
    assert node == job_view().run.node  # type: ignore[union-attr]
    assert served.agent.calls == [("deliver", JOB, BODY)]
    assert told[0] == "waiting for a node"
    assert "cannot send job definition at this time" in told[2]
    assert len(told) == 4, "what stays the same is said once"


@pytest.mark.parametrize("view", [job_view(running=False, state=2), job_view(running=False, state=3)])
async def test_a_job_that_ends_first(served: Served, view: JobView) -> None:
    poster: Any = PosterDouble(view)
    with pytest.raises(JobError, match="ended before its definition was sent"):
        await deliver(poster, api_of(served), JOB, BODY, lambda line: None)
    gone: Any = PosterDouble(AccountMissing("no such account"))
    with pytest.raises(JobError, match="gone"):
        await deliver(gone, api_of(served), JOB, BODY, lambda line: None)


async def test_the_result_is_collected_once_it_waits(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confidential, "COLLECT_AGAIN", 0.01)
    async with asyncio.TaskGroup() as group:
        collecting = group.create_task(collect(api_of(served), KEY))
        await asyncio.sleep(0.1)
        served.agent.waiting_result = b'{"status":"waiting-for-result","opStates":[1]}'
    assert collecting.result() == {"status": "waiting-for-result", "opStates": [1]}
    assert served.agent.calls == [("collected", JOB)]


async def test_a_node_that_is_not_there() -> None:
    api = NodeApi("http://localhost:1", JOB, lambda document: bytes(64), SystemClock())
    assert await api.send(KEY, BODY) != ""
    assert await api.result(KEY) is None


def test_where_nodes_are_found() -> None:
    assert reachable("https://node.k8s.prd.nos.ci", KEY) == (
        f"https://{KEY.lower()}.node.k8s.prd.nos.ci",
        f"{KEY.lower()}.node.k8s.prd.nos.ci",
    )
    assert reachable("http://localhost:5001", KEY) == ("http://127.0.0.1:5001", f"{KEY.lower()}.localhost:5001")
    for wrong in ("node.example", "ftp://node.example", "https://"):
        with pytest.raises(UsageError):
            reachable(wrong, KEY)


def test_the_collected_result_takes_the_pinned_ones_place_and_keeps_its_status() -> None:
    pinned = {"phase": "done", "result": {"status": "success", "opStates": [], "errors": []}}
    collected = {"status": "waiting-for-result", "opStates": [{"operationId": "a"}]}
    assert with_collected(pinned, collected) == {
        "phase": "done",
        "result": {"status": "success", "opStates": [{"operationId": "a"}]},
    }
    assert with_collected(pinned, None) == pinned
    assert with_collected(None, collected) is None


def test_what_is_pinned_instead_is_valid_and_says_nothing() -> None:
    document = json.loads(blank_definition())
    validate(document)
    assert document["ops"] == []
