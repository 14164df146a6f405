"""GPU work proofs: those under way, what past ones have cost, those that were made; and precision ladders."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from node.journal.database import Database
from node.marks import Mark
from node.records import Cid, OutboxState, Signature, WorkReference
from node.records_proofs import KeptLadder, KeptProof, OpenWork, PastWork

NO_MORE = 1_000_000
"""Signatures of a memo whose proof was given up: what is on its way may land, and nothing is signed anew for it."""

_PROOF = (
    "lane, sha256, cid, root, signature, engine, gpu, made_ms, size, rounds, document_bytes, milliseconds, joules, "
    "metered, seed_slot, seed_time, anchor_slot, anchor_time"
)


class WorkReader:
    """What can be read. Methods raise JournalError when the file cannot be read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self) -> tuple[OpenWork, ...]:
        """Proofs that were begun and not ended, oldest first."""

        def work(db: sqlite3.Connection) -> tuple[OpenWork, ...]:
            found = db.execute(
                "SELECT id, lane, gpu, began, joules, root FROM work_runs WHERE ended IS NULL ORDER BY id"
            )
            return tuple(OpenWork(*row) for row in found)

        return await self._database.read(work)

    async def past(self, since: float) -> tuple[PastWork, ...]:
        """Proofs begun after `since` (unix seconds) that have ended, and each lane's last of each GPU, oldest first."""

        def work(db: sqlite3.Connection) -> tuple[PastWork, ...]:
            found = db.execute(
                "SELECT lane, gpu, began, joules, outcome FROM work_runs WHERE ended IS NOT NULL AND (began > ?1 OR id "
                "IN (SELECT MAX(id) FROM work_runs WHERE outcome = 'done' GROUP BY lane, gpu)) ORDER BY id",
                (since,),
            )
            return tuple(PastWork(row[0], row[1], row[2], row[3], row[4] == "done") for row in found)

        return await self._database.read(work)

    async def newest(self, lane: str) -> KeptProof | None:
        """A lane's newest proof."""

        def work(db: sqlite3.Connection) -> KeptProof | None:
            row = db.execute(
                f"SELECT {_PROOF} FROM work_proofs WHERE lane = ? ORDER BY run DESC LIMIT 1",  # noqa: S608
                (lane,),
            ).fetchone()
            return None if row is None else _proof(row)

        return await self._database.read(work)

    async def ladders(self) -> tuple[KeptLadder, ...]:
        """The newest ladder of each device, the newest first."""

        def work(db: sqlite3.Connection) -> tuple[KeptLadder, ...]:
            found = db.execute(
                "SELECT digest, body, gpu, measured_ms FROM ladders AS one WHERE digest = (SELECT digest FROM ladders "
                "WHERE gpu = one.gpu ORDER BY measured_ms DESC, digest LIMIT 1) ORDER BY measured_ms DESC"
            )
            return tuple(KeptLadder(digest, bytes(body), gpu, at) for digest, body, gpu, at in found)

        return await self._database.read(work)

    async def ladder_for(self, gpus: Sequence[str]) -> str | None:
        """Digest of the newest ladder of these GPUs, else of the processors; None where neither was measured."""
        known = await self.ladders()
        own = [each for each in known if each.gpu in gpus] or [each for each in known if each.gpu == "cpu"]
        return own[0].digest if own else None


