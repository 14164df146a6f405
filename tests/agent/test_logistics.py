"""Confidential jobs: definitions that are delivered, results that are handed over, and deaths in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from solders.keypair import Keypair

from node.agent.logistics import COLLECT_WITHIN, NOT_COLLECTED, Letterbox, Logistics, endpoints_here
from node.api.owner.auth import verify
from node.errors import JournalError, NotWaiting, TravelFailed
from node.job.result import flow_state
from node.records import Address, Assignment, EndCause, FetchedDefinition, Leg, LegKind, Outcome, Plan, Stage
from node.retry import SystemClock
from tests.agent.doubles import FakeDesk
from tests.agent.test_pipeline import working
from tests.agent.world import World
from tests.api.conftest import listening

LISTEN = Leg(LegKind.LISTEN)
JOB = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")
NODE_KEY = Keypair.from_seed(bytes(range(32)))


class Desk(FakeDesk):
    """Results in the network's form."""

    def result(self, plan: Plan | None, outcome: Outcome) -> bytes:
        return json.dumps(flow_state(outcome, plan, {})).encode()


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.desk = Desk()
    return world


def pinned(send: Any = "api-listen", receive: Any = "api-listen", endpoint: str = "") -> bytes:
    """What is pinned for a confidential job."""
    args = {"endpoint": endpoint} if endpoint else {}
    halves = {"send": send, "receive": receive}
    logistics = {half: {"type": kind, "args": args} for half, kind in halves.items() if kind}
    return json.dumps({"version": "0.1", "type": "container", "logistics": logistics, "ops": []}).encode()


def confidential(world: World, body: bytes, timeout: int = 3600) -> Assignment:
    return world.chain.assign(1, timeout=timeout, definition=world.content.offer(body))


def box(world: World, a: Assignment) -> Letterbox:
    live = world.live.get(a.job.address)
    assert live is not None
    return live.letterbox


def status(world: World, a: Assignment) -> str:
    live = world.live.get(a.job.address)
    return "" if live is None else live.status


async def waits(world: World, a: Assignment, word: str) -> None:
    await world.clock.until(lambda: status(world, a) == word)


async def published(world: World, a: Assignment) -> dict[str, Any]:
    """The result that was pinned."""
    link = await world.journal.receipt(a.run.address)
    assert link is not None
    document: dict[str, Any] = json.loads(await world.content.fetch(link.result_cid, 1 << 20))
    return document


# --- through the owner's API ------------------------------------------------------------------------------------


async def test_definition_and_result_go_by_the_owners_hands(world: World) -> None:
    a = confidential(world, pinned())
    async with working(world, a) as task:
        await waits(world, a, "waiting-for-job-definition")
        with pytest.raises(NotWaiting):
            box(world, a).result()
        await box(world, a).deliver(b"secret-image")
        with pytest.raises(NotWaiting):
            await box(world, a).deliver(b"another")
        await world.clock.until(lambda: bool(world.engine.running))
        kept = world.folder / "definitions" / f"{a.run.address}.json"
        assert kept.read_bytes() == b"secret-image"
        assert kept.stat().st_mode & 0o777 == 0o600
        world.engine.exit(0)
        await waits(world, a, "waiting-for-result")
        full = json.loads(box(world, a).result())
        assert full["status"] == "waiting-for-result"
        assert full["opStates"][0]["status"] == "success"
        box(world, a).collected()
        await world.clock.until(task.done)
        document = await published(world, a)
        assert set(document) == {"status", "startTime", "endTime", "opStates", "errors"}
        assert (document["status"], document["opStates"], document["errors"]) == ("success", [], [])
        assert document["startTime"] == full["startTime"]
        assert not kept.exists()
    assert world.chain.sent == ["finish"]
    for data in world.content.files.values():
        assert b"secret" not in data or data == pinned()
    for database in world.folder.glob("journal.sqlite*"):
        assert b'"body":"c2VjcmV0' not in database.read_bytes()


