"""The journal's ledger: each transaction counts once, pruning leaves sums, and an old journal keeps its figures."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from node.journal import schema
from node.journal.codec import encode
from node.journal.journal import Journal
from node.journal.money import QUARTER
from node.journal.pruning import DAY, Keep
from node.records import (
    EndCause,
    EnergyReading,
    Gpu,
    GpuTelemetry,
    Outcome,
    PaySource,
    Plan,
    SettleKind,
    Settlement,
    Signature,
    Stage,
)
from tests.journal.samples import assignment, booking, lane_status
from tests.journal.test_pruning import Calendar, no_rest

GPU = Gpu("simulated", 0, "GPU-1", "a GPU", None, None, None, None)
EVER = 10.0**12


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest_asyncio.fixture
async def journal(tmp_path: Path, calendar: Calendar) -> AsyncIterator[Journal]:
    async with await Journal.open(tmp_path / "journal.sqlite", calendar) as opened:
        yield opened


def outcome(number: int, energy: EnergyReading | None) -> Outcome:
    job = assignment(number).job.address
    return Outcome(job, EndCause.COMPLETED, 1_000, 61_000, (), energy=energy)


def paid(number: int, pay: int = 120, **more: object) -> Settlement:
    job = assignment(number).job.address
    made = Settlement(job, SettleKind.FINISH, Signature(f"s{number}"), 9, pay, None, "", 5000)
    return replace(made, **more)  # type: ignore[arg-type]


async def test_a_transaction_is_booked_once_and_as_it_was_told_last(journal: Journal) -> None:
    box = journal.outbox
    first = booking("finish:x", 5000, signature="a")
    for _ in range(2):
        await box.book(first)
    assert await box.spent_since("main", 0) == 5000
    await box.book(replace(first, lamports=-1_234_000, fee=6000))
    assert await box.spent_since("main", 0) == -1_234_000
    await box.book(booking("finish:x", 0, signature="a", fee=0))
    await box.book(booking("finish:x", 0, signature="never booked", fee=0))
    assert await box.spent_since("main", 0) == 0
    assert (await journal.money(0, EVER)).spent == ()


async def test_what_a_job_brought_and_cost_is_together(journal: Journal, calendar: Calendar) -> None:
    given, calendar.now = assignment(1), 50.0
    run = given.run.address
    await journal.save_lane(lane_status())
    await journal.set_queued("main", 40.0)
    await journal.begin_job(given)
    await journal.finish_stage(run, Stage.ADMIT, Plan(given.job.address, "net", (), gpus=(GPU,)), Stage.RUN)
    telemetry = GpuTelemetry("GPU-1", 60, 59.5, 12.3456, "counter")
    energy = EnergyReading(12.3456, "counter", gpus=(telemetry,))
    await journal.finish_stage(run, Stage.RUN, outcome(1, energy), Stage.REPORT)
    await journal.outbox.book(booking(f"finish:{run}", -2_000, fee=6000))
    await journal.settle(run, paid(1, source=PaySource.ACCOUNT, returned=7))
    (job,) = (await journal.money(0, EVER)).jobs
    assert (job.pay, job.pay_source, job.returned) == (120, PaySource.ACCOUNT, 7)
    assert (job.millijoules, job.energy_source, job.metered_ms, job.gpus) == (12_346, "counter", 59_500, ("GPU-1",))
    assert (job.queued_since, job.started_ms, job.ended_ms) == (40.0, 1_000, 61_000)
    (spent,) = (await journal.money(0, EVER)).spent
    assert (spent.run, spent.kind, spent.lamports, spent.fee) == (run, "finish", -2_000, 6000)
    assert (await journal.money(51, EVER)).jobs == (await journal.money(0, 50)).jobs == ()
    summary = (await journal.job(run))[0].settlement
    assert summary is not None
    assert summary.source is PaySource.ACCOUNT


async def test_a_settlement_that_a_fork_took_back_counts_once(journal: Journal) -> None:
    given = assignment(1)
    await journal.begin_job(given)
    await journal.settle(given.run.address, paid(1, 120))
    await journal.reopen(given.run.address, "a fork")
    assert (await journal.money(0, EVER)).jobs == ()
    await journal.settle(given.run.address, paid(1, 125))
    assert [job.pay for job in (await journal.money(0, EVER)).jobs] == [125]


async def test_pruned_bookings_leave_their_sums_and_no_energy_is_lost(journal: Journal, calendar: Calendar) -> None:
    given = assignment(1)
    run = given.run.address
    await journal.begin_job(given)
    await journal.finish_stage(run, Stage.RUN, outcome(1, EnergyReading(5.0, "power")), Stage.REPORT)
    await journal.settle(run, paid(1))
    bookings = [("work:elsewhere", 9_000), (f"finish:{run}", -3_000), (f"finish:{run}", 5_000), ("memo:1", 5_000)]
    for number, (purpose, lamports) in enumerate(bookings * 60):
        calendar.now = 10 * QUARTER + number
        await journal.outbox.book(booking(purpose, lamports, signature=f"number {number}"))
    before = await journal.money(0, EVER)
    calendar.now = 200 * DAY
    assert (await journal.prune(Keep(), no_rest))["spending"] == 240
    after = await journal.money(0, EVER)
    assert after.jobs == before.jobs
    assert {(each.run, each.kind, each.time): (each.lamports, each.fee, each.count) for each in after.spent} == {
        ("elsewhere", "work", 10 * QUARTER): (540_000, 300_000, 60),
        (run, "finish", 10 * QUARTER): (120_000, 600_000, 120),
        ("", "memo", 10 * QUARTER): (300_000, 300_000, 60),
    }
    assert await journal.prune(Keep(), no_rest) == {}


async def test_waits_are_those_of_the_last_jobs(journal: Journal, calendar: Calendar) -> None:
    await journal.save_lane(lane_status())
    for number in range(5):
        calendar.now = float(number)
        if number:
            await journal.set_queued("main", 1_700_000_000 - 10.0 * number)
        await journal.begin_job(assignment(number))
    assert await journal.waits("main", 3) == (40.0, 30.0, 20.0)
    assert await journal.waits("another") == ()


async def test_an_older_journal_keeps_its_figures(tmp_path: Path) -> None:
    """Money of a journal from before: fee and rent as one figure, energy out of the records."""
    path = tmp_path / "journal.sqlite"
    migrations = schema.MIGRATIONS
    with sqlite3.connect(path) as db:
        schema.migrate(db, migrations[: migrations.index(schema._MONEY)])
        for number in (1, 2):
            run, job = assignment(number).run.address, assignment(number).job.address
            db.execute(
                "INSERT INTO jobs VALUES "
                "(?, ?, 'main', 'n', 'm', 'p', 'c', 10, 60, 5, 'done', 'completed', '', 5, '[]')",
                (run, job),
            )
            db.execute(
                "INSERT INTO settlements VALUES (?, 'finish', 's', 1, 60, 'u', ?, 5000, 7)",
                (run, "pay by the job's account: no endpoint has the transaction's record" if number == 2 else ""),
            )
        record = encode(outcome(1, EnergyReading(1.5, "counter")))
        run = assignment(1).run.address
        db.execute("INSERT INTO stage_records VALUES (?, 'run', ?, 6)", (run, record))
        plan = encode(Plan(assignment(1).job.address, "net", (), gpus=(GPU,)))
        db.execute("INSERT INTO stage_records VALUES (?, 'admit', ?, 6)", (run, plan))
        db.execute(
            "INSERT INTO spending (time, lane, purpose, lamports) VALUES (7, 'main', ?, 4000)", (f"finish:{run}",)
        )
    db.close()
    async with await Journal.open(path) as journal:
        money = await journal.money(0, EVER)
    assert money.began > 0
    first, second = money.jobs
    assert (first.millijoules, first.energy_source, first.gpus, first.started_ms) == (1500, "counter", ("GPU-1",), 1000)
    assert (second.millijoules, second.energy_source, second.gpus) == (None, None, ())
    assert (first.pay_source, second.pay_source) == (PaySource.BALANCES, PaySource.ACCOUNT)
    assert [(each.lamports, each.fee, each.count) for each in money.spent] == [(4000, None, 1)]
