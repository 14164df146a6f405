"""Sums over everything the journal has, for who counts what happens: a row for each lane and end, whatever the jobs."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from node.records import OutboxState


@dataclass(frozen=True, slots=True)
class JobTotal:
    """Settled runs of one lane that ended alike."""

    lane: str
    end: str
    """The end's cause, or `quit` and `lost` of runs without pay."""
    jobs: int
    pay: int
    """Micro-NOS."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Since this journal was made."""

    jobs: tuple[JobTotal, ...]
    sending: int
    """Transactions on their way."""


def read(db: sqlite3.Connection) -> Totals:
    """All of them."""
    found = db.execute(
        "SELECT jobs.lane, CASE WHEN s.kind IN ('quit', 'lost') THEN s.kind ELSE COALESCE(jobs.cause, s.kind) END AS "
        "word, COUNT(*), SUM(s.pay) FROM jobs JOIN settlements s ON s.run = jobs.run GROUP BY jobs.lane, word "
        "ORDER BY jobs.lane, word"
    )
    sending = db.execute("SELECT COUNT(*) FROM outbox WHERE state = ?", (OutboxState.SENDING.value,)).fetchone()[0]
    return Totals(tuple(JobTotal(str(lane), str(end), count, pay) for lane, end, count, pay in found), sending)
