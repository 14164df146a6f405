"""What jobs brought and transactions cost, as the journal has it: exact where the chain told, and marked where not."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from node.records import Address, EndCause, PaySource, SettleKind

QUARTER = 900
"""Seconds of the pieces in which pruned bookings are summed: every time zone's days begin with one."""
FIRST_RUN = frozenset({"work", "finish", "complete", "quit"})
"""Kinds of transaction whose key names a run."""


@dataclass(frozen=True, slots=True)
class JobMoney:
    """One settled run. What is None is not known; it is not zero."""

    run: Address
    job: Address
    lane: str
    market: Address
    price: int
    """Micro-NOS per second."""
    run_time: int
    """Unix seconds at which the chain gave the job to this node."""
    settled: float
    kind: SettleKind
    cause: EndCause | None
    pay: int
    """Micro-NOS."""
    pay_source: PaySource
    returned: int
    """Lamports of rent that came back by somebody else's transaction."""
    queued_since: float | None
    gpus: tuple[str, ...]
    """UUIDs that its containers were given."""
    started_ms: int | None
    """First start of a container; None: it did not run."""
    ended_ms: int | None
    metered_ms: int | None
    millijoules: int | None
    energy_source: str | None
    """`counter`, `power`, `simulated` or `none`; None: nothing was metered."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What transactions cost; several of them where they were summed when they were pruned."""

    time: float
    """Unix seconds; of a sum, the beginning of its quarter of an hour."""
    lane: str
    run: str
    """Empty: for no run."""
    kind: str
    """`work`, `finish`, ...: what the transaction was for."""
    lamports: int
    """Fees and rent; negative when more rent came back."""
    fee: int | None
    """None: an older gpunode did not tell fee and rent apart."""
    priority: int | None
    """Of the fee, what was offered beyond the base fee."""
    count: int
    """Transactions."""
    certain: int
    """Of these, how many the ledger showed; of the others the fee is that of their bytes."""


@dataclass(frozen=True, slots=True)
class Money:
    """What was settled and spent in a span of time."""

    jobs: tuple[JobMoney, ...]
    """In the order in which they were settled."""
    spent: tuple[Spent, ...]
    """In order of time."""
    began: float
    """Unix seconds at which this journal was made: nothing is known of before."""


def read(db: sqlite3.Connection, since: float, until: float) -> Money:
    """What was settled and spent from `since` to before `until` (unix seconds)."""
    created = db.execute("SELECT value FROM meta WHERE key = 'created'").fetchone()
    began = 0.0 if created is None else float(created[0])
    return Money(tuple(_jobs(db, since, until)), tuple(_spent(db, since, until)), began)


def waits(db: sqlite3.Connection, lane: str, count: int) -> tuple[float, ...]:
    """Seconds from the queue to a job, of a lane's last `count` jobs for which that is known; newest first."""
    found = db.execute(
        "SELECT MAX(0.0, jobs.run_time - w.queued_since) FROM jobs JOIN job_work w ON w.run = jobs.run "
        "WHERE jobs.lane = ? AND w.queued_since IS NOT NULL ORDER BY jobs.created DESC LIMIT ?",
        (lane, count),
    )
    return tuple(float(wait) for (wait,) in found)


def last_paid(db: sqlite3.Connection, lane: str) -> float | None:
    """When a lane's last paid job was settled; None: there was none."""
    query = "SELECT MAX(s.settled) FROM settlements s JOIN jobs ON jobs.run = s.run WHERE jobs.lane = ? AND s.pay > 0"
    found = db.execute(query, (lane,)).fetchone()[0]
    return None if found is None else float(found)


def sum_up(db: sqlite3.Connection, bookings: Iterable[tuple[int]]) -> None:
    """Turn bookings (by id) into sums."""
    for (number,) in bookings:
        time, lane, purpose, lamports, fee, priority, certain = db.execute(
            "SELECT time, lane, purpose, lamports, fee, priority, certain FROM spending WHERE id = ?", (number,)
        ).fetchone()
        kind, run = _what_for(purpose)
        # A null makes the sum null: one figure that was not told apart leaves none of its quarter told apart.
        db.execute(
            "INSERT INTO spending_sums (quarter, lane, run, kind, count, lamports, fee, priority, certain) "
            "VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?) ON CONFLICT (quarter, lane, run, kind) DO UPDATE SET "
            "count = count + 1, lamports = lamports + excluded.lamports, fee = fee + excluded.fee, "
            "priority = priority + excluded.priority, certain = certain + excluded.certain",
            (int(time // QUARTER) * QUARTER, lane, run, kind, lamports, fee, priority, certain),
        )
        db.execute("DELETE FROM spending WHERE id = ?", (number,))


def _what_for(purpose: str) -> tuple[str, str]:
    kind, _, rest = purpose.partition(":")
    return kind, rest if kind in FIRST_RUN else ""


_JOBS = """
SELECT jobs.run, jobs.job, jobs.lane, jobs.market, jobs.price, jobs.run_time, s.settled, s.kind, jobs.cause, s.pay,
       s.source, s.returned, w.queued_since, w.gpus, w.started_ms, w.ended_ms, w.metered_ms, w.millijoules,
       w.source AS energy_source
FROM settlements s JOIN jobs ON jobs.run = s.run LEFT JOIN job_work w ON w.run = s.run
WHERE s.settled >= ? AND s.settled < ? ORDER BY s.settled, jobs.rowid
"""


def _jobs(db: sqlite3.Connection, since: float, until: float) -> Iterable[JobMoney]:
    cursor = db.cursor()
    cursor.row_factory = sqlite3.Row
    for row in cursor.execute(_JOBS, (since, until)):
        yield JobMoney(
            run=Address(row["run"]),
            job=Address(row["job"]),
            lane=row["lane"],
            market=Address(row["market"]),
            price=row["price"],
            run_time=row["run_time"],
            settled=row["settled"],
            kind=SettleKind(row["kind"]),
            cause=None if row["cause"] is None else EndCause(row["cause"]),
            pay=row["pay"],
            pay_source=PaySource(row["source"]),
            returned=row["returned"],
            queued_since=row["queued_since"],
            gpus=tuple(map(str, json.loads(row["gpus"] or "[]"))),
            started_ms=row["started_ms"],
            ended_ms=row["ended_ms"],
            metered_ms=row["metered_ms"],
            millijoules=row["millijoules"],
            energy_source=row["energy_source"],
        )


_SPENT = """
SELECT time, lane, purpose, '' AS kind, lamports, fee, priority, 1 AS count, certain FROM spending
WHERE time >= ?1 AND time < ?2
UNION ALL
SELECT quarter AS time, lane, run AS purpose, kind, lamports, fee, priority, count, certain FROM spending_sums
WHERE quarter >= ?1 AND quarter < ?2
ORDER BY time
"""


def _spent(db: sqlite3.Connection, since: float, until: float) -> Iterable[Spent]:
    for time, lane, purpose, kind, lamports, fee, priority, count, certain in db.execute(_SPENT, (since, until)):
        what, run = (kind, purpose) if kind else _what_for(purpose)
        yield Spent(time, lane, run, what, lamports, fee, priority, count, certain)
