"""Keeps the journal from growing for ever."""

from __future__ import annotations

import logging
from typing import NoReturn

from node.errors import JournalError
from node.journal.journal import Journal
from node.journal.pruning import Keep
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

    def __init__(self, journal: Journal, keep: Keep, clock: Clock) -> None:
        self._journal = journal
        self._keep = keep
        self._clock = clock

    async def run(self) -> NoReturn:
        """Go on for as long as the agent runs; a journal that cannot be written now is pruned later."""
        await self._clock.sleep(FIRST)
        while True:
            try:
                removed = await self._journal.prune(self._keep, rest=lambda: self._clock.sleep(REST))
                if removed:
                    log.info("journal pruned: %s", ", ".join(f"{count} {name}" for name, count in removed.items()))
            except JournalError as error:
                log.warning("the journal is not pruned: %s", error.line)
            await self._clock.sleep(EVERY)
