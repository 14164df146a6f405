"""Uploads that a job does not wait for.

Once one store has a document its job goes on to be settled; the other stores get it from here, and so does the first
where the run was gone before any store would take it. What is owed is in the journal: a restart goes on with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import NoReturn, Protocol

from node.agent.edges import Drawer
from node.errors import ContentError
from node.journal.journal import Journal
from node.journal.uploads import Upload
from node.records import Cid
from node.retry import Clock, Retry

log = logging.getLogger(__name__)

HEAD_START = 90.0
"""Seconds for which the job's own upload is left alone."""
GIVE_UP_AFTER = 7 * 86_400.0
"""Seconds after which a store that will not take a document is not asked for it any more."""
STORE_RETRY = Retry(attempts=1, total=0.0, first=5.0, longest=1_800.0)  # only its waits
PAUSE = 1.0
"""Seconds between two uploads to one store."""
IDLE = 15.0
"""Seconds between looks whether anything is owed."""
KEPT_LIMIT = 1 << 30
"""Bytes read back of a file that this host made itself."""


class Shelf(Protocol):
    """The stores of the settings, by name."""

    @property
    def store_names(self) -> Sequence[str]:
        """Every store, each by a name of its own."""
        ...

    async def offer(self, store: str, name: str, data: bytes) -> Cid:
        """One try at one store. Raises a ContentError."""
        ...


class Courier:
    """Brings to each store what it has not taken yet, one document at a time."""

    def __init__(self, shelf: Shelf, drawer: Drawer, journal: Journal, clock: Clock) -> None:
        self._shelf = shelf
        self._drawer = drawer
        self._journal = journal
        self._clock = clock

    async def run(self) -> NoReturn:
        """Go on for as long as the agent runs. Raises JournalError when the journal cannot be used."""
        await self._forget_unknown()
        async with asyncio.TaskGroup() as group:
            for store in self._shelf.store_names:
                group.create_task(self._serve(store))
            await asyncio.Event().wait()
        raise AssertionError("an event that nobody sets")

    async def _forget_unknown(self) -> None:
        for store in sorted(await self._journal.uploads.stores() - set(self._shelf.store_names)):
            count = await self._journal.uploads.forget_store(store)
            await self._journal.add_event(
                f"{count} documents were still to go to {store}, which is in the settings no more", level="warning"
            )

    async def _serve(self, store: str) -> NoReturn:
        failures = 0
        while True:
            upload = await self._journal.uploads.next(store)
            if upload is None or upload.due > self._clock.time():
                await self._clock.sleep(IDLE)
                continue
            if await self._try(upload):
                failures = 0
                await self._clock.sleep(PAUSE)
            else:
                # The trouble is most likely the store's: its other documents wait as well.
                await self._clock.sleep(STORE_RETRY.wait(min(failures, 10)))
                failures += 1

    async def _try(self, upload: Upload) -> bool:
        """One try; False when the store did not take it."""
        if self._clock.time() - upload.created > GIVE_UP_AFTER:
            await self._drop(upload, f"{upload.store} did not take it in {GIVE_UP_AFTER / 86_400:.0f} days")
            return True
        try:
            data = await self._drawer.fetch(upload.cid, KEPT_LIMIT)
        except ContentError as error:
            await self._drop(upload, f"the copy kept here cannot be read: {error.message}")
            return True
        try:
            await self._shelf.offer(upload.store, upload.name, data)
        except ContentError as error:
            log.info("%s is still owed to %s: %s", upload.name, upload.store, error.message)
            await self._journal.uploads.put_off(upload, self._clock.time() + STORE_RETRY.wait(min(upload.tried, 10)))
            return False
        await self._journal.uploads.took(upload.cid, [upload.store])
        log.info("%s has %s now", upload.store, upload.name)
        return True

    async def _drop(self, upload: Upload, reason: str) -> None:
        await self._journal.uploads.took(upload.cid, [upload.store])
        await self._journal.add_event(
            f"{upload.name} ({upload.cid}) is uploaded no more: {reason}", job=upload.job, level="warning"
        )
