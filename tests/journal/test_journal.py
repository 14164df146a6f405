"""The journal keeps what it was told."""

from __future__ import annotations

import os
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from node.errors import JournalError, WrongCluster
from node.journal import schema
from node.journal.journal import Journal
from node.journal.lock import claim
from node.journal.reader import JournalReader
from node.marks import Mark
from node.records import (
    Address,
    Cid,
    EndCause,
    LanePhase,
    OperationState,
    OperationStatus,
    OutboxState,
    Outcome,
    Refusal,
    Report,
    SettleKind,
    Settlement,
    Signature,
    Stage,
)
from tests.journal.samples import address, assignment, booking, lane_status, outbox_row


class Ticker:
    """A clock that goes one second further at each look."""

    def __init__(self) -> None:
        self.value = 1000.0

    def __call__(self) -> float:
        self.value += 1.0
        return self.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.sqlite"


def settlement(job: Address, pay: int = 120) -> Settlement:
    return Settlement(
        job=job,
        kind=SettleKind.FINISH,
        signature=Signature("sig"),
        slot=9,
        pay=pay,
        payout=address(8),
        reason="",
        fee=5000,
    )


def report(job: Address, mark: str) -> Report:
    return Report(job=job, result_cid=Cid(f"Qr{mark}"), receipt_cid=Cid(f"Qp{mark}"), result_bytes=10, receipt_bytes=20)


async def test_a_job_from_assignment_to_settlement(path: Path) -> None:
    async with await Journal.open(path, Ticker()) as journal:
        a = assignment()
        run, job = a.run.address, a.job.address
        await journal.begin_job(a)
        assert await journal.assignment(run) == a
        assert await journal.stage_record(run, Stage.RUN) is None
        outcome = Outcome(job=job, cause=EndCause.EXPIRED, started_ms=1, ended_ms=2, operations=())
        await journal.finish_stage(run, Stage.RUN, outcome, Stage.REPORT)
        assert await journal.stage_record(run, Stage.RUN) == outcome
        assert [o.stage for o in await journal.open_jobs("main")] == [Stage.REPORT]
        await journal.set_timeout(run, 7200)
        link = await journal.link_receipt(run, "main", Cid("Qr1"), Cid("Qp1"))
        assert link.seq == 1
        await journal.finish_stage(run, Stage.REPORT, report(job, "1"), Stage.SETTLE)
        await journal.settle(run, settlement(job))
    async with await JournalReader.open_readonly(path) as reader:
        (summary,) = await reader.jobs()
        assert (summary.stage, summary.cause, summary.timeout) == (Stage.DONE, EndCause.EXPIRED, 7200)
        assert (summary.result_cid, summary.receipt_cid) == ("Qr1", "Qp1")
        assert summary.settlement == settlement(job)
        assert [time.stage for time in summary.stages] == [Stage.FETCH, Stage.REPORT, Stage.SETTLE, Stage.DONE]
        entered = [time.entered for time in summary.stages]
        assert entered == sorted(entered)
        assert await reader.job(job) == await reader.job(run) == (summary,)
        assert await reader.job("unknown") == ()
        assert await reader.open_jobs("main") == ()


async def test_a_run_seen_twice_begins_once(path: Path) -> None:
    async with await Journal.open(path) as journal:
        a = assignment()
        await journal.begin_job(a)
        await journal.finish_stage(a.run.address, Stage.FETCH, Refusal(a.job.address, "no"), Stage.SETTLE)
        await journal.begin_job(replace(a, slot=99))
        assert await journal.assignment(a.run.address) == a
        (summary,) = await journal.jobs()
        assert (summary.stage, summary.refusal) == (Stage.SETTLE, "no")


async def test_one_job_may_come_as_two_runs(path: Path) -> None:
    async with await Journal.open(path, Ticker()) as journal:
        first = assignment(1)
        second = replace(first, run=replace(first.run, address=address(77)))
        await journal.begin_job(first)
        await journal.begin_job(second)
        assert [s.run for s in await journal.job(first.job.address)] == [address(77), first.run.address]


async def test_records_need_their_run(path: Path) -> None:
    async with await Journal.open(path) as journal:
        with pytest.raises(JournalError):
            await journal.finish_stage(address(5), Stage.FETCH, Refusal(address(6), "no"), Stage.SETTLE)
        with pytest.raises(JournalError):
            await journal.assignment(address(5))


