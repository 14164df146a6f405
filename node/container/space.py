"""Disk space given out to jobs before they are admitted, so that several cannot count on the same bytes.

Nothing is kept in the ledger that the journal does not know: what is given out is what the open jobs still need, seen
anew each time. A job that is over has thereby given its space back, however it ended; and a restart changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from node.container.cache import ImageCache
from node.container.disk import EngineDisk
from node.container.engine import Engine
from node.errors import ContainerError, EngineUnavailable
from node.logins import DockerLogin
from node.records import Address

UNPACKED = 3
"""Bytes on the disk for each byte of an image as it travels: what came stays while it is unpacked to about twice."""
MOST_TOLD = 1000
"""Images whose sizes are remembered: posters choose the names."""
GIB = 1024**3

log = logging.getLogger(__name__)

OpenWork = Callable[[], Awaitable[Mapping[Address, Sequence[str]]]]
"""The runs whose work is not over, all lanes', with the images of those that are admitted (others: none)."""


class ImageSizes(Protocol):
    """Knows how large an image is before it is here."""

    async def compressed_bytes(self, reference: str, login: DockerLogin | None = None) -> int | None:
        """Bytes as it travels; None: nobody tells."""
        ...


@dataclass(frozen=True, slots=True)
class SpaceTerms:
    """Bytes, from the settings."""

    floor: int
    """Stays free whatever jobs take."""
    job: int
    """What one job may write, its log included."""
    image: int
    """Taken for an image whose size nobody tells."""


class SpaceLedger:
    """One per host, shared by all lanes."""

    def __init__(
        self,
        engine: Engine,
        cache: ImageCache,
        disk: EngineDisk,
        sizes: ImageSizes,
        open_work: OpenWork,
        terms: SpaceTerms,
    ) -> None:
        self._engine = engine
        self._cache = cache
        self._disk = disk
        self._sizes = sizes
        self._open_work = open_work
        self._terms = terms
        self._told: dict[str, int] = {}
        self._claims: dict[Address, tuple[str, ...]] = {}
        self._lock = asyncio.Lock()
        self._give_way: list[Callable[[int], Awaitable[None]]] = []

    def add_cache(self, give_way: Callable[[int], Awaitable[None]]) -> None:
        """Name another cache on this host: called with the bytes that are short, it lets go of what nobody uses."""
        self._give_way.append(give_way)

    async def given(self) -> int:
        """Bytes that the jobs at hand may still write, and those of their images that are not here yet. Raises
        ContainerError."""
        jobs = await self._others(None)
        missing = await self._missing({name for names in jobs.values() for name in names})
        return self._terms.job * len(jobs) + self._size(missing)

    async def reserve(
        self, run: Address, images: Sequence[str], logins: Mapping[str, DockerLogin] | None = None
    ) -> str:
        """Give a job the space for its images and for what it writes, removing unused images if that helps; empty, or
        why it does not fit. An engine that does not answer is no reason: the job waits for it when it runs.
        `logins`: by image, to ask its registry with."""
        try:
            await self._learn(images, logins or {})
            async with self._lock:
                return await self._reserve(run, tuple(images))
        except EngineUnavailable as error:
            log.warning("space for run %s is not looked at: %s", run, error)
            return ""
        except (ContainerError, OSError) as error:
            return f"the free space of the container engine cannot be told: {error}"

    async def _reserve(self, run: Address, images: tuple[str, ...]) -> str:
        others = await self._others(run)
        missing = await self._missing({*images, *(name for names in others.values() for name in names)})
        mine = self._terms.job + self._size(missing & set(images))
        given = self._terms.job * len(others) + self._size(missing - set(images))
        short = await self._short_by(mine + given)
        if short > 0:
            named = frozenset((*images, *(name for names in others.values() for name in names)))
            await self._cache.make_room(short, named)
            short = await self._short_by(mine + given)
        for give_way in self._give_way:
            if short > 0:
                await give_way(short)
                short = await self._short_by(mine + given)
        if short > 0:
            return (
                f"the job needs {mine / GIB:.1f} GiB of disk, {given / GIB:.1f} GiB are promised to other jobs and "
                f"{self._terms.floor / GIB:.1f} GiB are to stay free: {short / GIB:.1f} GiB too few"
            )
        self._claims[run] = images
        return ""

    async def _others(self, run: Address | None) -> dict[Address, Sequence[str]]:
        """The images of all jobs to which space was given, but this one's."""
        work = await self._open_work()
        self._claims = {each: names for each, names in self._claims.items() if each in work}
        admitted = {each: names for each, names in work.items() if names}
        return {each: names for each, names in {**self._claims, **admitted}.items() if each != run}

    async def _missing(self, images: Iterable[str]) -> set[str]:
        return {name for name in images if await self._engine.image(name) is None}

    def _size(self, images: Iterable[str]) -> int:
        return sum(self._told.get(name, self._terms.image) for name in images)

    async def _short_by(self, wanted: int) -> int:
        return wanted + self._terms.floor - (await self._disk.usage()).free

    async def _learn(self, images: Sequence[str], logins: Mapping[str, DockerLogin]) -> None:
        """Ask for the sizes before anybody waits for the ledger."""
        if len(self._told) > MOST_TOLD:
            self._told.clear()
        for name in await self._missing(images):
            self._told.pop(name, None)  # a name may stand for another image by now
            size = await self._sizes.compressed_bytes(name, logins.get(name))
            if size is not None:
                self._told[name] = size * UNPACKED
