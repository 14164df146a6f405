"""The desk for remote data, by the settings, and what keeps it in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from node.agent.housekeeping import TIDY_EVERY, OpenWork
from node.container.disk import EngineDisk
from node.container.space import SpaceLedger
from node.content.resources.desk import ResourceDesk
from node.errors import ContainerError, ContentError, GpunodeError
from node.public_network import Exempt
from node.settings import Settings
from node.turns import Turns

log = logging.getLogger(__name__)


def open_desk(settings: Settings, exempt: Exempt) -> ResourceDesk:
    """A desk that keeps `limits.disk_free` free. `exempt`: hosts of a private network that jobs may fetch from,
    beside the settings' own."""

    async def keep_free() -> int:
        return settings.limits.disk_free_bytes

    return _desk(settings, exempt, keep_free)


def open_shared_desk(
    settings: Settings, exempt: Exempt, space: SpaceLedger, disk: EngineDisk, turns: Turns
) -> ResourceDesk:
    """The same for an agent: on the engine's disk it also leaves free what `space` has promised to jobs, and gives way
    to new ones."""
    root = folder_of(settings)

    async def shared() -> bool:
        await asyncio.to_thread(root.mkdir, parents=True, exist_ok=True)
        return await disk.holds(root)

    async def keep_free() -> int:
        floor = settings.limits.disk_free_bytes
        try:
            return floor + (await space.given() if await shared() else 0)
        except (ContainerError, OSError) as error:
            log.debug("what is promised to jobs cannot be told: %s", error)
            return floor

    desk = _desk(settings, exempt, keep_free, turns)

    async def give_way(short: int) -> None:
        try:
            if await shared():
                await desk.give_way(short)
        except ContentError as error:
            log.warning("remote data that nobody uses stay: %s", error)

    space.add_cache(give_way)
    return desk


def _desk(
    settings: Settings, exempt: Exempt, keep_free: Callable[[], Awaitable[int]], turns: Turns | None = None
) -> ResourceDesk:
    return ResourceDesk(
        settings.resources,
        folder_of(settings),
        keep_free=keep_free,
        exempt=exempt,
        denied=settings.network.deny,
        turns=turns,
    )


def folder_of(settings: Settings) -> Path:
    """Where remote data are kept."""
    folder = settings.resources.folder
    return folder.expanduser() if folder is not None else settings.locations.data / "resources"


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
