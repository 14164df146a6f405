"""The journal as the agent writes it. Each method is one transaction, on disk when it returns."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from node.bounded_json import read_json
from node.errors import JournalError, WrongCluster
from node.journal import job_work as work_rows
from node.journal import latency, rows
from node.journal.codec import encode
from node.journal.database import Database, Relief
from node.journal.gpu_states import GpuStateRows
from node.journal.images import ImageRows
from node.journal.outbox import OutboxRows
from node.journal.pruning import Keep, Pruner
from node.journal.reader import ASSIGNED, JournalReader
from node.journal.reveals import RevealRows
from node.journal.uploads import UploadRows
from node.journal.work import WorkRows
from node.marks import Mark
from node.records import (
    Address,
    Assignment,
    Cid,
    LaneStatus,
    OperationState,
    Outcome,
    Refusal,
    SettleKind,
    Settlement,
    Stage,
)


class Journal(JournalReader):
    """Read and write access. Methods raise JournalError when the file cannot be written."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        super().__init__(database)
        self._now = now
        self.outbox = OutboxRows(database, now)
        """Transactions on their way, and what they cost."""
        self.uploads = UploadRows(database, now)
        """Documents that stores have not taken yet."""
        self.images = ImageRows(database, now)
        """Images that the agent pulled."""
        self.gpu_states = GpuStateRows(database, now)
        """What GPUs were like before the jobs that were given them."""
        self.reveals = RevealRows(database)
        """What the commitments in confidential jobs' receipts were made of."""
        self.work: WorkRows = WorkRows(database, now)
        """GPU work proofs and precision ladders."""

    @classmethod
    async def open(cls, path: Path, now: Callable[[], float] = time.time, relieve: Relief = lambda: False) -> Journal:
        """Open or create the journal at `path` and bring its schema up to date; raises JournalError. `relieve` frees
        some space when the disk is full, and says whether it could."""
        journal = Journal(await Database.open_writable(path, relieve), now)
        created = str(now())
        await journal._database.write(Mark.JOURNAL_CREATED, lambda db: _keep(db, "created", created))
        return journal

    # --- the journal itself ---

    async def set_meta(self, key: str, value: str) -> None:
        """Store one fact about the journal itself."""
        await self._database.write(
            Mark.JOURNAL_META,
            lambda db: db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value)),
        )

    async def check_cluster(self, genesis_hash: str) -> None:
        """Bind the journal to a chain at its first start; afterwards raise WrongCluster for any other one."""
        kept = await self._database.write(Mark.JOURNAL_CLUSTER, lambda db: _keep(db, "genesis_hash", genesis_hash))
        if kept != genesis_hash:
            raise WrongCluster(
                f"this journal belongs to the chain {kept}; the RPC endpoint serves {genesis_hash}",
                hint="check `cluster` and `rpc.urls`, or give this chain its own data folder (paths.data)",
            )

    # --- lanes ---

    async def save_lane(self, status: LaneStatus) -> None:
        """Store a lane's state as shown; its wish stays."""

        def work(db: sqlite3.Connection) -> None:
            values = (status.lane, status.node, status.market, status.phase.value, status.reason, status.since)
            db.execute(
                "INSERT INTO lanes (name, node, market, phase, reason, since) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET node = excluded.node, market = excluded.market, "
                "phase = excluded.phase, reason = excluded.reason, since = excluded.since",
                values,
            )

        await self._database.write(Mark.JOURNAL_LANE, work)

    async def set_wish(self, lane: str, wish: str, paused_until: float | None = None) -> None:
        """Store what the operator asked of a lane: ``, `drain` or `pause` (until unix seconds, or resumed)."""
        await self._update_lane(Mark.JOURNAL_WISH, lane, "wish = ?, paused_until = ?", (wish, paused_until))

    async def set_queued(self, lane: str, since: float | None) -> None:
        """Store that our own `work` put the node into the queue at `since`, or (None) that it is not there."""
        await self._update_lane(Mark.JOURNAL_QUEUED, lane, "queued_since = ?", (since,))

    async def _update_lane(self, mark: Mark, lane: str, assignments: str, values: tuple[object, ...]) -> None:
        def work(db: sqlite3.Connection) -> None:
            changed = db.execute(f"UPDATE lanes SET {assignments} WHERE name = ?", (*values, lane)).rowcount  # noqa: S608
            if changed == 0:
                raise JournalError(f"the journal has no lane {lane!r}", hint="save the lane before its wishes")

        await self._database.write(mark, work)

    # --- jobs ---

    async def begin_job(self, assignment: Assignment) -> None:
        """Store that the chain gave a lane a job; harmless when the run is known already."""

        def work(db: sqlite3.Connection) -> None:
            run, job = assignment.run, assignment.job
            now = self._now()
            made = db.execute(
                "INSERT OR IGNORE INTO jobs (run, job, lane, node, market, poster, definition_cid, price, timeout, "
                "run_time, stage, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.address,
                    job.address,
                    assignment.lane,
                    run.node,
                    job.market,
                    job.project,
                    job.definition_cid,
                    job.price,
                    job.timeout,
                    run.time,
                    Stage.FETCH.value,
                    now,
                ),
            ).rowcount
            if made:
                _put_record(db, run.address, ASSIGNED, encode(assignment), now)
                _enter(db, run.address, Stage.FETCH, now)
                work_rows.begin(db, run.address, assignment.lane)
                latency.begin(db, run.address, assignment.lane, run.time, now)
                # A node that is given a job has left the queue.
                db.execute("UPDATE lanes SET queued_since = NULL WHERE name = ?", (assignment.lane,))

        await self._database.write(Mark.JOURNAL_JOB, work)

    async def begin_life(self, run: Address) -> tuple[float, ...]:
        """Store that this life of the agent works on the run; when each life did that has not said how it ended (unix
        seconds, this one last)."""

        def work(db: sqlite3.Connection) -> tuple[float, ...]:
            lives = (*_lives(db, run), self._now())
            db.execute("UPDATE jobs SET lives = ? WHERE run = ?", (json.dumps(lives), run))
            return lives

        return await self._database.write(Mark.JOURNAL_LIFE, work)

    async def end_life(self, run: Address) -> None:
        """Store that this life of the agent left the run as it should."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("UPDATE jobs SET lives = ? WHERE run = ?", (json.dumps(_lives(db, run)[:-1]), run))

        await self._database.write(Mark.JOURNAL_LIFE, work)

    async def finish_stage(self, run: Address, stage: Stage, record: object, following: Stage) -> None:
        """Store the record that `stage` made and move the run to the stage `following`, in one step."""
        text = encode(record)
        seen = self.latency.seen(run)

        def work(db: sqlite3.Connection) -> None:
            now = self._now()
            _put_record(db, run, stage.value, text, now)
            work_rows.keep(db, run, record)
            latency.put(db, run, {**seen, **latency.of_record(record, now)})
            if isinstance(record, Outcome):
                # Work that was done when it was to be given up is not given up.
                db.execute("UPDATE jobs SET cause = ?, refusal = '' WHERE run = ?", (record.cause.value, run))
            if isinstance(record, Refusal):
                db.execute("UPDATE jobs SET refusal = ? WHERE run = ?", (record.reason, run))
            db.execute("UPDATE jobs SET stage = ? WHERE run = ?", (following.value, run))
            _enter(db, run, following, now)

        await self._database.write(Mark.JOURNAL_STAGE, work)

    async def set_timeout(self, run: Address, seconds: int) -> None:
        """Store that the poster extended the job to `seconds` in all."""
        await self._database.write(
            Mark.JOURNAL_TIMEOUT, lambda db: db.execute("UPDATE jobs SET timeout = ? WHERE run = ?", (seconds, run))
        )

    async def set_quit(self, run: Address, reason: str) -> None:
        """Store that the run is being given up, before its containers are told to stop."""
        await self._database.write(
            Mark.JOURNAL_QUIT, lambda db: db.execute("UPDATE jobs SET refusal = ? WHERE run = ?", (reason, run))
        )

    async def save_operation(self, run: Address, state: OperationState) -> None:
        """Store an operation's state."""
        text = encode(state)
        seen = {**self.latency.seen(run), **latency.of_operation(state)}

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT OR REPLACE INTO operations (run, position, state, written) VALUES (?, ?, ?, ?)",
                (run, state.index, text, self._now()),
            )
            latency.put(db, run, seen)

        await self._database.write(Mark.JOURNAL_OPERATION, work)

    async def link_receipt(
        self,
        run: Address,
        lane: str,
        result_cid: Cid,
        receipt_cid: Cid,
        *,
        work: str | None = None,
        ladder: str | None = None,
    ) -> rows.ReceiptLink:
        """Give a run's receipt its place in the lane's chain; the place of a run never changes. `work`, `ladder`:
        SHA-256 of what the receipt names, which is kept as long as it is."""

        def link(db: sqlite3.Connection) -> rows.ReceiptLink:
            known = db.execute("SELECT seq, settle_signature FROM receipts WHERE run = ?", (run,)).fetchone()
            if known is None:
                last = db.execute("SELECT COALESCE(MAX(seq), 0) FROM receipts WHERE lane = ?", (lane,)).fetchone()[0]
                known = (last + 1, None)
            db.execute(
                "INSERT OR REPLACE INTO receipts (run, lane, seq, receipt_cid, result_cid, settle_signature, work, "
                "ladder) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (run, lane, known[0], receipt_cid, result_cid, known[1], work, ladder),
            )
            return rows.ReceiptLink(run, lane, known[0], receipt_cid, result_cid, known[1])

        return await self._database.write(Mark.JOURNAL_RECEIPT, link)

    async def settle(self, run: Address, settlement: Settlement) -> None:
        """Store how a run was settled and end its way, in one step."""
        text = encode(settlement)
        seen = self.latency.seen(run)

        def work(db: sqlite3.Connection) -> None:
            now = self._now()
            _put_record(db, run, Stage.SETTLE.value, text, now)
            db.execute(
                "INSERT OR REPLACE INTO settlements "
                "(run, kind, signature, slot, pay, payout, reason, fee, source, returned, settled, wire) "
                "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, (SELECT wire FROM outbox WHERE signature = ?3))",
                (
                    run,
                    settlement.kind.value,
                    settlement.signature,
                    settlement.slot,
                    settlement.pay,
                    settlement.payout,
                    settlement.reason,
                    settlement.fee,
                    settlement.source.value,
                    settlement.returned,
                    now,
                ),
            )
            db.execute("UPDATE receipts SET settle_signature = ? WHERE run = ?", (settlement.signature, run))
            if settlement.kind is SettleKind.LOST:
                # A fork may have undone the giving of the job: the key is then back in the queue that it came from.
                db.execute(
                    "UPDATE lanes SET queued_since = ? WHERE name = (SELECT lane FROM jobs WHERE run = ?)", (now, run)
                )
            db.execute("UPDATE jobs SET stage = ? WHERE run = ?", (Stage.DONE.value, run))
            _enter(db, run, Stage.DONE, now)
            latency.put(db, run, {**seen, latency.Moment.SETTLED: round(now * 1000)})

        await self._database.write(Mark.JOURNAL_SETTLEMENT, work)
        self.latency.forget(run)

    async def reopen(self, run: Address, reason: str) -> bool:
        """Take a run's settlement back, because a fork took back what it was made of: its stage is SETTLE again. False
        where the run is unknown or not settled."""

        def work(db: sqlite3.Connection) -> bool:
            done = db.execute(
                "SELECT lane, job FROM jobs WHERE run = ? AND stage = ?", (run, Stage.DONE.value)
            ).fetchone()
            if done is None:
                return False
            db.execute("UPDATE jobs SET stage = ? WHERE run = ?", (Stage.SETTLE.value, run))
            db.execute("DELETE FROM stage_records WHERE run = ? AND stage = ?", (run, Stage.SETTLE.value))
            db.execute("DELETE FROM stage_times WHERE run = ? AND stage = ?", (run, Stage.DONE.value))
            db.execute("DELETE FROM settlements WHERE run = ?", (run,))
            db.execute("DELETE FROM moments WHERE run = ? AND moment = ?", (run, latency.Moment.SETTLED.value))
            # Its receipt keeps the signature until there is another: most often the same bytes land again, and the next
            # receipt, made meanwhile, would otherwise name the one before it.
            db.execute(
                "INSERT INTO events (time, lane, job, level, text) VALUES (?, ?, ?, ?, ?)",
                (self._now(), *done, "warning", reason),
            )
            return True

        return await self._database.write(Mark.JOURNAL_REOPEN, work)

    async def reopen_lost(self, run: Address, reason: str) -> bool:
        """As `reopen`, only where the run was given up as lost."""
        find = "SELECT 1 FROM settlements WHERE run = ? AND kind = ?"
        lost = await self._database.read(lambda db: db.execute(find, (run, SettleKind.LOST.value)).fetchone())
        return lost is not None and await self.reopen(run, reason)

    # --- its size ---

    async def prune(self, keep: Keep, rest: Callable[[], Awaitable[None]]) -> dict[str, int]:
        """Remove what is older than wanted, in many small transactions with a `rest` after each; what was removed."""
        return await Pruner(self._database, self._now, rest).prune(keep)

    # --- events ---

    async def add_event(self, text: str, *, lane: str = "", job: str = "", level: str = "info") -> None:
        """Store one line of what happened."""
        values = (self._now(), lane, job, level, text)
        await self._database.write(
            Mark.JOURNAL_EVENT,
            lambda db: db.execute("INSERT INTO events (time, lane, job, level, text) VALUES (?, ?, ?, ?, ?)", values),
        )


def _lives(db: sqlite3.Connection, run: str) -> tuple[float, ...]:
    row = db.execute("SELECT lives FROM jobs WHERE run = ?", (run,)).fetchone()
    return tuple(map(float, read_json(row[0], limit=1 << 20, depth=1))) if row is not None else ()


def _put_record(db: sqlite3.Connection, run: str, stage: str, text: str, now: float) -> None:
    db.execute(
        "INSERT OR REPLACE INTO stage_records (run, stage, record, written) VALUES (?, ?, ?, ?)",
        (run, stage, text, now),
    )


def _enter(db: sqlite3.Connection, run: str, stage: Stage, now: float) -> None:
    # The first entry counts: a stage that is taken up again after a restart began when it began.
    db.execute("INSERT OR IGNORE INTO stage_times (run, stage, entered) VALUES (?, ?, ?)", (run, stage.value, now))


def _keep(db: sqlite3.Connection, key: str, value: str) -> str:
    """Store a fact once; returns what is stored."""
    db.execute("INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)", (key, value))
    return str(db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])
