"""The desk for remote data, by the settings, and what keeps it in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from node.agent.housekeeping import TIDY_EVERY, OpenWork
from node.content.resources.desk import ResourceDesk
from node.errors import GpunodeError
from node.public_network import Exempt
from node.settings import Settings

log = logging.getLogger(__name__)


def open_desk(settings: Settings, exempt: Exempt) -> ResourceDesk:
    """The desk of an agent. `exempt`: hosts of a private network that jobs may fetch from, beside the settings' own."""
    wanted = settings.resources
    root = wanted.folder.expanduser() if wanted.folder is not None else settings.locations.data / "resources"
    return ResourceDesk(
        wanted,
        root,
        keep_free=settings.limits.disk_free_bytes,
        exempt=exempt,
        denied=settings.network.deny,
    )


def tidying_desk(desk: ResourceDesk, work: OpenWork) -> Callable[[], Awaitable[None]]:
    """Releases what no open run holds, at the start and for ever."""

    async def tidy_for_ever() -> None:
        while True:
            try:
                await desk.tidy(work)
            except GpunodeError as error:
                log.warning("remote data not tidied: %s", error)
            await asyncio.sleep(TIDY_EVERY)

    return tidy_for_ever
