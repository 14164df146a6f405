"""A job of several operations through the run stage: deaths in between, its owner's words, and who looks on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from node.agent.edges_services import OpenServices
from node.agent.host import DiskSpeed, HostFacts
from node.agent.owner_port import AgentOwnerPort, NodeFacts
from node.api.owner.port import JobView, LogFrame, LogKind, ServiceStatus
from node.container.engine import ContainerStats
from node.container.log import LogEntry
from node.errors import LiteralUnresolved, OwnerRefused, ResourceFailed, ServiceError
from node.job.store import Store
from node.logins import Credentials, DockerLogin, ResourceLogin
from node.plan_records import FolderMount, Resource, ResourceKind, Service
from node.records import (
    Address,
    Assignment,
    EndCause,
    FetchedDefinition,
    OperationState,
    OperationStatus,
    Outcome,
    Plan,
    PlannedOperation,
    SettleKind,
    Stage,
)
from tests.agent.doubles import FakeDesk
from tests.agent.doubles import plan as plan_of_one
from tests.agent.test_pipeline import job, working
from tests.agent.world import World


class Desk(FakeDesk):
    """Plans the operations it was given."""

    def __init__(self, *operations: PlannedOperation) -> None:
        super().__init__()
        self.operations = operations
        self.stores: list[dict[str, Any]] = []
        self.unresolved = ""

    def plan(self, assignment: Assignment, body: bytes, gpu_uuids: tuple[str, ...]) -> Plan:
        one = plan_of_one(assignment, body.decode())
        spec = one.operations[0].spec
        made = tuple(
            each
            if each.volume
            else replace(each, container=replace(spec, name=f"{assignment.job.address}-{each.index}"))
            for each in self.operations
        )
        return replace(one, operations=made)

    def complete(self, operation: PlannedOperation, body: bytes, store: Store) -> PlannedOperation:
        assert body == b"image"
        self.stores.append(store.to_json())
        if self.unresolved:
            raise LiteralUnresolved(self.unresolved)
        return replace(operation, pending=())

    def credentials(self, index: int, body: bytes, store: Store) -> Credentials:
        return Credentials(docker=DockerLogin("name", "word"), resources=(ResourceLogin("key", "secret"),))

    def result(self, plan: Plan | None, outcome: Outcome) -> bytes:
        states = [[each.id, each.status.value, each.exit_code, each.note] for each in outcome.operations]
        return json.dumps({"cause": outcome.cause, "states": states}).encode()


def operation(index: int, name: str, group: str, **more: Any) -> PlannedOperation:
    return PlannedOperation(index, name, group, None, **more)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def port(world: World) -> AgentOwnerPort:
    async def measure(container: str) -> ContainerStats | None:
        return ContainerStats(50.0, 10, 100, 1, 2, 3, 4)

    facts = HostFacts("x86_64", 0, 4, 1 << 33, 1 << 40, DiskSpeed(1, False, 0.0), "6.1")
    return AgentOwnerPort(
        lanes={},
        journal=world.journal,
        live=world.live,
        definitions=world.services().definitions,
        facts=NodeFacts("1", 0.0, "NL", facts),
        measure=measure,
        clock=world.clock,
    )


def names(world: World) -> list[str]:
    return [name.rpartition("-")[2] for name in world.engine.running]


async def outcome(world: World, a: Assignment) -> Outcome:
    record = await world.journal.stage_record(a.run.address, Stage.RUN)
    assert isinstance(record, Outcome)
    return record


async def exit_of(world: World, a: Assignment, index: int, code: int = 0) -> None:
    name = f"{a.job.address}-{index}"
    await world.clock.until(lambda: name in world.engine.running)
    world.engine.exit(code, name)


async def test_groups_dependencies_and_a_volume(world: World) -> None:
    world.desk = Desk(
        operation(0, "vol", "vol", volume="v"),
        operation(1, "a", "g"),
        operation(2, "b", "g", depends_on=("a",)),
        operation(3, "c", "h"),
    )
    a = job(world)
    async with working(world, a) as task:
        await world.clock.until(lambda: len(world.engine.running) == 2)
        assert world.engine.volumes == ["v"]
        assert names(world) == ["1", "2"]
        await exit_of(world, a, 1)
        await exit_of(world, a, 2)
        await exit_of(world, a, 3)
        await world.clock.until(task.done)
        assert [state.status for state in (await outcome(world, a)).operations] == [OperationStatus.SUCCESS] * 4
        assert task.result().kind is SettleKind.FINISH
    assert world.engine.cleaned == [a.job.address]
    assert not list((world.folder / "definitions").iterdir())


async def test_the_journal_holds_no_definition(world: World) -> None:
    a = job(world)
    async with working(world, a):
        await world.clock.until(lambda: bool(world.engine.running))
        (kept,) = (world.folder / "definitions").iterdir()
        assert kept.read_bytes() == b"image"
        assert kept.stat().st_mode & 0o777 == 0o600
    async with working(world, a) as task:
        await exit_of(world, a, 0)
        await world.clock.until(task.done)
    assert b"aW1hZ2U" not in (world.folder / "journal.sqlite").read_bytes()  # its base64


async def test_a_death_in_each_group_loses_nothing(world: World) -> None:
    world.desk = Desk(
        operation(0, "a", "g"),
        operation(1, "b", "g", depends_on=("a",)),
        operation(2, "c", "h"),
        operation(3, "d", "i"),
    )
    a = job(world)
    async with working(world, a):
        await world.clock.until(lambda: len(world.engine.running) == 2)
    async with working(world, a):
        await exit_of(world, a, 0)
        await exit_of(world, a, 1)
        await world.clock.until(lambda: names(world) == ["2"])
    world.engine.exit(0)
    async with working(world, a) as task:
        await exit_of(world, a, 3)
        await world.clock.until(task.done)
    assert [name.rpartition("-")[2] for name in world.engine.started] == ["0", "1", "2", "3"]
    assert world.chain.sent == ["finish"]


async def test_what_came_up_and_ended_while_the_agent_was_down_was_ready(world: World) -> None:
    world.desk = Desk(operation(0, "a", "g"), operation(1, "b", "g", depends_on=("a",)))
    a = job(world)
    async with working(world, a):
        await world.clock.until(lambda: len(world.engine.running) == 2)
    async with world.open_journal() as journal:
        # As if it had died between the start of the one and the word of it: nothing is known of the other.
        states = await journal.operations(a.run.address)
        await journal.save_operation(a.run.address, replace(states[0], ready=False))
        await journal.save_operation(a.run.address, OperationState(1, "b", "g", OperationStatus.INIT))
    world.engine.exit(0, f"{a.job.address}-0")
    world.engine.running.clear()
    async with working(world, a) as task:
        await exit_of(world, a, 1)
        await world.clock.until(task.done)
        assert {each.status for each in (await outcome(world, a)).operations} == {OperationStatus.SUCCESS}


async def test_later_operations_start_with_earlier_ones_results(world: World) -> None:
    world.desk = desk = Desk(
        operation(0, "a", "g", results=(("number", "[0-9]+"),)),
        operation(1, "b", "h", pending=("%%ops.a.results.number%%",)),
    )
    a = job(world)
    async with working(world, a) as task:
        await world.clock.until(lambda: names(world) == ["0"])
        log = world.folder / "logs" / f"{a.job.address}-0.jsonl"
        log.parent.mkdir()
        log.write_bytes(LogEntry("stdout", "it is 42\n", "2026-01-01T00:00:00.000000001Z").line())
        await exit_of(world, a, 0)
        await exit_of(world, a, 1)
        await world.clock.until(task.done)
    assert [store["globalOpStore"] for store in desk.stores] == [{"a": {"results": {"number": ["42"]}}}]


async def test_a_literal_that_stands_for_nothing_fails_its_operation(world: World) -> None:
    world.desk = desk = Desk(operation(0, "a", "g", pending=("%%ops.x.y%%",)), operation(1, "b", "h"))
    desk.unresolved = 'Unresolved literal: "%%ops.x.y%%"'
    a = job(world)
    async with working(world, a) as task:
        await world.clock.until(task.done)
        first, second = (await outcome(world, a)).operations
    assert (first.status, first.exit_code, first.note) == (OperationStatus.FAILED, 0, desk.unresolved)
    assert second.status is OperationStatus.STOPPED
    assert world.engine.starts == 0


async def test_logins_come_from_the_definition(world: World) -> None:
    world.desk = Desk(operation(0, "a", "g", has_login=True), operation(1, "b", "h"))
    a = job(world)
    async with working(world, a) as task:
        await exit_of(world, a, 0)
        await exit_of(world, a, 1)
        await world.clock.until(task.done)
    assert world.operations.logins == {
        f"{a.job.address}-0": DockerLogin("name", "word"),
        f"{a.job.address}-1": None,
    }


# --- remote data --------------------------------------------------------------------------------------------


class Fetching:
    """Remote data that come when a test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.answer: asyncio.Future[tuple[FolderMount, ...]] | None = None
        self.cancelled = 0
        self.released: list[str] = []
        self.logins: tuple[ResourceLogin | None, ...] = ()

    async def prepare(
        self,
        run: str,
        job: Address,
        operation: int,
        resources: tuple[Resource, ...],
        logins: tuple[ResourceLogin | None, ...],
        on_progress: Any,
    ) -> tuple[FolderMount, ...]:
        self.logins = logins
        self.answer = asyncio.get_running_loop().create_future()
        self.begun.set()
        try:
            return await self.answer
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def release(self, run: str) -> None:
        self.released.append(run)