async def test_a_result_that_nobody_collects(world: World) -> None:
    a = confidential(world, pinned())
    async with working(world, a) as task:
        await waits(world, a, "waiting-for-job-definition")
        await box(world, a).deliver(b"image")
        await world.clock.until(lambda: bool(world.engine.running))
        world.engine.exit(0)
        await waits(world, a, "waiting-for-result")
        await world.clock.advance(COLLECT_WITHIN - 1)
        assert not task.done()
        await world.clock.advance(1)
        await world.clock.until(task.done)
        document = await published(world, a)
        assert (document["status"], document["errors"]) == ("success", [NOT_COLLECTED])
    assert world.chain.sent == ["finish"]


async def test_a_delivered_definition_survives_a_death(world: World) -> None:
    a = confidential(world, pinned())
    async with working(world, a):
        await waits(world, a, "waiting-for-job-definition")
        kept = world.folder / "definitions" / f"{a.run.address}.json"
        deliver = asyncio.create_task(box(world, a).deliver(b"secret-image"))
        await deliver
        assert kept.exists()
        # Killed before the stage's record is written.
        assert (await world.journal.job(a.run.address))[0].stage is Stage.FETCH
    async with working(world, a) as task:
        await world.clock.until(lambda: bool(world.engine.running))  # Nobody sends it again.
        record = await world.journal.stage_record(a.run.address, Stage.FETCH)
        assert isinstance(record, FetchedDefinition)
        assert (record.body, record.source, record.send, record.receive) == (b"", "delivered", LISTEN, LISTEN)
        world.engine.exit(0)
        await waits(world, a, "waiting-for-result")
        box(world, a).collected()
        await world.clock.until(task.done)


async def test_a_collected_result_is_not_waited_for_again_after_a_death(world: World) -> None:
    a = confidential(world, pinned(send=None))
    world.desk.plan = lambda assignment, body, uuids: FakeDesk.plan(world.desk, assignment, b"image", uuids)  # type: ignore[method-assign]
    async with working(world, a) as task:
        await world.clock.until(lambda: bool(world.engine.running))
        world.engine.exit(0)
        await waits(world, a, "waiting-for-result")
    async with working(world, a) as task:  # Killed before it was collected: it is offered again.
        await waits(world, a, "waiting-for-result")
        box(world, a).collected()
        await world.clock.until(lambda: status(world, a) != "waiting-for-result")
        outcome = await world.journal.stage_record(a.run.address, Stage.RUN)
        assert isinstance(outcome, Outcome)
        assert outcome.handover == ""
    async with working(world, a) as task:
        await world.clock.until(task.done, limit=30)
        assert (await published(world, a))["errors"] == []


async def test_time_runs_out_while_the_definition_is_waited_for(world: World) -> None:
    a = confidential(world, pinned(), timeout=600)
    async with working(world, a) as task:
        await waits(world, a, "waiting-for-job-definition")
        await world.clock.advance(600)
        await waits(world, a, "waiting-for-result")
        box(world, a).collected()
        await world.clock.until(task.done)
        document = await published(world, a)
        assert document["status"] == "waiting-for-job-definition"
        assert document["opStates"] == []
    assert world.chain.sent == ["finish"]


async def test_the_poster_ends_the_job_while_the_definition_is_waited_for(world: World) -> None:
    a = confidential(world, pinned(receive=None))
    async with working(world, a) as task:
        await waits(world, a, "waiting-for-job-definition")
        world.chain.end(a)
        await world.clock.until(task.done)
        outcome = await world.journal.stage_record(a.run.address, Stage.FETCH)
        assert isinstance(outcome, Outcome)
        assert outcome.cause is EndCause.STOPPED


async def test_the_host_gives_up_while_the_definition_is_waited_for(world: World) -> None:
    a = confidential(world, pinned())
    async with world.open_journal():
        pipeline = world.pipeline(a)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(pipeline.complete())
            await waits(world, a, "waiting-for-job-definition")
            pipeline.quit("maintenance")
            await world.clock.until(task.done)
    assert world.chain.sent == ["quit"]


