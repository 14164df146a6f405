"""Taking old rows out of the journal, a few at a time, so that no other write waits for it.

What was earned is never pruned: jobs, their stages' times, settlements and receipts stay. Of what was spent, sums stay.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from node.journal import money
from node.journal.database import Database
from node.marks import Mark
from node.records import OutboxState, Stage

AT_ONCE = 200
"""Rows, or jobs, of one transaction."""
DAY = 86_400.0
OUTBOX_DAYS = 30
"""After which a transaction that has landed is final whatever an endpoint says. One that has not landed is kept."""
WORK_DAYS = 30
"""After which a work proof that came to nothing is forgotten; its energy counts for a day."""


@dataclass(frozen=True, slots=True)
class Keep:
    """For how long what is kept; 0: for ever."""

    event_days: float = 90
    events: int = 100_000
    """Events at most, the newest."""
    spending_days: float = 90
    """At least 2: the daily cap counts a day back."""
    job_days: float = 180
    """Stage records, operation states and openings of jobs that are settled; summary, receipt and pay stay."""


class Pruner:
    """Removes what is older than wanted. Raises JournalError when the file cannot be used."""

    def __init__(self, database: Database, now: Callable[[], float], rest: Callable[[], Awaitable[None]]) -> None:
        """`rest` is awaited between two transactions."""
        self._database = database
        self._now = now
        self._rest = rest

    async def prune(self, keep: Keep) -> dict[str, int]:
        """One round over everything; rows removed by table, without those of which none were."""
        now = self._now()
        removed = {
            "events": await self._events(keep, now),
            "spending": await self._spending(keep, now),
            "outbox": await self._outbox(now),
            "work_runs": await self._delete("work_runs", "ended < ? AND outcome != 'done'", (now - WORK_DAYS * DAY,)),
            "jobs": await self._records(keep, now),
        }
        return {table: count for table, count in removed.items() if count}

    async def _events(self, keep: Keep, now: float) -> int:
        count = await self._older("events", "time", keep.event_days, now)
        if keep.events:
            query = "SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET ?"
            newest = await self._database.read(lambda db: db.execute(query, (keep.events,)).fetchone())
            if newest is not None:
                count += await self._delete("events", "id <= ?", (newest[0],))
        return count

    async def _older(self, table: str, column: str, days: float, now: float) -> int:
        return await self._delete(table, f"{column} < ?", (now - days * DAY,)) if days else 0

    async def _spending(self, keep: Keep, now: float) -> int:
        """Bookings become sums, in the same transaction that removes them."""
        if not keep.spending_days:
            return 0
        query = "SELECT id FROM spending WHERE time < ? LIMIT ?"
        values = (now - keep.spending_days * DAY, AT_ONCE)
        count = 0
        while True:
            found = await self._database.read(lambda db: db.execute(query, values).fetchall())
            if not found:
                return count
            await self._database.write(Mark.JOURNAL_PRUNE, lambda db, found=found: money.sum_up(db, found))  # type: ignore[misc]
            count += len(found)
            await self._rest()

    async def _outbox(self, now: float) -> int:
        condition = "created_at < ? AND state != ?"
        return await self._delete("outbox", condition, (now - OUTBOX_DAYS * DAY, OutboxState.SENDING.value))

    async def _records(self, keep: Keep, now: float) -> int:
        """Of a job all records or none; an event or a name of a file may still point to the job itself."""
        if not keep.job_days:
            return 0
        query = (
            "SELECT jobs.run FROM jobs JOIN settlements s ON s.run = jobs.run WHERE jobs.stage = ? AND s.settled < ? "
            "AND EXISTS (SELECT 1 FROM stage_records r WHERE r.run = jobs.run) LIMIT ?"
        )
        values = (Stage.DONE.value, now - keep.job_days * DAY, AT_ONCE)

        def remove(db: sqlite3.Connection, runs: list[tuple[str]]) -> None:
            db.executemany("DELETE FROM stage_records WHERE run = ?", runs)
            db.executemany("DELETE FROM operations WHERE run = ?", runs)
            db.executemany("DELETE FROM reveals WHERE run = ?", runs)

        count = 0
        while True:
            runs = await self._database.read(lambda db: db.execute(query, values).fetchall())
            if not runs:
                return count
            await self._database.write(Mark.JOURNAL_PRUNE, lambda db, runs=runs: remove(db, runs))  # type: ignore[misc]
            count += len(runs)
            await self._rest()

    async def _delete(self, table: str, condition: str, values: tuple[object, ...]) -> int:
        find = f"SELECT rowid FROM {table} WHERE {condition} LIMIT {AT_ONCE}"  # noqa: S608 (names of our own)
        drop = f"DELETE FROM {table} WHERE rowid = ?"  # noqa: S608
        count = 0
        while True:
            found = await self._database.read(lambda db: db.execute(find, values).fetchall())
            if not found:
                return count
            await self._database.write(Mark.JOURNAL_PRUNE, lambda db, found=found: db.executemany(drop, found))  # type: ignore[misc]
            count += len(found)
            await self._rest()