RESOURCE = Resource(ResourceKind.HF, "/data", repo="o/n")


async def fetching(world: World) -> Fetching:
    desk = Fetching()
    world.resource_desk = desk
    world.desk = Desk(operation(0, "a", "g", resources=(RESOURCE,)))
    return desk


async def test_remote_data_are_there_before_the_container(world: World) -> None:
    desk = await fetching(world)
    a = job(world)
    async with working(world, a) as task:
        await world.clock.until(desk.begun.is_set)
        (state,) = await world.journal.operations(a.run.address)
        assert (state.status, state.starts) == (OperationStatus.RUNNING, 0)
        assert desk.answer is not None
        desk.answer.set_result((FolderMount("/cache/x", "/data"),))
        await exit_of(world, a, 0)
        await world.clock.until(task.done)
    assert desk.logins == (ResourceLogin("key", "secret"),)
    assert desk.released == [a.run.address]


async def test_a_death_while_data_are_fetched(world: World) -> None:
    desk = await fetching(world)
    a = job(world)
    async with working(world, a):
        await world.clock.until(desk.begun.is_set)
    desk.begun.clear()
    async with working(world, a) as task:
        await world.clock.until(desk.begun.is_set)
        assert desk.answer is not None
        desk.answer.set_result((FolderMount("/cache/x", "/data"),))
        await exit_of(world, a, 0)
        await world.clock.until(task.done)
    assert world.engine.starts == 1
    assert world.chain.sent == ["finish"]


