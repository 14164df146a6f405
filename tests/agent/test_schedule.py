"""The order of a job's operations: groups, dependencies, failures, ends, restarts and adoption."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.agent.schedule import Schedule, in_order, turns_of
from node.agent.step import Step
from node.api.owner.port import Progress
from node.container.stop import StopSignal
from node.errors import OwnerRefused
from node.records import EndCause, OperationState, OperationStatus, PlannedOperation
from tests.agent.clock import FakeClock


def operation(index: int, group: str, *needs: str, stops: bool = False) -> PlannedOperation:
    return PlannedOperation(index, f"op{index}", group, None, depends_on=needs, stop_with_dependencies=stops)


class Stage:
    """A schedule whose operations do what a test tells them."""

    def __init__(self, *operations: PlannedOperation, known: dict[int, OperationState] | None = None) -> None:
        self.clock = FakeClock()
        self.stop = StopSignal()
        self.saved: list[OperationState] = []
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Future[OperationStatus]] = {}
        needed = {name for each in operations for name in each.depends_on}
        self.steps = tuple(
            Step(each, (known or {}).get(each.index), self._save, self._changed, has_dependents=each.id in needed)
            for each in operations
        )
        self.schedule = Schedule(self.steps, self.perform, self.stop, self.clock)

    async def _save(self, state: OperationState) -> None:
        await asyncio.sleep(0)
        self.saved.append(state)

    def _changed(self, step: Step) -> None:
        self.schedule.wake()

    async def perform(self, step: Step) -> None:
        self.begun.append(step.id)
        end = self.ends[step.id] = asyncio.get_running_loop().create_future()
        if not step.has_begun:
            await step.change(status=OperationStatus.RUNNING, started_ms=self._now(), starts=1)
        words = [asyncio.ensure_future(self.stop.wait()), asyncio.ensure_future(step.controls.signal.wait())]
        await asyncio.wait((end, *words), return_when=asyncio.FIRST_COMPLETED)
        for word in words:
            word.cancel()
        status = end.result() if end.done() else OperationStatus.STOPPED
        cause = None if end.done() else self.stop.cause
        stopped = not end.done() and cause is None
        state = replace(step.state, status=status, ended_ms=self._now(), exit_code=0, stopped=stopped, cause=cause)
        await step.take(state)

    async def ready(self, name: str) -> None:
        await self.step(name).make_ready()
        await self.settle()

    async def end(self, name: str, status: OperationStatus = OperationStatus.SUCCESS) -> None:
        self.ends[name].set_result(status)
        await self.settle()

    async def fail(self, name: str) -> None:
        await self.end(name, OperationStatus.FAILED)

    async def settle(self) -> None:
        for _ in range(60):
            await asyncio.sleep(0)

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.id == name)

    @property
    def running(self) -> set[str]:
        return {step.id for step in self.steps if step.has_begun and not step.is_over}

    def statuses(self) -> dict[str, str]:
        return {step.id: step.state.status.value for step in self.steps}

    def _now(self) -> int:
        return round(self.clock.time() * 1000)


class Running:
    """The schedule at work; leaving cancels it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def __aenter__(self) -> asyncio.Task[None]:
        self.task = asyncio.ensure_future(self.stage.schedule.complete())
        await self.stage.settle()
        return self.task

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


async def test_groups_run_one_after_the_other_and_their_operations_side_by_side() -> None:
    stage = Stage(operation(0, "a"), operation(1, "b"), operation(2, "a"))
    async with Running(stage) as task:
        assert stage.running == {"op0", "op2"}
        assert stage.schedule.current_group == "a"
        await stage.end("op0")
        assert stage.running == {"op2"}
        await stage.end("op2")
        assert stage.running == {"op1"}
        await stage.end("op1")
        assert task.done()
        assert stage.schedule.current_group is None
    assert set(stage.statuses().values()) == {"success"}


async def test_a_dependent_waits_until_all_it_needs_are_ready() -> None:
    stage = Stage(operation(0, "a"), operation(1, "a"), operation(2, "a", "op0", "op1"))
    async with Running(stage):
        assert stage.step("op2").progress is Progress.WAITING
        await stage.ready("op0")
        assert stage.running == {"op0", "op1"}
        await stage.ready("op1")
        assert stage.running == {"op0", "op1", "op2"}
        await stage.ready("op0")
        assert stage.begun.count("op2") == 1


async def test_what_was_ready_and_has_ended_still_starts_its_dependents() -> None:
    stage = Stage(operation(0, "a"), operation(1, "a"), operation(2, "a", "op0", "op1"))
    async with Running(stage) as task:
        await stage.ready("op0")
        await stage.end("op0")
        await stage.ready("op1")
        assert stage.running == {"op1", "op2"}
        await stage.end("op1")
        await stage.end("op2")
        assert task.done()


