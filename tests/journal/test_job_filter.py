"""Which runs a list is of."""

from __future__ import annotations

from pathlib import Path

from node.journal.job_filter import JobFilter, JobState
from node.journal.journal import Journal
from node.records import Refusal, SettleKind, Settlement, Stage
from tests.journal.samples import assignment


async def test_by_lane_state_time_and_page(tmp_path: Path) -> None:
    now = 0.0
    runs = [assignment(number, lane="main" if number % 2 else "other") for number in range(1, 6)]
    async with await Journal.open(tmp_path / "j", lambda: now) as journal:
        for number, each in enumerate(runs, 1):
            now = number * 100.0
            await journal.begin_job(each)
        for each, kind in zip(runs, (SettleKind.FINISH, SettleKind.QUIT, SettleKind.LOST), strict=False):
            await journal.settle(each.run.address, Settlement(each.job.address, kind, None, 1, 0, None, "", 0))
        await journal.finish_stage(runs[3].run.address, Stage.FETCH, Refusal(runs[3].job.address, "no"), Stage.SETTLE)

        async def found(limit: int = 50, **wanted: object) -> list[int]:
            listed = await journal.jobs(limit, JobFilter(**wanted))  # type: ignore[arg-type]
            return [next(i for i, each in enumerate(runs, 1) if each.run.address == run.run) for run in listed]

        assert await found() == [5, 4, 3, 2, 1]
        assert await found(lane="main") == [5, 3, 1]
        assert await found(since=300.0) == [5, 4, 3]
        assert await found(2, skip=1) == [4, 3]
        states = {state: await found(state=state) for state in JobState}
        assert states == {
            JobState.WORKING: [5], JobState.SETTLING: [4], JobState.DONE: [1], JobState.QUIT: [2], JobState.LOST: [3],
        }  # fmt: skip
        assert await found(state=JobState.LOST, lane="other") == []