async def test_operations_are_kept_in_order_and_replaced(path: Path) -> None:
    async with await Journal.open(path) as journal:
        a = assignment()
        await journal.begin_job(a)
        states = [
            OperationState(index=index, id=f"op{index}", group="g", status=OperationStatus.RUNNING) for index in (1, 0)
        ]
        for state in states:
            await journal.save_operation(a.run.address, state)
        done = replace(states[0], status=OperationStatus.SUCCESS, exit_code=0, engine_state={"OOMKilled": False})
        await journal.save_operation(a.run.address, done)
        assert await journal.operations(a.run.address) == (states[1], done)


async def test_receipts_are_a_chain_for_each_lane(path: Path) -> None:
    async with await Journal.open(path) as journal:
        third = assignment(3, lane="other")
        jobs = [assignment(1), assignment(2), replace(third, run=replace(third.run, node=address(8))), assignment(4)]
        for number, a in enumerate(jobs):
            await journal.begin_job(a)
            await journal.link_receipt(a.run.address, a.lane, Cid(f"Qr{number}"), Cid(f"Qp{number}"))
        await journal.settle(jobs[0].run.address, settlement(jobs[0].job.address))
        assert await journal.previous_receipt(jobs[1].run.address, "main") == ("Qp0", "sig")
        # Built anew after a crash, a receipt keeps its place.
        again = await journal.link_receipt(jobs[1].run.address, "main", Cid("Qr1"), Cid("new"))
        assert again.seq == 2
        assert await journal.receipt(jobs[1].run.address) == again
        assert await journal.receipt(address(9)) is None
        assert [link.seq for link in await journal.receipts("main")] == [1, 2, 3]
        assert await journal.previous_receipt(jobs[2].run.address, "other") is None
        assert await journal.previous_receipt(jobs[0].run.address, "main") is None
        # The second is not settled (lost, or under way), so that the third's receipt names the first.
        assert await journal.previous_receipt(jobs[3].run.address, "main") == ("Qp0", "sig")
        await journal.settle(jobs[3].run.address, settlement(jobs[3].job.address))
        assert await journal.previous_receipt(address(9), "main") == ("Qp3", "sig")


async def test_lanes_keep_the_operators_wish(path: Path) -> None:
    async with await Journal.open(path) as journal:
        with pytest.raises(JournalError):
            await journal.set_wish("main", "drain")
        await journal.save_lane(lane_status())
        await journal.set_wish("main", "pause", 99.0)
        await journal.set_queued("main", 55.0)
        await journal.save_lane(replace(lane_status(), phase=LanePhase.PAUSED, reason="paused"))
        with pytest.raises(JournalError):
            await journal.set_wish("main", "sleep")
    async with await Journal.open(path) as journal:
        row = await journal.lane("main")
        assert row is not None
        assert (row.wish, row.paused_until, row.queued_since) == ("pause", 99.0, 55.0)
        assert row.status.phase is LanePhase.PAUSED
        assert await journal.lane("other") is None


async def test_outbox_rows(path: Path) -> None:
    async with await Journal.open(path, Ticker()) as journal:
        box = journal.outbox
        await box.put(outbox_row("a"))
        await box.put(outbox_row("b", lane="other"))
        landed = replace(outbox_row("a", attempt=2), state=OutboxState.CONFIRMED, slot=5, fee=7000)
        await box.put(landed)
        assert await box.pending("main") == (landed,)
        assert await box.get("b") == outbox_row("b", lane="other")
        await box.delete("a")
        await box.delete("a")
        assert await box.pending("main") == ()
        assert await box.get("a") is None
        await box.book(booking("finish:x", 5000, lane="main"))
        await box.book(booking("work:y", 7000, lane="main"))
        assert await box.spent_since("main", 0.0) == 12_000
        assert await box.spent_since("main", 1003.0) == 7000
        assert await box.spent_since("other", 0.0) == 0


async def test_events_are_read_from_a_place_on(path: Path) -> None:
    async with await Journal.open(path) as journal:
        for number in range(5):
            await journal.add_event(f"line {number}", lane="main", level="warning")
        first = await journal.events(limit=2)
        assert [e.text for e in first] == ["line 0", "line 1"]
        assert [e.text for e in await journal.events(after=first[-1].id)] == ["line 2", "line 3", "line 4"]
        assert [e.text for e in await journal.latest_events(2)] == ["line 3", "line 4"]


async def test_a_journal_belongs_to_one_chain(path: Path) -> None:
    async with await Journal.open(path) as journal:
        await journal.check_cluster("genesis-a")
        await journal.check_cluster("genesis-a")
        with pytest.raises(WrongCluster, match=r"genesis-a.*genesis-b"):
            await journal.check_cluster("genesis-b")
        assert await journal.meta("genesis_hash") == "genesis-a"
        assert await journal.meta("nothing") is None


