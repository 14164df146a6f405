"""Restart rules, and what the owner may do to one operation, against an engine that does what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from node.container.controls import OperationControls
from node.container.ending import begun_anew
from node.container.engine import ContainerView
from node.container.log import LogEntry
from node.container.restarts import PAUSES
from node.journal.codec import decode, encode
from node.plan_records import RestartPolicy, RestartRule
from node.records import EndCause, OperationError, OperationState, OperationStatus, PlannedOperation
from tests.container.operations import operation
from tests.container.test_runner import Bench, frame


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def restarting(policy: RestartPolicy, tries: int | None = None) -> PlannedOperation:
    return replace(operation("image", "node", "true"), restart=RestartRule(policy, tries))


async def exits(bench: Bench, *codes: int) -> None:
    """Have the container exit once after the other with these codes."""
    for number, code in enumerate(codes, start=1):
        await bench.until_started(number)
        await bench.engine.exit(bench.engine.only().id, code)


def hold(bench: Bench, pause: float) -> asyncio.Event:
    """Have a pause of so many seconds never end; set when it has begun."""
    begun = asyncio.Event()
    quick = bench.clock.sleep

    async def sleep(seconds: float) -> None:
        if seconds == pause:
            begun.set()
            await asyncio.Event().wait()
        await quick(seconds)

    bench.clock.sleep = sleep  # type: ignore[method-assign]
    return begun


async def test_on_failure_restarts_failures_alone_and_so_often(bench: Bench) -> None:
    op = restarting(RestartPolicy.ON_FAILURE, 2)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await exits(bench, 1, 2, 3)
    state = running.result()
    assert (state.status, state.exit_code) == (OperationStatus.FAILED, 3)
    assert (state.starts, state.restarts) == (3, 2)
    assert state.engine_state is not None
    assert state.engine_state["RestartCount"] == 2
    assert bench.engine.calls.count("create") == 1


async def test_on_failure_ends_with_success(bench: Bench) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(restarting(RestartPolicy.ON_FAILURE)))
        await exits(bench, 9, 9, 9, 9, 9, 0)  # more than an operation that nobody restarts may be started
    assert (running.result().status, running.result().restarts) == (OperationStatus.SUCCESS, 5)


@pytest.mark.parametrize("policy", [RestartPolicy.ALWAYS, RestartPolicy.UNLESS_STOPPED])
@pytest.mark.parametrize(
    ("cause", "status"), [(EndCause.EXPIRED, OperationStatus.SUCCESS), (EndCause.STOPPED, OperationStatus.STOPPED)]
)
async def test_always_goes_on_until_it_is_told_to_end(
    bench: Bench, policy: RestartPolicy, cause: EndCause, status: OperationStatus
) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(restarting(policy)))
        await exits(bench, 0, 0, 1, 0)
        await bench.until_started(5)
        bench.stop.request(cause)
    state = running.result()
    assert (state.status, state.exit_code, state.restarts) == (status, 137, 4)


async def test_no_restart_without_a_rule(bench: Bench) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(restarting(RestartPolicy.NO)))
        await exits(bench, 1)
    assert running.result().starts == 1


async def test_pauses_grow_and_begin_small_again(bench: Bench) -> None:
    waits = [PAUSES.wait(number) for number in range(12)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.1, 60.0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(restarting(RestartPolicy.ALWAYS)))
        began = bench.clock.now
        await exits(bench, *[1] * 6)
        await bench.until_started(7)
        assert bench.clock.now - began >= 0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 3.2
        bench.stop.request(EndCause.EXPIRED)
    assert running.done()


async def test_the_word_to_end_cuts_a_pause_short(bench: Bench) -> None:
    pausing = hold(bench, 0.1)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(restarting(RestartPolicy.ALWAYS)))
        await exits(bench, 0)
        await pausing.wait()
        bench.stop.request(EndCause.STOPPED)
    state = running.result()
    assert (state.status, state.exit_code, state.starts) == (OperationStatus.STOPPED, 0, 1)


async def test_a_life_that_ends_between_exit_and_restart_goes_on_counting(bench: Bench) -> None:
    op = restarting(RestartPolicy.ON_FAILURE, 3)
    quick = bench.clock.sleep
    pausing = hold(bench, 0.2)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(bench.run(op))
        await exits(bench, 1, 1)
        await pausing.wait()
        first.cancel()
    bench.clock.sleep = quick  # type: ignore[method-assign]
    previous = decode(encode(bench.states[-1]), OperationState)
    assert previous.restarts == 1
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op, previous))
        for number in (3, 4):
            await bench.until_started(number)
            await bench.engine.exit(bench.engine.only().id, 1)
    state = running.result()
    assert (state.starts, state.restarts, state.exit_code) == (4, 3, 1)
    assert bench.engine.calls.count("create") == 1


async def test_an_endless_one_that_is_found_ended_was_stopped(bench: Bench) -> None:
    op = restarting(RestartPolicy.ALWAYS)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(bench.run(op))
        await bench.until_started()
        first.cancel()
    await bench.engine.exit("container-1", 0)
    bench.stop.request(EndCause.STOPPED)
    assert (await bench.run(op, bench.states[-1])).status is OperationStatus.STOPPED


async def test_what_was_condemned_is_not_started_again(bench: Bench) -> None:
    op = restarting(RestartPolicy.ALWAYS)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(bench.run(op))
        await bench.until_started()
        first.cancel()
    entry = OperationError("container-runtime-error", "it filled the disk")
    previous = replace(bench.states[-1], errors=(entry,))
    await bench.engine.exit(bench.engine.only().id, 137)
    state = await bench.run(op, previous)
    assert (state.status, state.starts) == (OperationStatus.FAILED, 1)


async def test_logs_of_all_runs_are_one_log_and_are_told(bench: Bench) -> None:
    told: list[str] = []

    def on_log(entries: Sequence[LogEntry]) -> None:
        told.extend(entry.log for entry in entries)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(restarting(RestartPolicy.ON_FAILURE), on_log=on_log))
        for number, code in ((1, 1), (2, 0)):
            await bench.until_started(number)
            container = bench.engine.only().id
            await bench.engine.print(container, frame(number, f"run {number}\n"))
            await bench.engine.exit(container, code)
    assert bench.log(running.result()) == told == ["run 1\n", "run 2\n"]


async def test_a_listener_that_fails_costs_nothing_of_the_log(bench: Bench) -> None:
    def on_log(_entries: Sequence[LogEntry]) -> None:
        raise RuntimeError("a subscriber went away")

    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(operation("image", "node", "true"), on_log=on_log))
        await bench.until_started()
        await bench.engine.print(bench.engine.only().id, frame(1, "one\n"), frame(2, "two\n"))
        await bench.engine.exit(bench.engine.only().id, 0)
    assert bench.log(running.result()) == ["one\n", "two\n"]


# --- controls ---------------------------------------------------------------------------------------------


async def test_stop_ends_this_operation_alone(bench: Bench) -> None:
    controls = OperationControls()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(restarting(RestartPolicy.ALWAYS), controls=controls))
        await bench.until_started()
        controls.stop("its owner asked")
    state = running.result()
    assert (state.status, state.exit_code, state.stopped) == (OperationStatus.STOPPED, 137, True)
    assert bench.stop.cause is None
    # Durable before the container was stopped, so that a life that ends in between says the same.
    assert any(each.stopped and each.ended_ms is None for each in bench.states)


async def test_a_stop_is_remembered_by_the_next_life(bench: Bench) -> None:
    op = operation("image", "node", "true")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(bench.run(op))
        await bench.until_started()
        first.cancel()
    state = await bench.run(op, replace(bench.states[-1], stopped=True))
    assert (state.status, state.exit_code) == (OperationStatus.STOPPED, 137)


async def test_the_first_word_stands(bench: Bench) -> None:
    controls = OperationControls()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(operation("image", "node", "true"), controls=controls))
        await bench.until_started()
        bench.stop.request(EndCause.EXPIRED)
        controls.stop("what it depends on has ended")
    assert (running.result().status, running.result().stopped) == (OperationStatus.SUCCESS, False)


async def test_stop_before_the_start(bench: Bench) -> None:
    controls = OperationControls()
    controls.stop()
    state = await bench.run(operation("image", "node", "true"), controls=controls)
    assert (state.status, state.exit_code, bench.engine.containers) == (OperationStatus.STOPPED, 0, {})


async def test_restart_makes_another_container_and_keeps_the_log(bench: Bench) -> None:
    controls = OperationControls()
    started: list[str] = []

    async def on_started(view: ContainerView) -> None:
        started.append(view.id)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(
            bench.run(operation("image", "node", "true"), controls=controls, on_started=on_started)
        )
        for number in (1, 2, 3, 4, 5):
            await bench.until_started(number)
            await bench.until(lambda number=number: len(started) == number)  # type: ignore[misc]
            container = started[-1]
            await bench.engine.print(container, frame(number, f"run {number}\n"))
            if number < 5:
                controls.restart()
        await bench.engine.exit(started[-1], 0)
    state = running.result()
    assert (state.status, state.starts, state.restarts) == (OperationStatus.SUCCESS, 5, 0)
    assert started == [f"container-{number}" for number in (1, 2, 3, 4, 5)]
    assert bench.log(state) == [f"run {number}\n" for number in (1, 2, 3, 4, 5)]
    assert state.container_id == "container-5"


async def test_a_life_that_ends_while_it_restarts_goes_on_with_it(bench: Bench) -> None:
    op = operation("image", "node", "true")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(bench.run(op))
        await bench.until_started()
        first.cancel()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op, begun_anew(bench.states[-1])))
        await bench.until_started(2)
        assert bench.engine.only().id == "container-2"
        await bench.engine.exit("container-2", 0)
    assert running.result().status is OperationStatus.SUCCESS


async def test_an_operation_that_has_ended_begins_anew(bench: Bench) -> None:
    op = operation("image", "node", "true")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.run(op))
        await bench.until_started()
        await bench.engine.print("container-1", frame(1, "old\n"))
        await bench.engine.exit("container-1", 3)
    ended = replace(running.result(), errors=(OperationError("container-runtime-error", "of the first run"),))
    async with asyncio.TaskGroup() as group:
        again = group.create_task(bench.run(op, begun_anew(ended)))
        await bench.until_started(2)
        await bench.engine.print("container-2", frame(2, "new\n"))
        await bench.engine.exit("container-2", 0)
    state = again.result()
    assert (state.status, state.exit_code, state.started_ms) == (OperationStatus.SUCCESS, 0, ended.started_ms)
    assert [error.message for error in state.errors] == ["of the first run"]
    assert bench.log(state) == ["old\n", "new\n"]


async def test_its_own_timeout_ends_it_like_an_expired_one(bench: Bench) -> None:
    op = replace(operation("image", "node", "true"), timeout=30)
    state = await bench.run(op)
    assert (state.status, state.exit_code, state.timed_out) == (OperationStatus.SUCCESS, 137, True)
    assert bench.stop.cause is None
    assert bench.clock.now >= 30


async def test_the_timeout_counts_on_over_lives_and_restarts(bench: Bench) -> None:
    op = replace(restarting(RestartPolicy.ALWAYS), timeout=1000)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(bench.run(replace(op, timeout=None)))
        await exits(bench, 1, 1)
        await bench.until_started(3)
        first.cancel()
    previous = bench.states[-1]
    bench.clock.now += 999
    state = await bench.run(op, previous)
    assert (state.status, state.timed_out, state.starts) == (OperationStatus.SUCCESS, True, 3)


async def test_what_was_ended_by_its_timeout_in_an_earlier_life_says_so(bench: Bench) -> None:
    op = replace(operation("image", "node", "true"), timeout=5)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(bench.run(replace(op, timeout=None)))
        await bench.until_started()
        first.cancel()
    bench.clock.now += 6
    await bench.engine.exit("container-1", 143)
    state = await bench.run(op, bench.states[-1])
    assert (state.status, state.exit_code, state.timed_out) == (OperationStatus.SUCCESS, 143, True)
