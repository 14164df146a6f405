"""The reconcile loop against an engine that breaks on cue."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.container.course import MAX_STARTS
from node.container.engine import LogFrame
from node.container.log import LogKeeper, read_entries
from node.container.runner import OperationRunner
from node.container.stop import StopSignal
from node.errors import ContainerError, EngineRejected, EngineUnavailable, ImagePullFailed
from node.records import EndCause, OperationError, OperationState, OperationStatus, PlannedOperation
from node.retry import Retry
from tests.container.engine_double import FakeEngine
from tests.container.operations import operation


class QuickClock:
    """Real turns of the loop, no real waiting."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000 + self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def frame(second: int, text: str) -> LogFrame:
    return LogFrame("stdout", f"2026-11-20T12:00:{second:02d}.000000000Z", text.encode())


class Bench:
    def __init__(self, data: Path) -> None:
        self.engine = FakeEngine()
        self.data = data
        self.clock = QuickClock()
        self.stop = StopSignal()
        self.states: list[OperationState] = []
        self.lines: list[str] = []
        self.crash_at: Callable[[OperationState], bool] = lambda _state: False
        self.runner = OperationRunner(self.engine, data, pull_retry=Retry(attempts=3, total=100.0), clock=self.clock)

    async def on_change(self, state: OperationState) -> None:
        if self.crash_at(state):
            raise KeyboardInterrupt
        self.states.append(state)

    async def run(self, op: PlannedOperation, previous: OperationState | None = None, **more: Any) -> OperationState:
        return await self.runner.run_operation(
            op, previous, on_change=self.on_change, stop=self.stop, on_progress=self.lines.append, **more
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0)

    async def until_started(self, number: int = 1) -> None:
        await self.until(
            lambda: (
                bool(self.states)
                and self.states[-1].starts == number
                and any(box.status == "running" for box in self.engine.containers.values())
            )
        )

    def log(self, state: OperationState) -> list[str]:
        assert state.log is not None
        return [entry.log for entry in read_entries(self.data / state.log.path)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def op() -> PlannedOperation:
    return operation("image", "node", "true")


async def test_engine_away_is_unknown_and_not_failed(bench: Bench, op: PlannedOperation) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await bench.until_started()
        box = bench.engine.only()
        await bench.engine.print(box.id, frame(1, "one\n"))
        path = bench.data / bench.runner.log_name(op)
        await bench.until(lambda: path.exists() and path.stat().st_size > 0)
        bench.engine.crash()
        await bench.engine.print(box.id, frame(2, "two\n"))
        await bench.until(lambda: sum("waiting for the container engine" in line for line in bench.lines) > 3)
        assert bench.states[-1].status is OperationStatus.RUNNING
        await bench.engine.exit(box.id, 6)
        bench.engine.down = False
    state = running.result()
    assert (state.status, state.exit_code, state.starts) == (OperationStatus.FAILED, 6, 1)
    assert bench.log(state) == ["one\n", "two\n"]
    assert bench.engine.calls.count("create") == 1
    assert bench.engine.containers == {}


async def test_the_engine_may_be_away_before_the_first_turn(bench: Bench, op: PlannedOperation) -> None:
    bench.engine.down = True
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await bench.until(lambda: len(bench.lines) > 2)
        assert bench.states == []
        bench.engine.down = False
        await bench.until_started()
        await bench.engine.exit(bench.engine.only().id, 0)
    assert running.result().status is OperationStatus.SUCCESS


async def test_a_stop_needs_no_engine_when_nothing_has_started(bench: Bench, op: PlannedOperation) -> None:
    bench.engine.down = True
    bench.stop.request(EndCause.EXPIRED)
    state = await bench.run(op)
    assert (state.status, state.exit_code) == (OperationStatus.SUCCESS, 0)


async def test_a_stop_waits_for_the_engine_when_something_runs(bench: Bench, op: PlannedOperation) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await bench.until_started()
        bench.engine.crash()
        bench.stop.request(EndCause.STOPPED)
        await bench.until(lambda: len(bench.lines) > 3)
        assert not running.done()
        bench.engine.down = False
    state = running.result()
    assert (state.status, state.exit_code) == (OperationStatus.STOPPED, 137)


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        (EndCause.EXPIRED, OperationStatus.SUCCESS),
        (EndCause.STOPPED, OperationStatus.STOPPED),
        (EndCause.HOST, OperationStatus.FAILED),
    ],
)
async def test_status_by_the_cause_of_the_end(
    bench: Bench, op: PlannedOperation, cause: EndCause, status: OperationStatus
) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await bench.until_started()
        bench.stop.request(cause)
        bench.stop.request(EndCause.COMPLETED)  # too late: the first cause stands
    state = running.result()
    assert (state.status, state.exit_code, state.errors) == (status, 137, ())


