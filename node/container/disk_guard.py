"""Keeps a job from filling the host's disk: has measured what it has written, and says when that is too much.

Where the storage driver has quotas the engine keeps each layer itself in bounds; the guard stands beside it for what a
quota does not count: files by number, volumes, the files of names that the engine mounts, several layers together. So
it does for the memory of several containers.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from node.container.disk_watch import LOOK_SECONDS, DiskTerms, JobWatch
from node.container.engine import JOB_LABEL, Engine
from node.errors import ContainerError
from node.records import ContainerSpec, OperationError
from node.retry import Clock

log = logging.getLogger(__name__)

Guard = Callable[[str, ContainerSpec], Awaitable[OperationError]]
"""Watches a running container; returns once it must be stopped, with the entry that says why in the result."""

PLAIN_TERMS = DiskTerms()


class DiskGuard:
    """Guards the containers of one engine: all of one job together, so that a job of many operations has one budget."""

    def __init__(self, engine: Engine, clock: Clock, terms: DiskTerms = PLAIN_TERMS, logs: Path | None = None) -> None:
        """`logs`: the folder of the operations' logs, which count as well."""
        self._engine = engine
        self._clock = clock
        self._terms = terms
        self._logs = logs
        # One measurement at a time, in a thread that nothing else of the agent waits for.
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="disk-guard")
        self._watches: dict[str, JobWatch] = {}

    async def __call__(self, container: str, spec: ContainerSpec) -> OperationError:
        """Return when this container must be stopped; for ever if nothing bounds it. Raises nothing."""
        job = dict(spec.labels).get(JOB_LABEL) or container
        watch = self._watches.get(job)
        if watch is None:
            watch = JobWatch(self._engine, self._clock, self._pool, self._terms, job, self._logs)
            self._watches[job] = watch
        watch.join(container, spec)
        try:
            return await self._guard(container, watch)
        finally:
            watch.leave(container)
            if not watch.specs:
                self._watches.pop(job, None)

    async def _guard(self, container: str, watch: JobWatch) -> OperationError:
        limits = watch.specs[container].limits
        if limits.disk_bytes is None and limits.inodes is None and not self._terms.floor:
            await watch.crowded.wait()  # alone and without bounds on the disk there is nothing to see to
        while True:
            try:
                broken = await watch.look()
            except ContainerError as error:
                log.debug("what the job of container %s uses cannot be told: %s", container[:12], error)
                broken = ""
            if broken:
                log.warning("container %s is stopped: %s", container[:12], broken)
                return OperationError("container-runtime-error", broken)
            await self._clock.sleep(LOOK_SECONDS)
