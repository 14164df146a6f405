"""Keeps the journal, and the meters' samples, from growing for ever."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import NoReturn

from node.errors import JournalError
from node.journal.journal import Journal
from node.journal.pruning import DAY, Keep
from node.retry import Clock

log = logging.getLogger(__name__)

EVERY = 3_600.0
"""Seconds between two rounds."""
FIRST = 120.0
"""Seconds after the start: what is at hand comes first."""
REST = 0.2
"""Seconds between two transactions."""


class Pruning:
    """The background task that prunes."""

    def __init__(self, journal: Journal, keep: Keep, clock: Clock, samples: Path | None = None) -> None:
        """`samples`: the folder of meters' samples, which go when the records of their jobs do."""
        self._journal = journal
        self._keep = keep
        self._clock = clock
        self._samples = samples

    async def run(self) -> NoReturn:
        """Go on for as long as the agent runs; a journal that cannot be written now is pruned later."""
        await self._clock.sleep(FIRST)
        while True:
            await self.once()
            await self._clock.sleep(EVERY)

    async def once(self) -> None:
        """One round."""
        try:
            removed = await self._journal.prune(self._keep, rest=lambda: self._clock.sleep(REST))
            if removed:
                log.info("journal pruned: %s", ", ".join(f"{count} {name}" for name, count in removed.items()))
        except JournalError as error:
            log.warning("the journal is not pruned: %s", error.line)
        if self._samples is not None and self._keep.job_days:
            before = self._clock.time() - self._keep.job_days * DAY
            await asyncio.to_thread(remove_older, self._samples, before)


def remove_older(folder: Path, before: float) -> None:
    """Remove files of samples that nothing was added to since a unix time."""
    for file in folder.glob("*.jsonl"):
        try:
            if file.stat().st_mtime < before:
                file.unlink()
        except OSError as error:
            log.warning("%s is not removed: %s", file, error.strerror or error)
