"""Which images the agent pulled: only those are ever removed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable

from node.bounded_json import read_json
from node.journal.database import Database
from node.marks import Mark
from node.records import PulledImage

_LIMIT = 16 << 20


class ImageRows:
    """Rows are on disk when a method returns. Raises JournalError when the file cannot be used."""

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def all(self) -> tuple[PulledImage, ...]:
        """Every image, the one that was not asked for the longest first."""

        def work(db: sqlite3.Connection) -> tuple[PulledImage, ...]:
            found = db.execute(
                "SELECT reference, id, bytes, used, before, private FROM images ORDER BY used, reference"
            )
            return tuple(
                PulledImage(reference, id_, size, used, _names(before), bool(private))
                for reference, id_, size, used, before, private in found
            )

        return await self._database.read(work)

    async def begin(self, reference: str, before: Iterable[str], *, private: bool = False) -> None:
        """Store that a pull is about to begin, and the ids of the images that are there."""
        values = (reference, self._now(), json.dumps(sorted(before)), int(private))
        await self._write(
            "INSERT OR REPLACE INTO images (reference, id, bytes, used, before, private) VALUES (?, '', 0, ?, ?, ?)",
            values,
        )

    async def pulled(self, reference: str, id_: str, size: int) -> None:
        """Store what a pull brought."""
        query = "UPDATE images SET id = ?, bytes = ?, before = '[]' WHERE reference = ?"
        await self._write(query, (id_, size, reference))

    async def used(self, reference: str) -> None:
        """Store that a job asks for an image now."""
        await self._write("UPDATE images SET used = ? WHERE reference = ?", (self._now(), reference))

    async def forget(self, reference: str) -> None:
        """Store that an image is not there any more, or not ours; harmless when it is unknown."""
        await self._write("DELETE FROM images WHERE reference = ?", (reference,))

    async def _write(self, query: str, values: tuple[object, ...]) -> None:
        await self._database.write(Mark.JOURNAL_IMAGE, lambda db: db.execute(query, values))


def _names(text: str) -> frozenset[str]:
    return frozenset(map(str, read_json(text, limit=_LIMIT, depth=1)))