async def test_a_stop_that_the_engine_refuses_is_tried_again(bench: Bench, op: PlannedOperation) -> None:
    bench.engine.fail["stop"] = [EngineRejected("cannot kill it", status=500)] * 3
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await bench.until_started()
        bench.stop.request(EndCause.HOST)
    assert (running.result().status, running.result().exit_code) == (OperationStatus.FAILED, 137)
    assert bench.engine.calls.count("stop") == 4


async def test_pulls_are_repeated_for_what_may_pass(bench: Bench) -> None:
    op = operation("far/away:1", "node", "true")
    bench.engine.pull_errors = [ImagePullFailed("busy", status=503), ImagePullFailed("dropped")]
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await bench.until_started()
        await bench.engine.exit(bench.engine.only().id, 0)
    assert running.result().status is OperationStatus.SUCCESS
    assert bench.engine.pulls == ["far/away:1"] * 3
    assert "pulling far/away:1: 1 of 2 layers, 0 of 2 MB" in bench.lines


async def test_pulls_are_not_repeated_for_what_will_not_pass(bench: Bench) -> None:
    op = operation("far/away:1", "node", "true")
    bench.engine.pull_errors = [ImagePullFailed("no such image", status=404)]
    state = await bench.run(op)
    assert (state.status, state.exit_code) == (OperationStatus.FAILED, 2)
    assert state.errors == (OperationError("image-pull-error", "no such image", 404),)
    assert len(bench.engine.pulls) == 1
    assert bench.states[0].started_ms is not None  # running, and timed, before the pull


async def test_stop_during_a_pull(bench: Bench) -> None:
    op = operation("far/away:1", "node", "true")
    bench.engine.pull_gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await bench.until(lambda: bool(bench.engine.pulls))
        bench.stop.request(EndCause.STOPPED)
    state = running.result()
    assert (state.status, state.exit_code, state.errors) == (OperationStatus.STOPPED, 2, ())
    assert "create" not in bench.engine.calls


async def test_network_and_container_refusals_are_named(bench: Bench, op: PlannedOperation) -> None:
    bench.engine.fail["ensure_network"] = [EngineRejected("no address pool", status=400)]
    state = await bench.run(op)
    assert state.errors == (OperationError("resource-error", "no address pool", 400),)
    bench.engine.fail["create"] = [EngineRejected("bad spec", status=409)]
    state = await bench.run(op)
    assert state.errors == (OperationError("container-runtime-error", "bad spec", 409),)
    assert state.exit_code == 2


async def test_an_image_that_somebody_takes_away_is_pulled_again(bench: Bench) -> None:
    op = operation("far/away:1", "node", "true")
    bench.engine.fail["create"] = [EngineRejected("No such image: far/away:1", status=404)]
    make_network = bench.engine.ensure_network

    async def tidied(*given: Any) -> None:
        # As an operator's own tidying does, or another agent on the same engine.
        if bench.engine.fail["create"]:
            del bench.engine.images["far/away:1"]
        await make_network(*given)

    bench.engine.ensure_network = tidied  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await bench.until_started()
        await bench.engine.exit(bench.engine.only().id, 0)
    assert (running.result().status, running.result().errors) == (OperationStatus.SUCCESS, ())
    assert (bench.engine.pulls, running.result().starts) == (["far/away:1"] * 2, 1)


async def test_a_container_that_does_not_start(bench: Bench, op: PlannedOperation) -> None:
    bench.engine.fail["start"] = [EngineRejected("OCI runtime create failed", status=400)]
    state = await bench.run(op)
    assert state.status is OperationStatus.FAILED
    assert state.errors == (OperationError("container-runtime-error", "OCI runtime create failed", 400),)
    assert state.engine_state is not None
    assert bench.engine.containers == {}