async def test_remote_data_that_cannot_be_had_fail_the_operation(world: World) -> None:
    desk = await fetching(world)
    a = job(world)
    async with working(world, a) as task:
        await world.clock.until(desk.begun.is_set)
        assert desk.answer is not None
        desk.answer.set_exception(ResourceFailed("there is no such repository"))
        await world.clock.until(task.done)
        (state,) = (await outcome(world, a)).operations
    assert (state.status, state.exit_code) == (OperationStatus.FAILED, 2)
    assert [(error.event, error.message) for error in state.errors] == [
        ("operation-error", "there is no such repository")
    ]
    assert world.engine.starts == 0


async def test_the_poster_ends_a_job_that_fetches(world: World) -> None:
    desk = await fetching(world)
    a = job(world)
    async with working(world, a) as task:
        await world.clock.until(desk.begun.is_set)
        world.chain.end(a)
        await world.clock.until(task.done)
        (state,) = (await outcome(world, a)).operations
    assert (state.status, state.exit_code) == (OperationStatus.STOPPED, 2)
    assert desk.cancelled == 1


# --- services -----------------------------------------------------------------------------------------------


@dataclass
class Look:
    op_id: str
    port: str
    url: str
    status: str
    private: bool = False


class Serving:
    """Services that are ready and ill when a test says so."""

    domain = "test"

    def __init__(self) -> None:
        self.well = asyncio.Event()
        self.ill: asyncio.Queue[str] = asyncio.Queue()
        self.addresses: list[str] = []
        self.status = "OFFLINE"
        self.broken = False

    @asynccontextmanager
    async def open(self, job: Address, operation: PlannedOperation) -> AsyncIterator[OpenServices]:
        yield _Serving(self, operation)


class _Serving:
    def __init__(self, desk: Serving, operation: PlannedOperation) -> None:
        self.desk = desk
        self.operation = operation

    def started(self, address: str) -> None:
        if self.desk.broken:
            raise ServiceError("no container has this address")
        self.desk.addresses.append(address)

    def stopped(self) -> None:
        self.desk.status = "OFFLINE"

    async def ready(self) -> None:
        if self.operation.services:
            await self.desk.well.wait()

    async def unhealthy(self) -> str:
        return await self.desk.ill.get()

    def states(self) -> Mapping[str, Look]:
        return {
            each.id: Look(self.operation.id, each.port, f"http://{each.id}.test", self.desk.status)
            for each in self.operation.services
        }