@pytest.mark.parametrize(("send", "receive"), [("api-listen", "api"), ("api", "api-listen"), (None, "api-listen")])
async def test_what_needs_an_api_that_nobody_reaches_is_given_back(
    world: World, send: str | None, receive: str
) -> None:
    world.logistics = replace(world.logistics, is_reached=False)
    a = confidential(world, pinned(send, receive, "https://example.org"))
    async with working(world, a) as task:
        await world.clock.until(task.done)
        assert "service.tunnel is off" in (await world.journal.job(a.run.address))[0].refusal
    assert world.chain.sent == ["quit"]


async def test_a_definition_that_cannot_be_kept_was_not_received(world: World) -> None:
    letterbox = Letterbox()

    async def full(_definition: bytes) -> None:
        raise JournalError("the disk is full")

    async with letterbox.expecting(full) as taken:
        with pytest.raises(JournalError):
            await letterbox.deliver(b"image")
        assert not taken.is_set()


# --- through an address of the poster's -------------------------------------------------------------------------


class Poster:
    """A poster's own server."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        """Statuses before it serves."""
        self.asked: list[tuple[str, str, str, bytes]] = []
        self.definition = b'"secret-image"'
        self.stuck = ""
        """A method that is never answered."""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append((request.method, request.path, request.headers["authorization"], body))
        if request.method == self.stuck:
            await asyncio.Event().wait()
        if self.answers:
            return web.Response(status=self.answers.pop(0))
        return web.Response(body=self.definition)


@asynccontextmanager
async def poster_serving() -> AsyncIterator[tuple[Poster, str]]:
    poster = Poster()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", poster.handle)
    async with listening(app) as url:
        yield poster, url


class QuickClock(SystemClock):
    """Waits for nothing, and tells for how long it would have."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def logistics(clock: QuickClock, cluster: str = "localnet") -> Logistics:
    return Logistics(lambda document: bytes(NODE_KEY.sign_message(document)), clock, endpoints_here(cluster))


async def brought(leg: Leg, clock: QuickClock | None = None, cluster: str = "localnet") -> bytes:
    kept: list[bytes] = []

    async def keep(definition: bytes) -> None:
        kept.append(definition)

    await logistics(clock or QuickClock(), cluster).bring_definition(leg, JOB, Letterbox(), keep)
    (definition,) = kept
    return definition


async def test_a_definition_is_fetched_with_the_nodes_word() -> None:
    async with poster_serving() as (poster, url):
        leg = Leg(LegKind.API, f"{url}/jobs/%%global.job%%/%%global.job%%")
        assert await brought(leg) == b'"secret-image"'
    ((method, path, header, _),) = poster.asked
    assert (method, path) == ("GET", f"/jobs/{JOB}/%%global.job%%")
    now_ms = round(SystemClock().time() * 1000)
    verify(header, Address(str(NODE_KEY.pubkey())), accepted=(JOB,), now_ms=now_ms)
    assert abs(int(header.split(":")[2]) - now_ms) < 60_000


async def test_four_attempts_ten_seconds_apart() -> None:
    async with poster_serving() as (poster, url):
        clock = QuickClock()
        poster.answers = [500, 404, 401]
        assert await brought(Leg(LegKind.API, url), clock) == b'"secret-image"'
        assert clock.slept == [10.0] * 3
        poster.answers = [500] * 4
        with pytest.raises(TravelFailed, match="Failed to retrieve job definition from"):
            await brought(Leg(LegKind.API, url))
        assert len(poster.asked) == 8


@pytest.mark.parametrize("definition", [b"no json", b"[" * 100_000, b" " * (1 << 20) + b"1", b""])
async def test_what_is_no_definition_is_not_taken(definition: bytes) -> None:
    async with poster_serving() as (poster, url):
        poster.definition = definition
        with pytest.raises(TravelFailed):
            await brought(Leg(LegKind.API, url))


