"""When runs came to the points of their ways, and what the legs between them take."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.journal.journal import Journal
from node.journal.latency import Moment, latency_of, legs_of, percentile, steps_of
from node.journal.reader import JournalReader
from node.records import EndCause, OperationState, OperationStatus, Outcome, SettleKind, Settlement, Stage
from tests.journal.samples import assignment, lane_status

WAY = {
    Moment.QUEUED: 1_000,
    Moment.ASSIGNED: 61_000,
    Moment.PICKED_UP: 61_400,
    Moment.PULLED: 71_400,
    Moment.PREPARED: 71_500,
    Moment.STARTED: 71_700,
    Moment.FIRST_OUTPUT: 72_000,
    Moment.FIRST_HEALTH: 75_000,
    Moment.EXITED: 131_700,
    Moment.UPLOADED: 132_700,
    Moment.SETTLED: 134_000,
}


def test_the_legs_of_a_run() -> None:
    assert legs_of(WAY) == {
        "queue": 60_000, "pick_up": 400, "pull": 10_000, "prepare": 100, "start": 200, "first_output": 300,
        "first_health": 3_300, "run": 60_000, "upload": 1_000, "settle": 1_300,
    }  # fmt: skip


def test_what_was_not_seen_is_no_leg_and_no_leg_is_negative() -> None:
    assert legs_of({Moment.ASSIGNED: 5_000, Moment.PICKED_UP: 4_600}) == {"pick_up": 0}
    assert legs_of({Moment.QUEUED: 1}) == {}


def test_a_timeline_is_in_the_order_of_time() -> None:
    moments = {Moment.STARTED: 30, Moment.PULLED: 10, Moment.PREPARED: 10}
    assert [(moment, gap) for moment, _, gap in steps_of(moments)] == [
        (Moment.PULLED, None), (Moment.PREPARED, 0), (Moment.STARTED, 20),
    ]  # fmt: skip


@given(st.lists(st.integers(0, 10**9), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values: list[int], share: int) -> None:
    ascending = tuple(sorted(values))
    found = percentile(ascending, share)
    assert found in ascending

    def covered(bound: int) -> bool:
        return sum(value <= bound for value in values) * 100 >= share * len(values)

    assert found is not None
    assert covered(found)
    assert all(not covered(value) for value in ascending if value < found)


def test_percentiles_of_several_runs() -> None:
    runs = [{Moment.STARTED: 0, Moment.EXITED: spent} for spent in (5, 1, 3, 2, 4)] + [{Moment.STARTED: 9}]
    latency = latency_of(runs, 0.0)
    assert latency.runs == 6
    run = next(leg for leg in latency.legs if leg.leg == "run")
    assert (run.count, run.p50, run.p95) == (5, 3, 5)
    queue = latency.legs[0]
    assert (queue.leg, queue.count, queue.p50, queue.p95) == ("queue", 0, None, None)
    assert percentile((), 50) is None


async def test_each_moment_is_written_once_beside_what_the_run_writes_anyway(tmp_path: Path) -> None:
    now = 100.0
    a = assignment(run_time=90)
    run = a.run.address
    state = OperationState(0, "op", "g", OperationStatus.RUNNING, starts=1, pulled_ms=101_000, began_ms=102_000)
    async with await Journal.open(tmp_path / "j", lambda: now) as journal:
        await journal.save_lane(lane_status())
        await journal.set_queued("main", 40.5)
        await journal.begin_job(a)
        assert await journal.latency.of(run) == {
            Moment.QUEUED: 40_500, Moment.ASSIGNED: 90_000, Moment.PICKED_UP: 100_000,
        }  # fmt: skip
        journal.latency.note(run, Moment.STARTED, 103_000)
        journal.latency.note(run, Moment.STARTED, 999_000)
        assert (await journal.latency.of(run))[Moment.STARTED] == 103_000  # seen, whether written or not
        await journal.save_operation(run, state)
    now = 500.0
    # Another life of the agent: it sees the job as new, and moves nothing.
    async with await Journal.open(tmp_path / "j", lambda: now) as journal:
        await journal.begin_job(a)
        journal.latency.note(run, Moment.STARTED, 500_000)
        await journal.save_operation(
            run, OperationState(0, "op", "g", OperationStatus.SUCCESS, starts=2, pulled_ms=1, began_ms=2)
        )
        ended = OperationState(0, "op", "g", OperationStatus.SUCCESS, starts=2)
        outcome = Outcome(a.job.address, EndCause.COMPLETED, 102_000, 480_000, (ended,))
        await journal.finish_stage(run, Stage.RUN, outcome, Stage.REPORT)
        settlement = Settlement(a.job.address, SettleKind.FINISH, None, 1, 7, None, "", 0)
        await journal.settle(run, settlement)
        assert await journal.reopen(run, "a fork")
        now = 600.0
        await journal.settle(run, settlement)
    async with await JournalReader.open_readonly(tmp_path / "j") as reader:
        assert await reader.latency.of(run) == {
            Moment.QUEUED: 40_500, Moment.ASSIGNED: 90_000, Moment.PICKED_UP: 100_000, Moment.PULLED: 101_000,
            Moment.PREPARED: 102_000, Moment.STARTED: 103_000, Moment.EXITED: 480_000, Moment.SETTLED: 600_000,
        }  # fmt: skip
        latency = await reader.latency.latency(0.0)
        assert latency.runs == 1
        assert latency.samples["run"] == (377_000,)
        assert (await reader.latency.latency(1_000.0)).runs == 0


@pytest.mark.parametrize("operations", [(), (OperationState(0, "op", "g", OperationStatus.STOPPED),)])
async def test_a_job_that_ran_nothing_never_exited(operations: tuple[OperationState, ...], tmp_path: Path) -> None:
    a = assignment()
    async with await Journal.open(tmp_path / "j", lambda: 1.0) as journal:
        await journal.begin_job(a)
        outcome = Outcome(a.job.address, EndCause.INVALID, 1, 1, operations)
        await journal.finish_stage(a.run.address, Stage.ADMIT, outcome, Stage.REPORT)
        assert Moment.EXITED not in await journal.latency.of(a.run.address)