async def test_a_dependent_of_what_ended_unready_never_starts() -> None:
    stage = Stage(operation(0, "a"), operation(1, "a", "op0"), operation(2, "a", "op1"), operation(3, "b"))
    async with Running(stage) as task:
        await stage.end("op0")
        assert stage.running == {"op3"}
        await stage.end("op3")
        assert task.done()
    state = stage.step("op1").state
    assert (state.status, state.exit_code, state.started_ms, state.ended_ms) == (OperationStatus.INIT, None, None, None)
    assert stage.statuses()["op2"] == "init"


async def test_a_failure_ends_its_group_and_later_groups_do_not_run() -> None:
    stage = Stage(
        operation(0, "a"), operation(1, "a"), operation(2, "a", "op0"), operation(3, "a", "op1"), operation(4, "b")
    )
    async with Running(stage) as task:
        await stage.fail("op0")
        assert task.done()
    assert stage.statuses() == {"op0": "failed", "op1": "stopped", "op2": "init", "op3": "stopped", "op4": "stopped"}
    assert stage.begun == ["op0", "op1"]
    assert "op0" in stage.step("op1").state.stopping
    late = stage.step("op4").state
    assert late.started_ms == late.ended_ms is not None
    assert late.exit_code == 0


@pytest.mark.parametrize(
    ("cause", "status"), [(EndCause.EXPIRED, "success"), (EndCause.STOPPED, "stopped"), (EndCause.HOST, "failed")]
)
async def test_the_end_of_the_job_ends_everything(cause: EndCause, status: str) -> None:
    stage = Stage(operation(0, "a"), operation(1, "a", "op0"), operation(2, "b"))
    async with Running(stage) as task:
        stage.stop.request(cause)
        await stage.settle()
        assert task.done()
    assert stage.begun == ["op0"]
    waiting, late = stage.step("op1").state, stage.step("op2").state
    assert (waiting.status.value, waiting.started_ms, waiting.exit_code) == (status, None, 0)
    assert (late.status.value, late.exit_code) == (status, 0)
    assert late.started_ms == late.ended_ms is not None
    assert waiting.cause is late.cause is cause


async def test_dependents_that_stop_with_what_they_depend_on() -> None:
    stage = Stage(operation(0, "a"), operation(1, "a", "op0", stops=True), operation(2, "a", "op0"))
    async with Running(stage) as task:
        await stage.ready("op0")
        await stage.end("op0")
        assert stage.running == {"op2"}
        assert stage.statuses()["op1"] == "stopped"
        await stage.end("op2")
        assert task.done()


async def test_a_dependent_may_be_in_a_group_before_that_of_what_it_depends_on() -> None:
    # As the network takes operations without a group: each is its own, and the dependent runs once.
    stage = Stage(operation(0, "op0", "op1"), operation(1, "op1"))
    async with Running(stage) as task:
        assert stage.running == {"op1"}
        await stage.ready("op1")
        assert stage.running == {"op0", "op1"}
        await stage.end("op0")
        await stage.end("op1")
        assert task.done()
    assert stage.begun == ["op1", "op0"]


async def test_its_owner_ends_one_operation() -> None:
    stage = Stage(operation(0, "a"), operation(1, "a"), operation(2, "b"))
    async with Running(stage):
        stage.step("op0").end_alone("Operation stopped by its owner")
        await stage.settle()
        assert stage.statuses()["op0"] == "stopped"
        assert stage.running == {"op1"}
        stage.step("op2").end_alone("Operation stopped by its owner")
        await stage.end("op1")
        assert stage.statuses()["op2"] == "stopped"
        assert stage.begun == ["op0", "op1"]


async def test_its_owner_has_an_ended_operation_run_anew() -> None:
    stage = Stage(operation(0, "a"), operation(1, "a"), operation(2, "b"))
    async with Running(stage) as task:
        await stage.end("op0")
        stage.schedule.restart(stage.step("op0"))
        await stage.settle()
        assert stage.running == {"op0", "op1"}
        await stage.end("op1")
        assert stage.running == {"op0"}
        await stage.end("op0")
        await stage.end("op2")
        assert task.done()
        with pytest.raises(OwnerRefused):
            stage.schedule.restart(stage.step("op2"))
    assert stage.begun == ["op0", "op1", "op0", "op2"]


def killed(stage: Stage) -> dict[int, OperationState]:
    """The states that a journal has after a death."""
    return {state.index: state for state in stage.saved}


