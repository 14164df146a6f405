"""What can be read of the journal, with or without an agent that writes to it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Self

from node.errors import JournalError
from node.journal import money, rows, totals
from node.journal.codec import decode, decode_any
from node.journal.database import Database
from node.journal.job_filter import EVERY_JOB, JobFilter
from node.journal.job_work import RunEnergy, energy_of
from node.journal.latency import LatencyRows
from node.journal.money import Money
from node.journal.rows import LaneRow, ReceiptLink
from node.journal.work import WorkReader
from node.records import Address, Assignment, Cid, JobSummary, JournalEvent, OperationState, Signature, Stage

ASSIGNED = "assigned"
"""The name under which a run's Assignment is kept among the stage records: watch made it, before any stage."""


class JournalReader:
    """Read access. Every method raises JournalError when the file cannot be read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.work: WorkReader = WorkReader(database)
        """GPU work proofs and precision ladders."""
        self.latency = LatencyRows(database)
        """When runs came to the points of their ways."""

    @classmethod
    async def open_readonly(cls, path: Path) -> JournalReader:
        """Open an existing journal for reading only; raises JournalError (also when there is none)."""
        return JournalReader(await Database.open_readonly(path))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    async def close(self) -> None:
        """Close the file; harmless twice."""
        await self._database.close()

    async def meta(self, key: str) -> str | None:
        """One fact about the journal itself, such as `genesis_hash`."""
        return await self._database.read(lambda db: _meta(db, key))

    async def lanes(self) -> tuple[LaneRow, ...]:
        """Every lane ever seen, by name."""

        def work(db: sqlite3.Connection) -> tuple[LaneRow, ...]:
            found = _named(db).execute(f"SELECT {rows.LANE_COLUMNS} FROM lanes ORDER BY name")  # noqa: S608
            return tuple(rows.lane_row(tuple(row)) for row in found)

        return await self._database.read(work)

    async def lane(self, name: str) -> LaneRow | None:
        """One lane, or None when the journal has not seen it."""
        return next((row for row in await self.lanes() if row.status.lane == name), None)

    async def jobs(self, limit: int = 50, wanted: JobFilter = EVERY_JOB) -> tuple[JobSummary, ...]:
        """The latest runs among those wanted, newest first."""
        return await self._summaries(*wanted.clause(limit))

    async def energy(self, run: str) -> RunEnergy | None:
        """What a run's GPUs used; None where nothing was metered."""
        return await self._database.read(lambda db: energy_of(db, run))

    async def job(self, address: str) -> tuple[JobSummary, ...]:
        """All runs of a job, by job or run address, newest first; empty when unknown."""
        return await self._summaries(
            "WHERE jobs.job = ? OR jobs.run = ? ORDER BY jobs.created DESC, jobs.rowid DESC", (address, address)
        )

    async def open_jobs(self, lane: str) -> tuple[JobSummary, ...]:
        """A lane's runs that are not done, oldest first."""
        return await self._summaries(
            "WHERE jobs.lane = ? AND jobs.stage != ? ORDER BY jobs.created, jobs.rowid", (lane, Stage.DONE.value)
        )

    async def open_runs(self) -> tuple[tuple[str, Address, Stage], ...]:
        """Lane, run and stage of all runs that are not done, in one read."""
        query = "SELECT lane, run, stage FROM jobs WHERE stage != ? ORDER BY created, rowid"
        found = await self._database.read(lambda db: db.execute(query, (Stage.DONE.value,)).fetchall())
        return tuple((str(lane), Address(run), Stage(stage)) for lane, run, stage in found)

    async def assignment(self, run: str) -> Assignment:
        """How a run began; raises JournalError when the run is unknown."""
        record = await self._record(run, ASSIGNED)
        if not isinstance(record, Assignment):
            raise JournalError(f"the journal has no run {run}", hint="gpunode jobs lists those it has")
        return record

    async def stage_record(self, run: str, stage: Stage) -> object | None:
        """The record a stage of a run made, or None while the stage is not over."""
        return await self._record(run, stage.value)

    async def _record(self, run: str, name: str) -> object | None:
        def work(db: sqlite3.Connection) -> object | None:
            query = "SELECT record FROM stage_records WHERE run = ? AND stage = ?"
            row = db.execute(query, (run, name)).fetchone()
            return None if row is None else decode_any(row[0])

        return await self._database.read(work)

    async def operations(self, run: str) -> tuple[OperationState, ...]:
        """The operation states of a run, in order."""

        def work(db: sqlite3.Connection) -> tuple[OperationState, ...]:
            found = db.execute("SELECT state FROM operations WHERE run = ? ORDER BY position", (run,))
            return tuple(decode(text, OperationState) for (text,) in found)

        return await self._database.read(work)

    async def events(self, after: int = 0, limit: int = 200) -> tuple[JournalEvent, ...]:
        """Events with an id greater than `after`, oldest first."""

        def work(db: sqlite3.Connection) -> tuple[JournalEvent, ...]:
            found = _named(db).execute("SELECT * FROM events WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
            return tuple(rows.event(row) for row in found)

        return await self._database.read(work)

    async def latest_events(self, limit: int = 20) -> tuple[JournalEvent, ...]:
        """The newest events, oldest of them first."""

        def work(db: sqlite3.Connection) -> tuple[JournalEvent, ...]:
            found = _named(db).execute("SELECT * FROM events ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
            return tuple(rows.event(row) for row in reversed(found))

        return await self._database.read(work)

    async def receipts(self, lane: str) -> tuple[ReceiptLink, ...]:
        """A lane's chain of receipts, first to last."""

        def work(db: sqlite3.Connection) -> tuple[ReceiptLink, ...]:
            found = _named(db).execute("SELECT * FROM receipts WHERE lane = ? ORDER BY seq", (lane,))
            return tuple(rows.receipt_link(row) for row in found)

        return await self._database.read(work)

    async def receipt(self, run: str) -> ReceiptLink | None:
        """A run's place in its lane's chain, or None while it has no receipt."""

        def work(db: sqlite3.Connection) -> ReceiptLink | None:
            row = _named(db).execute("SELECT * FROM receipts WHERE run = ?", (run,)).fetchone()
            return None if row is None else rows.receipt_link(row)

        return await self._database.read(work)

    async def settle_wire(self, run: str) -> bytes | None:
        """The signed transaction that settled a run; None where it was not this journal's own, or it is not settled."""

        def work(db: sqlite3.Connection) -> bytes | None:
            row = db.execute("SELECT wire FROM settlements WHERE run = ?", (run,)).fetchone()
            return None if row is None or row[0] is None else bytes(row[0])

        return await self._database.read(work)

    async def previous_receipt(self, run: str, lane: str) -> tuple[Cid, Signature] | None:
        """What `prev` of this run's receipt names: the last settled receipt of its key before it (a lost job's receipt
        is on no chain and is passed over), and the signature that settled its job. The lane's own come first; another
        lane's count where the key served under that name before."""

        query = (
            "SELECT r.receipt_cid, r.settle_signature FROM receipts r JOIN jobs j ON j.run = r.run "
            "WHERE r.settle_signature IS NOT NULL "
            "AND j.node = COALESCE((SELECT node FROM jobs WHERE run = ?2), j.node) "
        )
        here = (
            "AND r.lane = ?1 AND r.seq < COALESCE((SELECT seq FROM receipts WHERE run = ?2), 1 << 62) "
            "ORDER BY r.seq DESC LIMIT 1"
        )
        elsewhere = "AND r.lane != ?1 AND r.run != ?2 ORDER BY j.created DESC, r.seq DESC LIMIT 1"

        def work(db: sqlite3.Connection) -> tuple[Cid, Signature] | None:
            row = db.execute(query + here, (lane, run)).fetchone()
            row = row or db.execute(query + elsewhere, (lane, run)).fetchone()
            return None if row is None else (Cid(row[0]), Signature(row[1]))

        return await self._database.read(work)

    async def has_receipts(self, node: str, *, apart_from: str) -> bool:
        """Whether a receipt was made of any other run of this key."""
        query = "SELECT 1 FROM receipts r JOIN jobs j ON j.run = r.run WHERE j.node = ? AND r.run != ? LIMIT 1"
        found = await self._database.read(lambda db: db.execute(query, (node, apart_from)).fetchone())
        return found is not None

    async def openings(self, run: str) -> str | None:
        """What the commitments in a confidential job's receipt were made of, in the proof room's own writing; None: the
        job was none, or that was pruned with its records."""
        query = "SELECT openings FROM reveals WHERE run = ?"
        row = await self._database.read(lambda db: db.execute(query, (run,)).fetchone())
        return None if row is None else str(row[0])

    async def money(self, since: float, until: float) -> Money:
        """What was settled and spent from `since` to before `until` (unix seconds)."""
        return await self._database.read(lambda db: money.read(db, since, until))

    async def totals(self) -> totals.Totals:
        """Sums over everything, by lane and end."""
        return await self._database.read(totals.read)

    async def waits(self, lane: str, count: int = 20) -> tuple[float, ...]:
        """Seconds from the queue to a job, of a lane's last jobs for which that is known; newest first."""
        return await self._database.read(lambda db: money.waits(db, lane, count))

    async def last_paid(self, lane: str) -> float | None:
        """Unix seconds at which a lane's last paid job was settled; None: there was none."""
        return await self._database.read(lambda db: money.last_paid(db, lane))

    async def _summaries(self, clause: str, values: tuple[object, ...]) -> tuple[JobSummary, ...]:
        def work(db: sqlite3.Connection) -> tuple[JobSummary, ...]:
            found = _named(db).execute(rows.JOB_QUERY + clause, values).fetchall()
            return tuple(rows.job_summary(row, _times(db, row["run"])) for row in found)

        return await self._database.read(work)


def _named(db: sqlite3.Connection) -> sqlite3.Cursor:
    """A cursor whose rows can be read by column name."""
    cursor = db.cursor()
    cursor.row_factory = sqlite3.Row
    return cursor


def _meta(db: sqlite3.Connection, key: str) -> str | None:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


_STAGE_ORDER = {stage.value: number for number, stage in enumerate(Stage)}


def _times(db: sqlite3.Connection, run: str) -> list[tuple[str, float]]:
    found = db.execute("SELECT stage, entered FROM stage_times WHERE run = ?", (run,)).fetchall()
    # A stage may be entered within the clock's resolution of the one before, hence not by time alone.
    return sorted(((str(stage), float(entered)) for stage, entered in found), key=lambda item: _STAGE_ORDER[item[0]])