async def test_starts_that_take_the_engine_down_end(bench: Bench, op: PlannedOperation) -> None:
    bench.engine.fail["start"] = [EngineUnavailable("it died")] * 10
    state = await bench.run(op)
    assert (state.status, state.starts) == (OperationStatus.FAILED, MAX_STARTS)
    assert [error.event for error in state.errors] == ["operation-error"]
    assert [s.starts for s in bench.states if s.container_id and s.ended_ms is None] == [1, 2, 3]
    assert bench.engine.containers == {}


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(lambda s: s.status is OperationStatus.RUNNING and s.starts == 0, id="before the pull"),
        pytest.param(lambda s: s.starts == 1 and s.ended_ms is None, id="between create and start"),
        pytest.param(lambda s: s.ended_ms is not None, id="before the end is written down"),
    ],
)
async def test_a_crash_at_each_change_is_recovered(
    bench: Bench, op: PlannedOperation, point: Callable[[OperationState], bool]
) -> None:
    """The agent dies while it writes; what was durable before is all that its next life knows."""
    bench.crash_at = point
    with pytest.raises(KeyboardInterrupt):
        await _alone(_run_and_exit(bench, op, None))
    bench.crash_at = lambda _state: False
    previous = bench.states[-1] if bench.states else None
    state = await _run_and_exit(bench, op, previous)
    assert (state.status, state.exit_code, state.starts) == (OperationStatus.FAILED, 4, 1)
    assert bench.log(state) == ["said\n"]
    assert bench.engine.calls.count("start") == 1
    assert bench.engine.containers == {}


async def test_an_ended_operation_is_only_cleaned_up(bench: Bench, op: PlannedOperation) -> None:
    state = await _run_and_exit(bench, op, None)
    await bench.engine.create(op.container)
    bench.engine.calls.clear()
    assert await bench.run(op, state) == state
    assert bench.engine.containers == {}
    assert not {"create", "start", "pull"} & set(bench.engine.calls)


async def test_a_log_that_cannot_be_read_is_said_and_loses_no_exit_code(bench: Bench, op: PlannedOperation) -> None:
    bench.engine.fail["logs"] = [EngineRejected("driver cannot read", status=500)] * 2
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await bench.until_started()
        await bench.engine.exit(bench.engine.only().id, 0)
    state = running.result()
    assert (state.status, state.exit_code) == (OperationStatus.SUCCESS, 0)
    assert state.errors == (OperationError("operation-error", "driver cannot read", 500),)


async def test_a_second_run_of_the_same_job_starts_a_new_log(bench: Bench, op: PlannedOperation) -> None:
    first = await _run_and_exit(bench, op, None)
    second = await _run_and_exit(bench, op, None)
    assert second.log == first.log
    assert bench.log(second) == ["said\n"]


async def test_clean_up_trouble_does_not_undo_the_end(bench: Bench, op: PlannedOperation) -> None:
    bench.engine.fail["remove"] = [EngineRejected("busy", status=409)] * 50
    state = await _run_and_exit(bench, op, None)
    assert state.exit_code == 4
    assert bench.states[-1] == state