async def test_a_new_life_goes_on_where_the_old_one_was() -> None:
    operations = (operation(0, "a"), operation(1, "a", "op0"), operation(2, "a", "op1"), operation(3, "b"))
    first = Stage(*operations)
    async with Running(first):
        await first.ready("op0")
        assert first.running == {"op0", "op1"}
    second = Stage(*operations, known=killed(first))
    async with Running(second) as task:
        assert second.begun == ["op0", "op1"]
        await second.ready("op1")
        await second.end("op0")
        await second.end("op1")
        await second.end("op2")
        assert second.running == {"op3"}
        third = Stage(*operations, known={**killed(first), **killed(second)})
        assert not task.done()
    async with Running(third) as task:
        assert third.begun == ["op3"]
        await third.end("op3")
        assert task.done()


async def test_a_failure_of_an_earlier_life_still_ends_the_group() -> None:
    operations = (operation(0, "a"), operation(1, "a"), operation(2, "b"))
    first = Stage(*operations)
    async with Running(first):
        pass
    known = killed(first)
    known[0] = replace(known[0], status=OperationStatus.FAILED, ended_ms=1, exit_code=1)
    second = Stage(*operations, known=known)
    async with Running(second) as task:
        assert task.done()
    assert second.statuses() == {"op0": "failed", "op1": "stopped", "op2": "stopped"}


# --- any plan at all ----------------------------------------------------------------------------------------


@st.composite
def plans(draw: st.DrawFn) -> tuple[PlannedOperation, ...]:
    """Groups and dependencies within them, in any order of the definition."""
    count = draw(st.integers(1, 9))
    groups = [draw(st.sampled_from("abc")) for _ in range(count)]
    made = []
    for index in range(count):
        others = [f"op{other}" for other in range(index) if groups[other] == groups[index]]
        needs = draw(st.lists(st.sampled_from(others), unique=True, max_size=3)) if others else []
        made.append(operation(index, groups[index], *needs, stops=draw(st.booleans()) if needs else False))
    return tuple(draw(st.permutations(made)))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans(), st.data())
def test_whatever_happens_the_order_holds(operations: tuple[PlannedOperation, ...], data: st.DataObject) -> None:
    asyncio.run(_play(operations, data))


async def _play(operations: tuple[PlannedOperation, ...], data: st.DataObject) -> None:
    stage = Stage(*operations)
    places = turns_of(operations)
    by_id = {each.id: each for each in operations}
    seen: list[str] = []
    failed = stopped = False
    async with Running(stage) as task:
        for _ in range(60):
            for name in stage.begun[len(seen) :]:
                _check_start(stage, by_id[name], places, failed, stopped)
                seen.append(name)
            if task.done():
                break
            choices = [(word, name) for name in sorted(stage.running) for word in ("end", "fail", "ready")]
            word, name = data.draw(st.sampled_from([*choices, ("stop", "")]))
            if word == "stop":
                stopped = True
                stage.stop.request(EndCause.EXPIRED)
                await stage.settle()
            elif word == "ready":
                await stage.ready(name)
            else:
                failed = failed or word == "fail"
                await stage.end(name, OperationStatus.FAILED if word == "fail" else OperationStatus.SUCCESS)
        else:
            for name in sorted(stage.running):
                await stage.end(name)
            stage.stop.request(EndCause.EXPIRED)
            await stage.settle()
        assert task.done()
        await task
    assert len(stage.begun) == len(set(stage.begun)), "started twice"
    for step in stage.steps:
        assert step.is_over or step.is_barred
        assert step.is_over or step.state.status is OperationStatus.INIT


def _check_start(stage: Stage, started: PlannedOperation, places: dict[str, int], failed: bool, stopped: bool) -> None:
    assert not stopped, "started after the job's end"
    assert all(stage.step(name).is_ready for name in started.depends_on), "started before what it needs was ready"
    for step in stage.steps:
        if places[step.id] < places[started.id]:
            assert step.is_over or step.is_barred, "started before an earlier group was over"
            assert not step.has_failed, "started after an earlier group failed"
    assert not failed or stage.step(started.id).is_over or stage.step(started.id).is_told_to_end


@given(plans())
def test_an_order_of_dependencies(operations: tuple[PlannedOperation, ...]) -> None:
    order = [each.id for each in in_order(operations)]
    assert sorted(order) == sorted(each.id for each in operations)
    for each in operations:
        assert all(order.index(name) < order.index(each.id) for name in each.depends_on)


def test_long_chains_are_no_deep_recursion() -> None:
    chain = tuple(operation(index, "a", *([f"op{index - 1}"] if index else [])) for index in reversed(range(5000)))
    assert [each.index for each in in_order(chain)] == list(range(5000))
    assert set(turns_of(chain).values()) == {0}