class WorkRows(WorkReader):
    """Rows are on disk when a method returns. Raises JournalError when the file cannot be written."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        super().__init__(database)
        self._now = now

    async def begin(self, lane: str, gpu: str, engine: str, joules: float) -> int:
        """A proof begins that can cost so much at most; its number."""

        def work(db: sqlite3.Connection) -> int:
            row = db.execute(
                "INSERT INTO work_runs (lane, gpu, engine, began, joules) VALUES (?, ?, ?, ?, ?)",
                (lane, gpu, engine, self._now(), joules),
            )
            return int(row.lastrowid or 0)

        return await self._database.write(Mark.JOURNAL_WORK, work)

    async def rooted(self, run: int, root: str) -> None:
        """Its root, before the memo that anchors it is sent."""
        await self._database.write(
            Mark.JOURNAL_WORK_ROOT, lambda db: db.execute("UPDATE work_runs SET root = ? WHERE id = ?", (root, run))
        )

    async def give_up(self, run: int, outcome: str, joules: float, memo_key: str | None) -> None:
        """It ends without a proof: `cut`, `failed`, or `lost` with an earlier life of the agent. `memo_key`: of the
        memo in the outbox, which may land and is not signed anew."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE work_runs SET ended = ?, outcome = ?, joules = ? WHERE id = ?",
                (self._now(), outcome, joules, run),
            )
            if memo_key is not None:
                db.execute(
                    "UPDATE outbox SET attempt = ? WHERE key = ? AND state = ?",
                    (NO_MORE, memo_key, OutboxState.SENDING.value),
                )

        await self._database.write(Mark.JOURNAL_WORK, work)

    async def done(self, run: int, proof: KeptProof, name: str, stores: Sequence[str]) -> None:
        """It is made; each store is to have its document, which is kept on this host by now."""
        made = proof.reference
        values = (
            *(run, proof.lane, made.sha256, made.cid, made.root, made.signature, made.engine, made.gpu, made.made_ms),
            *(proof.size, proof.rounds, proof.document_bytes, proof.milliseconds, proof.joules, int(proof.metered)),
            *(proof.seed_slot, proof.seed_time, proof.anchor_slot, proof.anchor_time),
        )

        def work(db: sqlite3.Connection) -> None:
            now = self._now()
            db.execute(
                "UPDATE work_runs SET ended = ?, outcome = 'done', joules = ? WHERE id = ?", (now, proof.joules, run)
            )
            marks = ", ".join("?" * len(values))
            db.execute(f"INSERT INTO work_proofs (run, {_PROOF}) VALUES ({marks})", values)  # noqa: S608
            db.executemany(
                "INSERT OR IGNORE INTO uploads (cid, store, name, job, created, tried, due) "
                "VALUES (?, ?, ?, '', ?, 0, ?)",
                [(made.cid, store, name, now, now) for store in stores],
            )

        await self._database.write(Mark.JOURNAL_WORK_PROOF, work)

    async def superfluous(self, before: float) -> tuple[tuple[int, Cid], ...]:
        """Proofs made before a time (unix seconds) whose documents nobody needs: not the newest of their lane, named
        by no receipt, owed to no store. Number and CID."""

        def work(db: sqlite3.Connection) -> tuple[tuple[int, Cid], ...]:
            found = db.execute(
                "SELECT run, cid FROM work_proofs WHERE made_ms < ? "
                "AND run NOT IN (SELECT MAX(run) FROM work_proofs GROUP BY lane) "
                "AND sha256 NOT IN (SELECT work FROM receipts WHERE work IS NOT NULL) "
                "AND cid NOT IN (SELECT cid FROM uploads) ORDER BY run LIMIT 200",
                (int(before * 1000),),
            )
            return tuple((run, Cid(cid)) for run, cid in found)

        return await self._database.read(work)

    async def forget(self, runs: Sequence[int]) -> None:
        """Forget proofs whose documents are gone; that they were made, and what they cost, stays."""
        values = [(run,) for run in runs]
        await self._database.write(
            Mark.JOURNAL_WORK, lambda db: db.executemany("DELETE FROM work_proofs WHERE run = ?", values)
        )

    async def add_ladder(self, ladder: KeptLadder) -> None:
        """Keep a ladder; harmless twice."""
        values = (ladder.digest, ladder.gpu, ladder.measured_ms, ladder.body)
        await self._database.write(
            Mark.JOURNAL_LADDER,
            lambda db: db.execute(
                "INSERT OR IGNORE INTO ladders (digest, gpu, measured_ms, body) VALUES (?, ?, ?, ?)", values
            ),
        )


def _proof(row: Sequence[object]) -> KeptProof:
    lane, sha256, cid, root, signature, engine, gpu, made_ms, *rest = row
    size, rounds, document_bytes, milliseconds, joules, metered, *moments = rest
    reference = WorkReference(
        sha256=str(sha256),
        cid=Cid(str(cid)),
        root=str(root),
        signature=Signature(str(signature)),
        engine=str(engine),
        gpu=str(gpu),
        made_ms=_whole(made_ms),
    )
    seed_slot, seed_time, anchor_slot, anchor_time = moments
    return KeptProof(
        lane=str(lane),
        reference=reference,
        size=_whole(size),
        rounds=_whole(rounds),
        document_bytes=_whole(document_bytes),
        milliseconds=_whole(milliseconds),
        joules=float(joules) if isinstance(joules, int | float) else 0.0,
        metered=bool(metered),
        seed_slot=_whole(seed_slot),
        seed_time=None if seed_time is None else _whole(seed_time),
        anchor_slot=_whole(anchor_slot),
        anchor_time=None if anchor_time is None else _whole(anchor_time),
    )


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a cell that holds no whole number")
    return value
