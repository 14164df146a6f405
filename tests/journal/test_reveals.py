"""What the commitments of confidential jobs were made of: kept once, and gone with the job's records."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from node.errors import JournalError
from node.journal import schema
from node.journal.journal import Journal
from node.journal.pruning import DAY, Keep
from node.records import SettleKind, Settlement, Stage
from tests.journal.samples import address, assignment


async def test_what_was_kept_first_stays(tmp_path: Path) -> None:
    a = assignment()
    async with await Journal.open(tmp_path / "j.sqlite") as journal:
        await journal.begin_job(a)
        assert await journal.openings(a.run.address) is None
        assert await journal.reveals.keep(a.run.address, "first") == "first"
        assert await journal.reveals.keep(a.run.address, "second") == "first"
    async with await Journal.open(tmp_path / "j.sqlite") as journal:
        assert await journal.openings(a.run.address) == "first"
        assert (tmp_path / "j.sqlite").stat().st_mode & 0o777 == 0o600
        with pytest.raises(JournalError):
            await journal.reveals.keep(address(99), "of a run that nobody knows")


async def test_it_goes_with_the_records_of_its_job(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path / "j.sqlite", lambda: 1000 * DAY) as journal:
        old, open_one = assignment(1), assignment(2)
        for a in (old, open_one):
            await journal.begin_job(a)
            await journal.reveals.keep(a.run.address, "openings")
        await journal.settle(old.run.address, Settlement(old.job.address, SettleKind.LOST, None, None, 0, None))
        journal._now = lambda: 1181 * DAY

        async def rest() -> None:
            """Nobody waits."""

        await journal.prune(Keep(job_days=180), rest)
        assert await journal.openings(old.run.address) is None
        assert await journal.stage_record(old.run.address, Stage.SETTLE) is None
        assert await journal.openings(open_one.run.address) == "openings"


async def test_a_journal_from_before_gets_the_table(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    before = next(n for n, text in enumerate(schema.MIGRATIONS) if "TABLE reveals" in text)
    db = sqlite3.connect(path, isolation_level=None)
    assert schema.migrate(db, schema.MIGRATIONS[:before]) == before
    db.close()
    path.chmod(0o600)
    async with await Journal.open(path) as journal:
        a = assignment()
        await journal.begin_job(a)
        assert await journal.reveals.keep(a.run.address, "openings") == "openings"
