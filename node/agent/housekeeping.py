"""Keeping the host's disk in order: what of the container engine's is removed, and how much of it jobs are promised."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from node.container.cache import ImageCache, Registries
from node.container.disk import EngineDisk
from node.container.engine import Engine
from node.container.space import ImageSizes, SpaceLedger, SpaceTerms
from node.container.sweeper import Sweeper
from node.errors import ContainerError
from node.journal.journal import Journal
from node.records import Address, Plan, Stage
from node.retry import Clock
from node.settings_isolation import LimitSettings
from node.turns import Turns

SWEEP_EVERY = 60.0
TIDY_EVERY = 300.0
"""Seconds between two looks at the images."""
_BEFORE_THE_END = (Stage.FETCH, Stage.ADMIT, Stage.RUN)

log = logging.getLogger(__name__)


class OpenWork:
    """The runs of all lanes whose work is not over, from the journal."""

    def __init__(self, journal: Journal, lanes: Sequence[str]) -> None:
        self._journal = journal
        self._lanes = frozenset(lanes)
        self._images: dict[Address, Sequence[str]] = {}

    async def __call__(self) -> Mapping[Address, Sequence[str]]:
        """Each run with the images of its plan; none before it is admitted."""
        # One read for all lanes, and one for each new plan: this is asked under a lock, by each lane for each job.
        runs = [
            run
            for lane, run, stage in await self._journal.open_runs()
            if lane in self._lanes and stage in _BEFORE_THE_END
        ]
        self._images = {run: images for run, images in self._images.items() if run in runs}
        work: dict[Address, Sequence[str]] = {}
        for run in runs:
            if run not in self._images:
                plan = await self._journal.stage_record(run, Stage.ADMIT)
                if isinstance(plan, Plan):
                    self._images[run] = [each.image for each in plan.containers]
            work[run] = self._images.get(run, [])
        return work

    async def images(self) -> frozenset[str]:
        """Names of the images that these runs need."""
        return frozenset(name for names in (await self()).values() for name in names)


def image_cache(
    engine: Engine,
    disk: EngineDisk,
    journal: Journal,
    work: OpenWork,
    limits: LimitSettings,
    clock: Clock,
    registries: Registries,
    turns: Turns | None = None,
) -> ImageCache:
    """The images pulled for jobs, within the budget of the settings."""
    budget = limits.image_cache_bytes
    return ImageCache(
        engine, journal.images, work.images, disk, budget=budget, clock=clock, registries=registries, turns=turns
    )


def space_ledger(
    engine: Engine, disk: EngineDisk, cache: ImageCache, work: OpenWork, sizes: ImageSizes, limits: LimitSettings
) -> SpaceLedger:
    """The space promised to jobs, by the terms of the settings."""
    terms = SpaceTerms(floor=limits.disk_free_bytes, job=limits.disk_job_bytes, image=limits.disk_image_bytes)
    return SpaceLedger(engine, cache, disk, sizes, work, terms)


def sweeping(engine: Engine, journal: Journal, lane: str, node: Address, clock: Clock) -> Callable[[], Awaitable[None]]:
    """Removes containers, networks and volumes of this key that no job owns any more, for ever."""

    async def known() -> frozenset[Address]:
        return frozenset(job.job for job in await journal.open_jobs(lane))

    sweeper = Sweeper(engine, node, known, clock=clock)

    async def sweep_for_ever() -> None:
        while True:
            try:
                await sweeper.sweep()
            except ContainerError as error:
                log.debug("not swept: %s", error.message)
            await clock.sleep(SWEEP_EVERY)

    return sweep_for_ever


def tidying(cache: ImageCache) -> Callable[[], Awaitable[None]]:
    """Brings the images back within their budget, for ever."""

    async def tidy_for_ever() -> None:
        while True:
            try:
                for name in await cache.tidy():
                    log.info("image %s removed: the cache is over its budget", name)
            except (ContainerError, OSError) as error:
                log.debug("images not tidied: %s", error)
            await asyncio.sleep(TIDY_EVERY)

    return tidy_for_ever
