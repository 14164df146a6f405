"""What of a run's records is money, or judges it, in a row of its own: it stays when the records are pruned."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from node.records import EnergyReading, Outcome, Plan


@dataclass(frozen=True, slots=True)
class RunEnergy:
    """What a run's GPUs used while it worked."""

    millijoules: int
    source: str
    """`counter` (metered), `power` (integrated samples) or `simulated`."""


def energy_of(db: sqlite3.Connection, run: str) -> RunEnergy | None:
    """A run's energy; None where it is not known."""
    row = db.execute("SELECT millijoules, source FROM job_work WHERE run = ?", (run,)).fetchone()
    return None if row is None or row[0] is None else RunEnergy(int(row[0]), str(row[1]))


def begin(db: sqlite3.Connection, run: str, lane: str) -> None:
    """A run that a lane was just given: since when it had waited."""
    db.execute(
        "INSERT OR IGNORE INTO job_work (run, queued_since) "
        "VALUES (?, (SELECT queued_since FROM lanes WHERE name = ?))",
        (run, lane),
    )


def keep(db: sqlite3.Connection, run: str, record: object) -> None:
    """What a stage's record says of GPUs, time and energy; most say nothing."""
    if isinstance(record, Plan):
        uuids = json.dumps([gpu.uuid for gpu in record.gpus])
        db.execute("UPDATE job_work SET gpus = ? WHERE run = ?", (uuids, run))
    if isinstance(record, Outcome):
        energy = record.energy
        values = (
            record.started_ms,
            record.ended_ms,
            metered_ms(energy),
            None if energy is None or energy.joules is None else round(energy.joules * 1000),
            None if energy is None else energy.source,
        )
        db.execute(
            "UPDATE job_work SET started_ms = ?, ended_ms = ?, metered_ms = ?, millijoules = ?, source = ? "
            "WHERE run = ?",
            (*values, run),
        )


def metered_ms(energy: EnergyReading | None) -> int | None:
    """For how long the GPUs were metered; None where the reading does not tell."""
    if energy is None or not energy.gpus:
        return None
    return round(max(gpu.seconds for gpu in energy.gpus) * 1000)