async def test_the_file_is_private_and_durable(path: Path) -> None:
    async with await Journal.open(path) as journal:
        await journal.begin_job(assignment())
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        pragmas = await journal._database.read(
            lambda db: [
                db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
        )
        assert pragmas == ["wal", 2, 1]


async def test_a_reader_sees_what_a_running_agent_writes(path: Path) -> None:
    async with await Journal.open(path) as journal, await JournalReader.open_readonly(path) as reader:
        assert await reader.jobs() == ()
        await journal.begin_job(assignment())
        assert len(await reader.jobs()) == 1
        with pytest.raises(JournalError):
            await reader._database.write(Mark.JOURNAL_META, lambda db: db.execute("DELETE FROM jobs"))


async def test_no_journal_yet(path: Path) -> None:
    with pytest.raises(JournalError, match="no journal here yet") as raised:
        await JournalReader.open_readonly(path)
    assert "gpunode run" in raised.value.hint
    assert not path.exists()


async def test_a_newer_schema_is_left_alone(path: Path) -> None:
    async with await Journal.open(path):
        pass
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    db.close()
    before = path.read_bytes()
    for opening in (Journal.open, JournalReader.open_readonly):
        with pytest.raises(JournalError, match="schema") as raised:
            await opening(path)
        assert "update gpunode" in raised.value.hint
    assert path.read_bytes() == before


async def test_a_damaged_file_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"these bytes are no database at all, whatever one does" * 50)
    before = path.read_bytes()
    with pytest.raises(JournalError, match="damaged") as raised:
        await Journal.open(path)
    assert raised.value.hint
    assert path.read_bytes() == before


async def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(JournalError) as raised:
        await Journal.open(file / "journal.sqlite")
    assert raised.value.hint


async def test_a_locked_file_is_an_error_with_a_hint(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.journal.database.LOCK_WAIT", 0.05)
    async with await Journal.open(path) as journal:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="in use"):
            await journal.add_event("x")
        other.execute("ROLLBACK")
        other.close()
        await journal.add_event("x")


async def test_a_closed_journal_says_so(path: Path) -> None:
    journal = await Journal.open(path)
    await journal.close()
    await journal.close()
    with pytest.raises(JournalError, match="closed"):
        await journal.jobs()


async def test_migrations_bring_an_old_file_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    async with await Journal.open(path) as journal:
        await journal.begin_job(assignment())
    longer = (*schema.MIGRATIONS, "ALTER TABLE jobs ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey';")
    db = sqlite3.connect(path, isolation_level=None)
    assert schema.migrate(db, longer) == 1
    assert schema.migrate(db, longer) == 0
    assert db.execute("SELECT colour FROM jobs").fetchall() == [("grey",)]
    db.close()


async def test_a_failing_migration_changes_nothing(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "j.sqlite", isolation_level=None)
    with pytest.raises(sqlite3.Error):
        schema.migrate(db, (schema.MIGRATIONS[0], "CREATE TABLE half (x); CREATE TABLE jobs (x);"))
    db.close()
    db = sqlite3.connect(tmp_path / "j.sqlite", isolation_level=None)
    assert schema.version_of(db) == 1
    assert db.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchall() == []
    db.close()


def test_one_agent_claims_a_journal(path: Path) -> None:
    with claim(path):
        child = os.fork()
        if child == 0:
            try:
                with claim(path):
                    os._exit(0)
            except JournalError as error:
                os._exit(7 if str(os.getppid()) in error.message and error.hint else 8)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    with claim(path):
        pass


@pytest.mark.parametrize(
    "statement",
    [
        # Ends the transaction by itself, as a full disk does.
        "INSERT OR ROLLBACK INTO meta (key, value) VALUES ('twice', NULL)",
        # Fails only at COMMIT, which then leaves the transaction open.
        "INSERT INTO stage_times (run, stage, entered) VALUES ('nobody', 'fetch', 1)",
    ],
)
async def test_a_write_that_fails_in_whatever_way_does_not_stop_the_next(path: Path, statement: str) -> None:
    async with await Journal.open(path) as journal:

        def work(db: sqlite3.Connection) -> None:
            db.execute("PRAGMA defer_foreign_keys = ON")
            db.execute("INSERT INTO meta (key, value) VALUES ('half', 'written')")
            db.execute(statement)

        with pytest.raises(JournalError, match="constraint failed"):
            await journal._database.write(Mark.JOURNAL_META, work)
        assert await journal.meta("half") is None
        await journal.set_meta("next", "written")
        assert await journal.meta("next") == "written"


async def test_a_number_too_large_for_the_file_is_an_error_of_ours(path: Path) -> None:
    async with await Journal.open(path) as journal:
        with pytest.raises(JournalError):
            await journal.outbox.book(booking("x", 2**64, lane="a"))
