"""Transactions on their way and what they cost: the store behind the chain room's outbox."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from node.journal import rows
from node.journal.database import Database
from node.marks import Mark
from node.records import Booking, OutboxRow


class OutboxRows:
    """Rows are on disk when a method returns. Raises JournalError when the file cannot be used.

    A row holds signed bytes and, in its recipe, secrets of one-time keys: the file's mode 0600 is their guard.
    """

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def put(self, row: OutboxRow) -> None:
        """Store a transaction, replacing an earlier state of the same key."""
        values = rows.outbox_values(row)
        query = f"INSERT OR REPLACE INTO outbox ({rows.OUTBOX_COLUMNS}) VALUES ({', '.join('?' * len(values))})"  # noqa: S608
        await self._database.write(Mark.OUTBOX_PUT, lambda db: db.execute(query, values))

    async def get(self, key: str) -> OutboxRow | None:
        """The transaction with this key, or None."""
        found = await self._select("WHERE key = ?", (key,))
        return found[0] if found else None

    async def pending(self, lane: str) -> tuple[OutboxRow, ...]:
        """A lane's transactions that are not finalized, oldest first."""
        return await self._select("WHERE lane = ? ORDER BY created_at, key", (lane,))

    async def delete(self, key: str) -> None:
        """Forget a transaction; harmless when it is not there."""
        await self._database.write(
            Mark.OUTBOX_DELETE, lambda db: db.execute("DELETE FROM outbox WHERE key = ?", (key,))
        )

    async def book(self, booking: Booking) -> None:
        """Book what a transaction on the chain cost a lane's wallet: once, however often it is told, and as it was told
        last. A booking of nothing takes an earlier one back: the transaction is not on the chain after all."""
        if await self._database.read(lambda db: _is_booked(db, booking)):
            return
        await self._database.write(Mark.OUTBOX_SPENDING, lambda db: _book(db, booking, self._now()))

    async def spent_since(self, lane: str, since: float) -> int:
        """Lamports booked for a lane from `since` (unix seconds) on."""

        def work(db: sqlite3.Connection) -> int:
            query = "SELECT COALESCE(SUM(lamports), 0) FROM spending WHERE lane = ? AND time >= ?"
            return int(db.execute(query, (lane, since)).fetchone()[0])

        return await self._database.read(work)

    async def _select(self, clause: str, values: tuple[object, ...]) -> tuple[OutboxRow, ...]:
        def work(db: sqlite3.Connection) -> tuple[OutboxRow, ...]:
            cursor = db.cursor()
            cursor.row_factory = sqlite3.Row
            found = cursor.execute(f"SELECT {rows.OUTBOX_COLUMNS} FROM outbox {clause}", values)  # noqa: S608
            return tuple(rows.outbox_row(row) for row in found)

        return await self._database.read(work)


def _is_booked(db: sqlite3.Connection, booking: Booking) -> bool:
    """Whether the books say this already."""
    query = "SELECT lamports, fee, priority, certain FROM spending WHERE signature = ?"
    row = db.execute(query, (booking.signature,)).fetchone()
    if row is None:
        return _is_nothing(booking)
    return tuple(row) == (booking.lamports, booking.fee, booking.priority, int(booking.certain))


def _book(db: sqlite3.Connection, booking: Booking, now: float) -> None:
    if _is_nothing(booking):
        db.execute("DELETE FROM spending WHERE signature = ?", (booking.signature,))
        return
    db.execute(
        "INSERT INTO spending (time, lane, purpose, signature, lamports, fee, priority, certain) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (signature) WHERE signature IS NOT NULL DO UPDATE SET "
        "lamports = excluded.lamports, fee = excluded.fee, priority = excluded.priority, certain = excluded.certain",
        (
            now,
            booking.lane,
            booking.purpose,
            booking.signature,
            booking.lamports,
            booking.fee,
            booking.priority,
            int(booking.certain),
        ),
    )


def _is_nothing(booking: Booking) -> bool:
    return not booking.lamports and not booking.fee
