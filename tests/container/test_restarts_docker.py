"""Restart rules, stops, restarts and timeouts of single operations, with a real engine and over kills of the agent."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from node.container.controls import OperationControls
from node.container.engine import ContainerView
from node.container.log import WHOLE_BYTES
from node.plan_records import RestartPolicy, RestartRule
from node.records import EndCause, OperationStatus
from tests.container.job_bench import JobBench, until
from tests.container.operations import operation
from tests.container.test_adoption import BY_TIME, Lives

pytestmark = pytest.mark.docker

COUNT = "n=$(cat /n 2>/dev/null || echo 0); n=$((n+1)); echo $n > /n; echo run $n"
"""Says the how-manieth start of its container this is."""


async def test_a_failing_container_is_started_again_as_it_is(job_bench: JobBench) -> None:
    op = replace(job_bench.op(0, f"{COUNT}; exit 3"), restart=RestartRule(RestartPolicy.ON_FAILURE, 2))
    views: list[ContainerView] = []

    async def on_started(view: ContainerView) -> None:
        views.append(view)

    state = await job_bench.run(op, on_started=on_started)
    assert (state.status, state.exit_code) == (OperationStatus.FAILED, 3)
    assert (state.starts, state.restarts) == (3, 2)
    assert state.engine_state is not None
    assert state.engine_state["RestartCount"] == 2
    assert job_bench.log(state) == "run 1\nrun 2\nrun 3\n"
    assert len({view.id for view in views}) == 1
    assert len(views) == 3
    await job_bench.clean()


async def test_always_until_the_job_ends(job_bench: JobBench) -> None:
    op = replace(job_bench.op(0, f"{COUNT}; true"), restart=RestartRule(RestartPolicy.ALWAYS))
    path = job_bench.data / job_bench.runner.log_name(op)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(job_bench.run(op))
        await until(lambda: path.exists() and path.read_text().count("run") >= 4)
        job_bench.stop.request(EndCause.EXPIRED)
    state = running.result()
    assert state.status is OperationStatus.SUCCESS
    assert state.restarts >= 3
    assert job_bench.log(state).splitlines() == [f"run {number + 1}" for number in range(state.starts)]
    await job_bench.clean()


async def test_a_restart_by_the_owner_is_a_new_container_on_the_same_network(job_bench: JobBench) -> None:
    controls = OperationControls()
    views: list[ContainerView] = []

    async def on_started(view: ContainerView) -> None:
        views.append(view)

    op = job_bench.op(0, f"{COUNT}; sleep 60", aliases=("api",))
    path = job_bench.data / job_bench.runner.log_name(op)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(job_bench.run(op, controls=controls, on_started=on_started))
        await until(lambda: path.exists() and path.read_text().count("run") == 1)
        controls.restart()
        await until(lambda: path.read_text().count("run") == 2)
        found = await job_bench.run(job_bench.op(1, "nslookup -type=a api | awk '/^Address/ {a=$2} END {print a}'"))
        assert job_bench.log(found).strip() == views[-1].addresses[0]
        controls.stop("enough")
    state = running.result()
    assert (state.status, state.stopped, state.starts) == (OperationStatus.STOPPED, True, 2)
    assert job_bench.log(state) == "run 1\nrun 1\n"
    assert len({view.id for view in views}) == 2
    assert job_bench.stop.cause is None
    await job_bench.clean()


async def test_its_timeout_counts_from_its_start(job_bench: JobBench) -> None:
    op = replace(job_bench.op(0, "trap '' TERM; echo up; while :; do sleep 0.1; done"), timeout=2)
    began = asyncio.get_running_loop().time()
    state = await job_bench.run(op)
    assert 2 <= asyncio.get_running_loop().time() - began < 15
    assert (state.status, state.exit_code, state.timed_out) == (OperationStatus.SUCCESS, 137, True)
    assert job_bench.log(state) == "up\n"
    await job_bench.clean()


async def test_over_before_its_timeout(job_bench: JobBench) -> None:
    state = await job_bench.run(replace(job_bench.op(0, "exit 7"), timeout=600))
    assert (state.status, state.exit_code, state.timed_out) == (OperationStatus.FAILED, 7, False)
    await job_bench.clean()


@pytest.mark.long
@pytest.mark.parametrize("whole", [WHOLE_BYTES, BY_TIME], ids=["read whole", "by time"])
async def test_restarts_are_counted_on_over_kills(
    busybox_image: str, node_address: str, tmp_path: Path, whole: int
) -> None:
    op = operation(busybox_image, node_address, f"{COUNT}; sleep 0.3; exit 1")
    op = replace(op, restart=RestartRule(RestartPolicy.ON_FAILURE, 6))
    lives = Lives(tmp_path, op, whole)
    await lives.kill_after((1, 2 * 60, 4 * 60))
    state = await lives.end()
    assert (state.status, state.exit_code, state.restarts, state.starts) == (OperationStatus.FAILED, 1, 6, 7)
    runs = [line.split('"')[3] for line in lives.path.read_text().splitlines()]
    assert runs == [f"run {number + 1}\\n" for number in range(len(runs))]
    assert 5 <= len(runs) <= 7  # a kill between the count and the start costs a start
    assert state.engine_state is not None
    assert state.engine_state["RestartCount"] == 6
