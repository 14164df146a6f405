"""Writes the journal of a lane that has settled one job and is cut off in the middle of the next, as SQL, by the code
of the checkout it is run in. Run it in one of the last commit before a migration is added, and keep what it prints:

    python -P tests/journal/old/write.py >schema_N.sql
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))

from node.records import LanePhase
from tests.agent.world import World


async def write(folder: Path) -> None:
    """One job to its end, the next until its container runs; then the agent is detached."""
    world = World(folder)
    definition = world.content.offer(b"image")
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        world.chain.assign(1, definition=definition)
        await world.clock.until(lambda: bool(world.engine.running))
        world.engine.exit(0)
        await world.clock.until(lambda: lane.status.phase is LanePhase.QUEUED, limit=30)
        world.chain.assign(2, definition=definition)
        await world.clock.until(lambda: bool(world.engine.running))
        await world.clock.settle()
    with sqlite3.connect(folder / "journal.sqlite") as file:
        print(f"PRAGMA user_version = {file.execute('PRAGMA user_version').fetchone()[0]};")
        print("\n".join(file.iterdump()))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(write(Path(scratch)))
