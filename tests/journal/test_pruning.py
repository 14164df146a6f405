"""The journal stays small: what nothing depends on goes, what was earned stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from node.journal.journal import Journal
from node.journal.pruning import AT_ONCE, DAY, OUTBOX_DAYS, Keep
from node.marks import Mark, When, listen
from node.records import Address, Cid, OutboxState, Refusal, SettleKind, Settlement, Signature, Stage
from tests.journal.samples import assignment, booking, outbox_row


class Calendar:
    """A clock that stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest_asyncio.fixture
async def journal(tmp_path: Path, calendar: Calendar) -> AsyncIterator[Journal]:
    async with await Journal.open(tmp_path / "journal.sqlite", calendar) as opened:
        yield opened


async def no_rest() -> None:
    """Nothing else writes here."""


async def settled(journal: Journal, number: int) -> Address:
    """A job that was given back, with a receipt."""
    given = assignment(number)
    run = given.run.address
    await journal.begin_job(given)
    await journal.finish_stage(run, Stage.FETCH, Refusal(given.job.address, "no"), Stage.SETTLE)
    await journal.link_receipt(run, "main", Cid("QmResult"), Cid("QmReceipt"))
    await journal.settle(
        run,
        Settlement(given.job.address, SettleKind.FINISH, Signature(f"s{number}"), 9, 120, None, "", 5000),
    )
    return run


async def test_what_is_old_goes_and_what_was_earned_stays(journal: Journal, calendar: Calendar) -> None:
    old = await settled(journal, 1)
    await journal.add_event("old")
    await journal.outbox.book(booking("finish:1", 5000, lane="main"))
    calendar.now = 200 * DAY
    new = await settled(journal, 2)
    waiting = assignment(3)
    await journal.begin_job(waiting)
    await journal.add_event("new")
    await journal.outbox.book(booking("finish:2", 5000, lane="main"))
    assert await journal.prune(Keep(), no_rest) == {"events": 1, "spending": 1, "jobs": 1}
    assert [event.text for event in await journal.events()] == ["new"]
    assert await journal.outbox.spent_since("main", 0) == 5000
    (summary,) = await journal.job(old)
    assert summary.settlement is not None
    assert (summary.settlement.pay, summary.receipt_cid) == (120, "QmReceipt")
    assert [link.run for link in await journal.receipts("main")] == [old, new]
    assert await journal.stage_record(old, Stage.SETTLE) is None
    assert await journal.stage_record(new, Stage.SETTLE) is not None
    assert await journal.assignment(waiting.run.address) == waiting
    assert await journal.prune(Keep(), no_rest) == {}


async def test_a_job_that_waits_for_its_pay_is_never_pruned(journal: Journal, calendar: Calendar) -> None:
    given = assignment(1)
    await journal.begin_job(given)
    calendar.now = 1_000 * DAY
    await journal.prune(Keep(), no_rest)
    assert await journal.assignment(given.run.address) == given


async def test_transactions_that_landed_long_ago_go_and_those_under_way_stay(
    journal: Journal, calendar: Calendar
) -> None:
    for state in OutboxState:
        await journal.outbox.put(replace(outbox_row(state.value), state=state))
    calendar.now = (OUTBOX_DAYS + 1) * DAY
    await journal.prune(Keep(), no_rest)
    assert [row.state for row in await journal.outbox.pending("main")] == [OutboxState.SENDING]


async def test_events_are_bounded_by_number_in_small_transactions(journal: Journal) -> None:
    for number in range(3 * AT_ONCE + 10):
        await journal.add_event(str(number))
    marks: list[tuple[Mark, When]] = []
    rests: list[int] = []

    async def rest() -> None:
        rests.append(len(marks))

    listen(lambda mark, when: marks.append((mark, when)))
    try:
        removed = await journal.prune(Keep(events=10), rest)
    finally:
        listen(None)
    assert removed == {"events": 3 * AT_ONCE}
    assert [event.text for event in await journal.events()] == [str(3 * AT_ONCE + each) for each in range(10)]
    assert marks == [(Mark.JOURNAL_PRUNE, "before"), (Mark.JOURNAL_PRUNE, "after")] * 3
    assert rests == [2, 4, 6]


async def test_nothing_goes_where_all_is_to_be_kept(journal: Journal, calendar: Calendar) -> None:
    run = await settled(journal, 1)
    await journal.add_event("old")
    calendar.now = 10_000 * DAY
    assert await journal.prune(Keep(0, 0, 0, 0), no_rest) == {}
    assert await journal.stage_record(run, Stage.SETTLE) is not None


async def test_a_settled_job_is_opened_again_and_settled_anew(journal: Journal) -> None:
    run = await settled(journal, 1)
    assert await journal.open_jobs("main") == ()
    assert await journal.reopen(run, "a fork")
    assert not await journal.reopen(run, "a fork"), "it is open already"
    (open_job,) = await journal.open_jobs("main")
    assert (open_job.stage, open_job.settlement) == (Stage.SETTLE, None)
    before = await journal.receipt(run)
    assert before is not None
    assert before.settle_signature is not None, "most often the same bytes land again"
    assert [event.text for event in await journal.events()] == ["a fork"]
    await journal.settle(run, Settlement(open_job.job, SettleKind.ALREADY, Signature("anew"), 10, 120, None, "", 5000))
    assert await journal.open_jobs("main") == ()
    link = await journal.receipt(run)
    assert link is not None
    assert (link.seq, link.settle_signature) == (1, "anew")
    assert not await journal.reopen(Address("unknown"), "a fork")