@pytest.mark.parametrize("endpoint", ["", "no url", "ftp://example.org/", "http://[::1", "file:///etc/passwd"])
async def test_addresses_that_lead_nowhere(endpoint: str) -> None:
    with pytest.raises(TravelFailed):
        await brought(Leg(LegKind.API, endpoint))


async def test_a_poster_cannot_send_this_host_into_its_own_network() -> None:
    async with poster_serving() as (poster, url):
        with pytest.raises(TravelFailed):
            await brought(Leg(LegKind.API, url), cluster="mainnet")
        state = await logistics(QuickClock(), "mainnet").hand_over(Leg(LegKind.API, url), JOB, b"{}", Letterbox())
        assert state.startswith("Failed to post results to")
        assert poster.asked == []


async def test_a_result_is_posted_as_it_is() -> None:
    async with poster_serving() as (poster, url):
        poster.answers = [503]
        clock = QuickClock()
        leg = Leg(LegKind.API, f"{url}/%%global.job%%")
        assert await logistics(clock).hand_over(leg, JOB, b'{"status":"success"}', Letterbox()) == ""
        assert clock.slept == [10.0]
        assert poster.asked[1][:2] == ("POST", f"/{JOB}")
        assert poster.asked[1][3] == b'{"status":"success"}'
        poster.answers = [500] * 4
        trouble = await logistics(clock).hand_over(leg, JOB, b"{}", Letterbox())
        assert trouble == f"Failed to post results to {url}/{JOB}."


async def test_both_ways_by_the_posters_address(world: World) -> None:
    async with poster_serving() as (poster, url):
        a = confidential(world, pinned("api", "api", f"{url}/%%global.job%%"))
        async with working(world, a) as task:
            await world.clock.until(lambda: bool(world.engine.running))
            world.engine.exit(3)
            await world.clock.until(task.done)
            document = await published(world, a)
            assert (document["status"], document["opStates"], document["errors"]) == ("failed", [], [])
    (asked, handed) = poster.asked
    assert (asked[0], handed[0]) == ("GET", "POST")
    full = json.loads(handed[3])
    assert (full["status"], full["opStates"][0]["exitCode"]) == ("failed", 3)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_death_during_a_request_is_followed_by_another(world: World, method: str) -> None:
    """Nobody knows whether it was done; both are harmless twice."""
    async with poster_serving() as (poster, url):
        a = confidential(world, pinned("api", "api", url))
        poster.stuck = method
        async with working(world, a):
            if method == "POST":
                await world.clock.until(lambda: bool(world.engine.running))
                world.engine.exit(0)
            await world.clock.until(lambda: any(each[0] == method for each in poster.asked))
        poster.stuck = ""
        async with working(world, a) as task:
            if method == "GET":
                await world.clock.until(lambda: bool(world.engine.running))
                world.engine.exit(0)
            await world.clock.until(task.done)
            assert (await published(world, a))["errors"] == []
        asked = [each[0] for each in poster.asked]
        assert asked == (["GET", "GET", "POST"] if method == "GET" else ["GET", "POST", "POST"])


async def test_a_definition_that_does_not_come_is_a_logistics_error(world: World) -> None:
    async with poster_serving() as (poster, url):
        poster.answers = [500] * 4
        a = confidential(world, pinned("api", "api-listen", url))
        async with working(world, a) as task:
            await world.clock.until(lambda: status(world, a) == "waiting-for-result", limit=40)
            full = json.loads(box(world, a).result())
            assert full["errors"] == [f"Failed to retrieve job definition from {url}."]
            box(world, a).collected()
            await world.clock.until(task.done)
            document = await published(world, a)
            assert (document["status"], document["endTime"]) == ("logistics-error", None)
            assert document["errors"] == [f"Failed to retrieve job definition from {url}."]
    assert world.chain.sent == ["finish"]
