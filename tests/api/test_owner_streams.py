"""Server-sent events of a job."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from node.api.owner import pace, streams
from node.api.owner.stats import SAMPLES, StatHistory
from tests.api.conftest import PLENTY, Serve, Served
from tests.api.owner_double import JOB, OTHER_JOB, AgentDouble, header, sample, view


async def event(answer: aiohttp.ClientResponse) -> str:
    """The next event or comment of a stream; empty at its end."""
    async with asyncio.timeout(5):
        lines = []
        while (line := await answer.content.readline()) not in (b"\n", b""):
            lines.append(line.decode().rstrip("\n"))
        return "\n".join(lines)


async def document(answer: aiohttp.ClientResponse) -> Any:
    return json.loads((await event(answer)).removeprefix("data: "))


async def test_info_is_sent_at_once_and_at_each_change_until_the_end(served: Served) -> None:
    async with served.client.get(f"/job/{JOB}/info", headers=header()) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert answer.headers["access-control-allow-origin"] == "*"
        first = await document(answer)
        assert first["status"] == "running"
        assert first["errors"] == []
        assert "logs" not in first["opStates"][0]
        assert first["operations"] == {
            "all": {"hello": "running", "after": "waiting"},
            "currentGroup": "one",
            "currentGroupStatus": {"hello": "running"},
        }
        served.agent.change(view("running"))  # Nothing has changed, so nothing is sent.
        await asyncio.sleep(0.05)
        served.agent.change(view("running", group=None))
        between = await document(answer)
        assert between["operations"] == {"all": {"hello": "running", "after": "waiting"}, "currentGroupStatus": None}
        served.agent.change(view("success", ended=1_700_000_100_000))
        assert (await document(answer))["endTime"] == 1_700_000_100_000
        assert await event(answer) == ""
    assert served.agent.calls == []


async def test_silence_is_filled_with_comments(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.05)
    async with served.client.get(f"/job/{JOB}/info", headers=header()) as answer:
        await document(answer)
        assert await event(answer) == ": keep-alive"
        assert await event(answer) == ": keep-alive"
        served.agent.change(view("success", ended=1))
        while (last := await event(answer)).startswith(":"):
            pass
        assert json.loads(last.removeprefix("data: "))["status"] == "success"


async def test_a_job_of_which_nothing_is_known_any_more(served: Served) -> None:
    served.agent.current = None
    async with served.client.get(f"/job/{JOB}/info", headers=header()) as answer:
        assert (answer.status, await answer.text()) == (404, "Failed to find job for provided job id.")


async def test_stats_stream_ends_with_the_job(served: Served) -> None:
    served.agent.samples = (sample("hello", 1000),)
    async with served.client.get(f"/job/{JOB}/stats/stream?interval=1", headers=header()) as answer:
        (first,) = await document(answer)
        assert first == {
            "opId": "hello",
            "timestamp": 1000,
            "cpu": {"cpu_percent": 12.5},
            "memory": {"memory_usage": 256, "memory_limit": 1024, "memory_percent": 25.0},
            "disk": {"read": 1, "write": 2},
            "network": {"received": 3, "sent": 4},
        }
        served.agent.runs = False
        assert await event(answer) == ""
    async with served.client.get(f"/job/{JOB}/stats/stream", headers=header()) as answer:
        assert (answer.status, await answer.text()) == (404, "Invalid job address")


async def test_a_job_has_so_many_streams_and_others_have_theirs(serve: Serve) -> None:
    served = await serve(PLENTY.model_copy(update={"streams": 2}))
    url = f"/job/{JOB}/info"
    async with (
        served.client.get(url, headers=header()) as one,
        served.client.get(url, headers=header()) as two,
        served.client.get(url, headers=header()) as three,
        served.client.get(f"/job/{OTHER_JOB}/info", headers=header(OTHER_JOB)) as other,
    ):
        assert [answer.status for answer in (one, two, three, other)] == [200, 200, 429, 200]
        served.agent.change(view("success", ended=1))
        assert "success" in await one.text()
        assert "success" in await two.text()
    async with served.client.get(url, headers=header()) as again:
        assert again.status == 200


async def test_who_does_not_read_is_cut_off(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace.sent, "__defaults__", (0.2,))
    reader, writer = await asyncio.open_connection(*served.url.removeprefix("http://").split(":"), limit=1024)
    request = f"GET /job/{JOB}/info HTTP/1.1\r\nhost: x\r\nauthorization: {header()['authorization']}\r\n\r\n"
    writer.write(request.encode())
    await reader.readuntil(b"\r\n\r\n")
    # More than the buffers between two ends of one machine hold, and nobody reads it.
    huge = view("running")
    huge.state["errors"].append("x" * 20_000_000)  # type: ignore[attr-defined]
    served.agent.change(huge)
    await asyncio.sleep(1.0)
    async with asyncio.timeout(10):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(20_000_000)
    writer.close()


def test_samples_are_thinned_out_and_never_too_many() -> None:
    history = StatHistory(AgentDouble())
    for second in range(0, 5 * SAMPLES * 10, 5):
        history.add(JOB, (sample("hello", second * 1000), sample("after", second * 1000)))
    found = history.between(JOB, None, None, 1)
    assert SAMPLES <= len(found) <= 2 * SAMPLES
    times = [each.timestamp_ms for each in found]
    assert times == sorted(times)
    assert times[0] == 0
    assert times[-1] >= 5 * SAMPLES * 9_000
    assert history.between(OTHER_JOB, None, None, 1) == []


def test_samples_of_a_span_and_no_closer_than_asked() -> None:
    history = StatHistory(AgentDouble())
    for second in range(0, 100, 5):
        history.add(JOB, (sample("hello", second * 1000 + 3),))
    assert [each.timestamp_ms for each in history.between(JOB, 20_000, 40_500, 10)] == [20_003, 30_003, 40_003]
    assert len(history.between(JOB, None, None, 5)) == 20
    assert len(history.between(JOB, None, None, 1800)) == 1


async def test_samples_are_taken_of_what_runs() -> None:
    agent = AgentDouble()
    agent.samples = (sample("hello", 5000),)
    turns = asyncio.Semaphore(2)
    enough = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        if turns.locked():
            enough.set()
            await asyncio.Event().wait()
        await turns.acquire()

    history = StatHistory(agent, sleep=sleep)
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(history.keep())
        await enough.wait()
        keeping.cancel()
    assert [each.timestamp_ms for each in history.between(JOB, None, None, 1)] == [5000]
