"""What a lane's GPUs were like before the job that was given them, until they were looked at after it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from node.journal.database import Database
from node.marks import Mark
from node.records import Address


@dataclass(frozen=True, slots=True)
class KeptStates:
    """The states before one run."""

    run: Address
    taken: float
    """Unix seconds."""
    states: dict[str, str]
    """By the GPU's UUID, in the gpu room's own writing."""


class GpuStateRows:
    """Rows are on disk when a method returns. Raises JournalError when the file cannot be used."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def put(self, lane: str, run: Address, states: Mapping[str, str]) -> None:
        """Store what the lane's GPUs are like before a run; what was kept before is over."""
        now = self._now()

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM gpu_states WHERE lane = ?", (lane,))
            db.executemany(
                "INSERT INTO gpu_states (lane, uuid, run, taken, state) VALUES (?, ?, ?, ?, ?)",
                [(lane, uuid, run, now, state) for uuid, state in states.items()],
            )

        await self._database.write(Mark.JOURNAL_GPU, work)

    async def of(self, lane: str) -> KeptStates | None:
        """What is kept for a lane; None: its GPUs were looked at since its last job."""

        def work(db: sqlite3.Connection) -> KeptStates | None:
            rows = db.execute(
                "SELECT run, taken, uuid, state FROM gpu_states WHERE lane = ? ORDER BY uuid", (lane,)
            ).fetchall()
            if not rows:
                return None
            return KeptStates(Address(rows[0][0]), rows[0][1], {uuid: state for _, _, uuid, state in rows})

        return await self._database.read(work)

    async def clear(self, lane: str) -> None:
        """The lane's GPUs are as they should be."""
        await self._database.write(
            Mark.JOURNAL_GPU, lambda db: db.execute("DELETE FROM gpu_states WHERE lane = ?", (lane,))
        )