def serving(world: World) -> Serving:
    desk = Serving()
    world.service_desk = desk
    world.desk = Desk(
        operation(0, "web", "g", services=(Service("abc", "80"),)), operation(1, "ask", "g", depends_on=("web",))
    )
    return desk


async def test_dependents_wait_for_health_and_illness_restarts(world: World) -> None:
    desk = serving(world)
    a = job(world)
    async with working(world, a) as task:
        await world.clock.until(lambda: bool(desk.addresses))
        await world.clock.advance(100)
        assert names(world) == ["0"]
        (service,) = await port(world).services(a.job.address)
        assert (service.operation, service.url, service.status) == ("web", "http://abc.test", ServiceStatus.OFFLINE)
        desk.well.set()
        await world.clock.until(lambda: names(world) == ["0", "1"])
        desk.ill.put_nowait("it answered 500")
        await world.clock.until(lambda: len(desk.addresses) == 2)
        assert [name.rpartition("-")[2] for name in world.engine.started] == ["0", "1", "0"]
        await exit_of(world, a, 0)
        await exit_of(world, a, 1)
        await world.clock.until(task.done)
        assert await port(world).services(a.job.address) == ()


async def test_a_service_that_cannot_be_offered_fails_its_operation(world: World) -> None:
    desk = serving(world)
    desk.broken = True
    a = job(world)
    async with working(world, a) as task:
        await world.clock.until(task.done)
        web, ask = (await outcome(world, a)).operations
    assert (web.status, web.errors[0].message) == (OperationStatus.FAILED, "no container has this address")
    assert ask.status is OperationStatus.INIT
    assert world.engine.cleaned == [a.job.address]


async def test_readiness_is_looked_at_again_after_a_death(world: World) -> None:
    desk = serving(world)
    a = job(world)
    async with working(world, a):
        await world.clock.until(lambda: names(world) == ["0"])
    desk.well.set()
    async with working(world, a) as task:
        await world.clock.until(lambda: names(world) == ["0", "1"])
        await exit_of(world, a, 0)
        await exit_of(world, a, 1)
        await world.clock.until(task.done)
    assert world.engine.starts == 2


# --- its owner ----------------------------------------------------------------------------------------------


async def test_its_owner_stops_and_restarts(world: World) -> None:
    world.desk = Desk(operation(0, "a", "g"), operation(1, "b", "g"), operation(2, "c", "h"))
    a = job(world)
    address = a.job.address
    async with working(world, a) as task:
        await world.clock.until(lambda: names(world) == ["0", "1"])
        owner = port(world)
        for group, name, word in (("x", "a", "GROUP_NOT_FOUND"), ("h", "c", "GROUP_NOT_ACTIVE")):
            with pytest.raises(OwnerRefused, match=word):
                await owner.restart_operation(address, group, name)
        await owner.restart_operation(address, "g", "a")
        await world.clock.until(lambda: world.engine.starts == 3)
        await owner.stop_operation(address, "g", "b")
        await world.clock.until(lambda: names(world) == ["0"])
        await owner.restart_operation(address, "g", "b")
        await world.clock.until(lambda: names(world) == ["0", "1"])
        await owner.stop_group(address, "g")
        await world.clock.until(lambda: names(world) == ["2"])
        await owner.stop(address)
        await world.clock.until(task.done)
        states = (await outcome(world, a)).operations
    assert [state.status.value for state in states] == ["stopped", "stopped", "success"]
    assert world.chain.sent == ["finish"]


async def test_its_owners_word_to_end_survives_a_death(world: World) -> None:
    world.desk = Desk(operation(0, "a", "g"), operation(1, "b", "h"))
    a = job(world)
    async with working(world, a):
        await world.clock.until(lambda: names(world) == ["0"])
        live = world.live.get(a.job.address)
        assert live is not None
        live.expire = lambda: None
        await port(world).stop(a.job.address)
        assert names(world) == ["0"]
    async with working(world, a) as task:
        await world.clock.until(task.done)
        states = (await outcome(world, a)).operations
        assert (await outcome(world, a)).cause is EndCause.EXPIRED
    assert [state.status.value for state in states] == ["success", "success"]
    assert world.engine.starts == 1


async def test_a_definition_in_an_older_journal_is_read_there(world: World) -> None:
    a = job(world)
    async with world.open_journal() as journal:
        await journal.begin_job(a)
        fetched = FetchedDefinition(a.job.definition_cid, b"older", "source")
        await journal.finish_stage(a.run.address, Stage.FETCH, fetched, Stage.ADMIT)
    async with working(world, a) as task:
        await exit_of(world, a, 0)
        await world.clock.until(task.done)
        plan = await world.journal.stage_record(a.run.address, Stage.ADMIT)
        assert isinstance(plan, Plan)
        assert plan.operations[0].spec.image == "older"


