"""What the commitments in confidential jobs' receipts were made of, until the jobs' records are pruned."""

from __future__ import annotations

import sqlite3

from node.journal.database import Database
from node.marks import Mark
from node.records import Address


class RevealRows:
    """Rows are on disk when a method returns. Raises JournalError when the file cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, run: Address, openings: str) -> str:
        """Keep a run's openings, in the proof room's own writing, and return what is kept: what was kept first stays,
        because a receipt may have been made of it."""

        def work(db: sqlite3.Connection) -> str:
            db.execute("INSERT OR IGNORE INTO reveals (run, openings) VALUES (?, ?)", (run, openings))
            return str(db.execute("SELECT openings FROM reveals WHERE run = ?", (run,)).fetchone()[0])

        return await self._database.write(Mark.JOURNAL_REVEAL, work)
