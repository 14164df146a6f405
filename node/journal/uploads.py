"""Uploads that a store still owes us: documents kept on this host that it has not taken yet."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node.journal.database import Database
from node.marks import Mark
from node.records import Address, Cid


@dataclass(frozen=True, slots=True)
class Upload:
    """One document that one store is to take."""

    cid: Cid
    store: str
    name: str
    """File name, for people."""
    job: Address
    created: float
    """Unix seconds."""
    tried: int
    """How often, in the background."""
    due: float
    """Unix seconds before which it is not tried."""


_COLUMNS = "cid, store, name, job, created, tried, due"


class UploadRows:
    """Rows are on disk when a method returns. Raises JournalError when the file cannot be used."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def owe(self, job: Address, documents: Sequence[tuple[Cid, str]], stores: Sequence[str], due: float) -> None:
        """Note that each store is to have each document (CID, name); what is noted already stays as it is."""
        now = self._now()
        values = [(cid, store, name, job, now, 0, due) for cid, name in documents for store in stores]
        query = f"INSERT OR IGNORE INTO uploads ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
        await self._database.write(Mark.JOURNAL_UPLOADS, lambda db: db.executemany(query, values))

    async def took(self, cid: Cid, stores: Sequence[str]) -> None:
        """These stores have the document, or are not waited for any more."""
        query = "DELETE FROM uploads WHERE cid = ? AND store = ?"
        values = [(cid, store) for store in stores]
        await self._database.write(Mark.JOURNAL_UPLOADS, lambda db: db.executemany(query, values))

    async def put_off(self, upload: Upload, due: float) -> None:
        """It was tried in vain, and is tried again at `due` (unix seconds)."""
        query = "UPDATE uploads SET tried = tried + 1, due = ? WHERE cid = ? AND store = ?"
        await self._database.write(Mark.JOURNAL_UPLOADS, lambda db: db.execute(query, (due, upload.cid, upload.store)))

    async def next(self, store: str) -> Upload | None:
        """What is due first at a store, whether or not its time has come."""

        def work(db: sqlite3.Connection) -> Upload | None:
            query = f"SELECT {_COLUMNS} FROM uploads WHERE store = ? ORDER BY due, created, cid LIMIT 1"  # noqa: S608
            row = db.execute(query, (store,)).fetchone()
            return None if row is None else Upload(*row)

        return await self._database.read(work)

    async def stores(self) -> frozenset[str]:
        """The stores that owe something."""
        found = await self._database.read(lambda db: db.execute("SELECT DISTINCT store FROM uploads").fetchall())
        return frozenset(str(store) for (store,) in found)

    async def forget_store(self, store: str) -> int:
        """Forget what a store owes that is not in the settings any more; how much that was."""
        return await self._database.write(
            Mark.JOURNAL_UPLOADS, lambda db: db.execute("DELETE FROM uploads WHERE store = ?", (store,)).rowcount
        )

    async def owed(self) -> int:
        """How many uploads are owed in all."""
        count = await self._database.read(lambda db: db.execute("SELECT COUNT(*) FROM uploads").fetchone()[0])
        return int(count)