async def test_a_definition_that_was_lost_is_fetched_anew(world: World) -> None:
    world.desk = Desk(operation(0, "a", "g"), operation(1, "b", "h", has_login=True))
    a = job(world)
    async with working(world, a):
        await world.clock.until(lambda: names(world) == ["0"])
    for path in (world.folder / "definitions").iterdir():
        path.unlink()
    async with working(world, a) as task:
        await exit_of(world, a, 0)
        await exit_of(world, a, 1)
        await world.clock.until(task.done)
    assert world.operations.logins[f"{a.job.address}-1"] == DockerLogin("name", "word")


async def test_who_looks_on_sees_each_change(world: World) -> None:
    world.desk = Desk(operation(0, "a", "g"), operation(1, "b", "g", depends_on=("a",)))
    a = job(world)
    views: list[JobView] = []
    async with working(world, a) as task:
        await world.clock.until(lambda: world.live.get(a.job.address) is not None)

        async def watch() -> None:
            async with port(world).watch(a.job.address) as changes:
                async for view in changes:
                    views.append(view)

        watching = asyncio.ensure_future(watch())
        await exit_of(world, a, 0)
        await exit_of(world, a, 1, code=3)
        await world.clock.until(task.done)
        await world.clock.until(watching.done)
        last = await port(world).view(a.job.address)
        assert last is not None
        assert (last.state["status"], last.state["endTime"] is not None) == ("failed", True)
    running = [view for view in views if view.current_group == "g"]
    assert running
    assert running[0].state["status"] == "running"
    assert "logs" not in running[0].state["opStates"][0]
    seen = [tuple(each.status.value for each in view.operations or ()) for view in running]
    assert seen[-1] in (("finished", "running"), ("finished", "finished"))
    assert views[-1].state["endTime"] is not None


async def test_a_log_is_followed_from_its_beginning(world: World) -> None:
    world.desk = Desk(operation(0, "a", "g"))
    a = job(world)
    frames: list[LogFrame | None] = []
    async with working(world, a) as task:
        await world.clock.until(lambda: names(world) == ["0"])
        log = world.folder / "logs" / f"{a.job.address}-0.jsonl"
        log.parent.mkdir()
        early = [LogEntry("stdout", f"line {i}\n", f"2026-01-01T00:00:00.{i:09d}Z").line() for i in range(5000)]
        log.write_bytes(b"".join(early))

        async def follow() -> None:
            async with port(world).follow(a.job.address) as lines:
                async for line in lines:
                    frames.append(line)

        following = asyncio.ensure_future(follow())
        await world.clock.until(lambda: None in frames)
        with log.open("ab") as file:
            file.write(LogEntry("stderr", "late\n", "2026-01-01T00:00:09.000000000Z").line()[:20])
            file.flush()
            await world.clock.advance(1)
            file.write(LogEntry("stderr", "late\n", "2026-01-01T00:00:09.000000000Z").line()[20:])
        await world.clock.advance(1)
        await exit_of(world, a, 0)
        await world.clock.until(task.done, limit=5)
        await world.clock.until(following.done, limit=5)
        assert following.exception() is None
    place = frames.index(None)
    history = [frame.message for frame in frames[:place] if frame is not None and frame.stream]
    assert history == [f"line {i}\n" for i in range(5000)]
    live = [frame for frame in frames[place + 1 :] if frame is not None]
    assert [(frame.message, frame.stream) for frame in live if frame.stream] == [("late\n", "stderr")]
    assert any(frame.kind is LogKind.INFO and "Operation Completed: a" in str(frame.message) for frame in live)
    times = [frame.timestamp_ms for frame in frames if frame is not None]
    assert times == sorted(times)


async def test_use_is_measured_of_what_runs(world: World) -> None:
    world.desk = Desk(operation(0, "a", "g"), operation(1, "b", "h"))
    a = job(world)
    async with working(world, a):
        await world.clock.until(lambda: names(world) == ["0"])
        (sample,) = await port(world).stats(a.job.address)
        assert (sample.operation, sample.cpu_percent, sample.disk_write) == ("a", 50.0, 2)
        assert await port(world).definition(a.job.address) == b"image"
        owned = await port(world).owned(a.job.address)
        assert owned is not None
        assert (owned.owner, owned.timeout) == (a.job.project, 3600)
        assert await port(world).owned(Address("other")) is None
