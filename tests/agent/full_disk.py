"""Run in a mount namespace of its own with a small file system: `python -m tests.agent.full_disk FOLDER SCENE`.

Fills the disk to the last byte and goes on as an agent does. Prints what came of it as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import sys
from pathlib import Path

from node.agent.health.ballast import Ballast, RelievedDrawer, free_bytes
from node.agent.health.probes import DiskProbe
from node.content.store import LocalStore
from node.errors import ContentError, JournalError
from node.journal.journal import Journal

SIZE = 2 * 1024 * 1024


def fill(folder: Path) -> None:
    """Take every block that is left."""
    with (folder / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        for piece in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    if file.write(os.urandom(piece)) == 0:
                        break


async def write_on(journal: Journal, count: int) -> int:
    """Events written, each of several pages, until one fails or there are as many as wanted."""
    for number in range(count):
        try:
            await journal.add_event(f"{number} " + "x" * 8_000)
        except JournalError:
            return number
    return count


def integrity(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return str(db.execute("PRAGMA integrity_check").fetchone()[0])


async def main(folder: Path, scene: str) -> dict[str, object]:
    ballast = Ballast(folder / "ballast", SIZE if scene != "without" else 0)
    relieve = ballast.relieve
    path = folder / "journal.sqlite"
    found: dict[str, object] = {}
    async with await Journal.open(path, relieve=relieve) as journal:
        await journal.add_event("before")
        found["made"] = ballast.restore()
        found["held"] = ballast.held
        fill(folder)
        found["free"] = free_bytes(folder)
        if scene == "content":
            drawer = RelievedDrawer(LocalStore(folder / "content"), folder, ballast)
            data = os.urandom(600_000)
            cid = await drawer.add_file("result", data)
            found["kept"] = await drawer.fetch(cid, 1 << 20) == data
            with contextlib.suppress(ContentError):
                await drawer.add_file("too large", os.urandom(8 << 20))
                found["too_large"] = "kept"
            found["held_after"] = ballast.held
        elif scene != "start":
            found["written"] = await write_on(journal, 40)
            found["held_after"] = ballast.held
            # Beyond all reserves: an error, and no harm.
            found["written_in_all"] = await write_on(journal, 5_000)
            found["held_at_last"] = ballast.held
            found["events"] = len(await journal.events(0, 100_000))
    if scene == "start":
        fill(folder)
        async with await Journal.open(path, relieve=relieve) as journal:
            found["written"] = await write_on(journal, 40)
        found["held_after"] = ballast.held
    found["integrity"] = integrity(path)
    probe = DiskProbe(folder, 0, ballast)
    found["short"] = (await probe.look()).state.value
    (folder / "filler").unlink()
    found["again"] = (await probe.look()).state.value
    found["held_again"] = ballast.held
    async with await Journal.open(path, relieve=relieve) as journal:
        found["writable_again"] = await write_on(journal, 10)
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))))
