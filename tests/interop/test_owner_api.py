"""The owner's API asked by the network's own packages: @nosana/authorization, @nosana/sdk, fetch and ws in Node.js."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from node.api.owner.app import make_app
from node.api.owner.auth import verify
from node.api.owner.port import ServiceStatus, StateFrame
from node.records import Address
from node.settings_api import ApiSettings
from tests.api.conftest import listening
from tests.api.owner_double import CID, DEFINITION, JOB, OWNER, STRANGER, AgentDouble, line, service, view
from tests.interop.client import Client

pytestmark = pytest.mark.interop


@dataclass(frozen=True)
class Meeting:
    """An owner with the network's packages, and our API."""

    owner: Client
    agent: AgentDouble
    url: str

    async def ask(self, path: str, *, verb: str = "GET", message: str = CID, **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self.owner.call(
            "ask", url=f"{self.url}/job/{JOB}{path}", verb=verb, message=message, **options
        )
        return answer


@pytest_asyncio.fixture
async def meeting(clients: Path) -> AsyncIterator[Meeting]:
    agent = AgentDouble()
    async with Client.start("owner", clients) as owner, listening(make_app(agent, ApiSettings())) as url:
        assert await owner.call("connect", secret=list(bytes(OWNER))) == str(OWNER.pubkey())
        yield Meeting(owner, agent, url)


async def test_both_packages_are_let_in(meeting: Meeting) -> None:
    for by in ("kit", "sdk"):
        for message in (CID, JOB, "Hello Nosana Node!", "NosanaApiAuthentication"):
            for time in (True, False):
                answer = await meeting.ask("/ops", message=message, by=by, time=time)
                assert (answer["status"], json.loads(answer["text"])) == (200, {"hello": "running", "after": "waiting"})
        refused = await meeting.ask("/ops", message="another", by=by)
        assert refused["status"] == 401
    await meeting.owner.call("connect", secret=list(bytes(STRANGER)))
    refused = await meeting.ask("/ops")
    assert (refused["status"], refused["text"]) == (401, "Unauthorized Request")


async def test_a_signed_time_by_the_networks_package(meeting: Meeting) -> None:
    now_ms = 1_800_000_000_000
    text = await meeting.owner.call("generate", message=f"{JOB}:{now_ms}", time=False)
    key = Address(str(OWNER.pubkey()))
    verify(text, key, accepted=(JOB,), job=JOB, expiry=60, now_ms=now_ms + 1)


async def test_a_confidential_job_as_the_networks_command_line_does_it(meeting: Meeting) -> None:
    early = await meeting.ask("/job-definition", verb="POST", body=DEFINITION)
    assert (early["status"], early["text"]) == (400, "cannot send job definition at this time")
    meeting.agent.waits_for_definition = True
    sent = await meeting.ask("/job-definition", verb="POST", body=DEFINITION)
    assert (sent["status"], sent["text"]) == (200, "Job definition received")
    ((_, job, body),) = meeting.agent.calls
    assert (job, json.loads(body)) == (JOB, DEFINITION)
    assert (await meeting.ask("/results"))["status"] == 400
    meeting.agent.waiting_result = b'{"status":"waiting-for-result","opStates":[]}'
    collected = await meeting.ask("/results")
    assert (collected["status"], json.loads(collected["text"])["status"]) == (200, "waiting-for-result")
    assert meeting.agent.calls[-1] == ("collected", JOB)


async def test_endpoints_as_the_networks_command_line_polls_them(meeting: Meeting) -> None:
    # It takes 400, and nothing else, for "not yet".
    assert (await meeting.ask("/endpoints", message="Hello Nosana Node!"))["status"] == 400
    meeting.agent.exposed = (service(ServiceStatus.ONLINE),)
    answer = await meeting.ask("/endpoints", message="Hello Nosana Node!")
    assert json.loads(answer["text"])["urls"]["3Js9"]["url"] == "https://3Js9.node.example"


async def test_the_stream_of_states(meeting: Meeting) -> None:
    meeting.agent.current = view("success", ended=5)
    (info,) = await meeting.owner.call("events", url=f"{meeting.url}/job/{JOB}/info", message=CID, count=1)
    assert (info["status"], info["endTime"]) == ("success", 5)


async def test_logs_and_states_over_a_socket(meeting: Meeting) -> None:
    meeting.agent.kept = [line("spam\n", 1), line("ham\n", 2)]
    meeting.agent.steps = [StateFrame("pulling-image", {"image": "ubuntu"}, 3, 0)]
    url = meeting.url.replace("http", "ws", 1)

    async def frames(path: str, count: int, **body: str) -> list[dict[str, Any]]:
        seen = await meeting.owner.call(
            "frames", url=url, path=path, message=CID, body={"jobAddress": JOB, **body}, count=count
        )
        assert seen["code"] == 1000
        return list(seen["found"])

    written = [each["data"] for each in await frames("/log", 2)]
    assert [each["log"] for each in written] == ["spam\n", "ham\n"]
    assert {each["type"] for each in written} == {"log"}
    assert [each["data"]["message"] for each in await frames("/flog", 2, opId="hello")] == ["spam\n", "ham\n"]
    assert [each["data"]["status"] for each in await frames("/status", 1)] == ["pulling-image"]
    refused = await meeting.owner.call("frames", url=url, path="/flog", message="x", body={"jobAddress": JOB}, count=1)
    assert refused == {"found": [], "code": 3000}