async def test_an_exit_that_the_engine_does_not_tell_is_seen(
    bench: Bench, op: PlannedOperation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(_container: str) -> int:
        await asyncio.Event().wait()
        return 0

    monkeypatch.setattr(bench.engine, "wait", silent)
    monkeypatch.setattr("node.container.attendance.LOOK_SECONDS", 0.01)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await bench.until_started()
        await asyncio.sleep(0.05)
        assert not running.done()
        await bench.engine.exit(bench.engine.only().id, 8)
    assert (running.result().status, running.result().exit_code) == (OperationStatus.FAILED, 8)


@pytest.mark.parametrize("call", ["find", "image", "inspect", "ensure_network", "create", "start"])
async def test_no_refusal_of_the_engine_leaves_the_operation(bench: Bench, op: PlannedOperation, call: str) -> None:
    """A request that a job's definition makes the engine refuse costs that job, never the lane."""
    bench.engine.fail[call] = [EngineRejected("invalid reference format", status=400)]
    state = await bench.run(op)
    assert (state.status, state.exit_code in (0, 2)) == (OperationStatus.FAILED, True)
    assert "invalid reference format" in [error.message for error in state.errors]
    assert bench.engine.containers == {}


async def test_an_engine_in_trouble_is_asked_again_before_it_is_given_up(bench: Bench, op: PlannedOperation) -> None:
    bench.engine.fail["image"] = [EngineRejected("database is locked", status=500)] * 2
    state = await _run_and_exit(bench, op, None)
    assert (state.exit_code, state.errors) == (4, ())
    bench.engine.fail["image"] = [EngineRejected("database is locked", status=500)] * 50
    state = await bench.run(op)
    assert (state.status, state.exit_code) == (OperationStatus.FAILED, 2)
    assert [error.message for error in state.errors] == ["database is locked"]


async def test_a_log_that_cannot_be_kept_is_no_crash(bench: Bench, op: PlannedOperation) -> None:
    (bench.data / "logs").write_text("a file where the folder should be")
    state = await bench.run(op)
    assert (state.status, state.exit_code) == (OperationStatus.FAILED, 2)
    (error,) = state.errors
    assert error.event == "operation-error"
    assert "cannot keep the log" in error.message
    assert "start" not in bench.engine.calls
    assert bench.engine.containers == {}


async def test_a_disk_that_fills_up_cuts_the_log_and_says_so(
    bench: Bench, op: PlannedOperation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: LogKeeper, _data: bytes) -> None:
        self._fail(OSError(errno.ENOSPC, "No space left on device"))

    monkeypatch.setattr(LogKeeper, "_write", full)
    state = await _run_and_exit(bench, op, None)
    assert state.exit_code == 4
    assert [(error.event, "No space left on device" in error.message) for error in state.errors] == [
        ("operation-error", True)
    ]
    assert state.log is not None
    assert (state.log.truncated, state.log.length) == (True, 0)


async def test_without_labels_nothing_is_touched(bench: Bench, op: PlannedOperation) -> None:
    bare = replace(op, container=replace(op.container, labels=op.container.labels[:-1]))
    with pytest.raises(ContainerError, match="labels"):
        await bench.run(bare)
    assert bench.engine.calls == []


async def test_a_stranger_s_container_is_neither_adopted_nor_removed(bench: Bench, op: PlannedOperation) -> None:
    strange = replace(op.container, labels=(("gpunode.job", "other"),))
    stranger = await bench.engine.create(strange)
    find = bench.engine.find
    bench.engine.find = lambda _labels: find({})  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await bench.until_started()
        await bench.engine.exit(bench.states[-1].container_id or "", 0)
    assert running.result().status is OperationStatus.SUCCESS
    assert list(bench.engine.containers) == [stranger]


async def test_images_are_named_by_their_registry_digest(bench: Bench, op: PlannedOperation) -> None:
    state = await _run_and_exit(bench, op, None)
    assert state.image_digest == "sha256:manifest"
    other = replace(op, container=replace(op.container, image="local"))
    bench.engine.images["local"] = replace(bench.engine.images["image"], repo_digests=())
    state = await _run_and_exit(bench, other, None)
    assert state.image_digest == "sha256:image"


async def _run_and_exit(bench: Bench, op: PlannedOperation, previous: OperationState | None) -> OperationState:
    async def finish() -> None:
        await bench.until(lambda: any(box.status == "running" for box in bench.engine.containers.values()))
        box = bench.engine.only()
        await bench.engine.print(box.id, frame(1, "said\n"))
        await bench.engine.exit(box.id, 4)

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        finishing = group.create_task(finish())
        try:
            return await bench.run(op, previous)
        finally:
            finishing.cancel()


async def _alone(run: object) -> None:
    await run  # type: ignore[misc]


async def test_an_image_whose_registry_may_not_be_asked_is_not_fetched(bench: Bench, op: PlannedOperation) -> None:
    async def trouble(images: Sequence[str]) -> str:
        return f"{images[0]} would be fetched from 10.0.0.1" if "private" in images[0] else ""

    bench.runner.origins = trouble
    state = await bench.run(operation("private.example/x", "node", "true"))
    assert (state.status, state.exit_code, bench.engine.pulls) == (OperationStatus.FAILED, 2, [])
    assert [(error.event, "10.0.0.1" in error.message) for error in state.errors] == [("image-pull-error", True)]
