"""Keeps a job from filling the host's disk: measures what its container has written, and says when that is too much.

Where the storage driver has quotas the engine keeps the layer itself in bounds; the guard stands beside it for what a
quota does not count: files by number, volumes, the files of names that the engine mounts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from node.container.engine import ContainerView, Engine
from node.container.written import NotVisible, Written, written
from node.errors import ContainerError
from node.records import ContainerSpec, Limits, OperationError
from node.retry import Clock

LOOK_SECONDS = 1.0
"""How often the file system's own counters are read; that costs nothing."""
WALK_EVERY = 15.0
"""How often the container is measured even if the disk got no fuller: others may have freed what it took."""
WALK_SHARE = 5
"""Measuring rests this many times as long as it took, so that it never takes more than that part of a processor."""
WALK_SECONDS = 20.0
"""A measurement may take so long; then what was seen counts."""
SLACK_BYTES = 16 * 1024**2
SLACK_INODES = 1000
"""What the disk may take on before it is measured again, at least."""
GIB = 1024**3

OUT_OF_REACH = 1 << 62

log = logging.getLogger(__name__)

Guard = Callable[[str, ContainerSpec], Awaitable[OperationError]]
"""Watches a running container; returns once it must be stopped, with the entry that says why in the result."""


@dataclass(frozen=True, slots=True)
class DiskTerms:
    """Bytes, from the settings."""

    promised: int = OUT_OF_REACH
    """What a job may write in any case (up to its own limit)."""
    floor: int = 0
    """Free space below which a job that has written more than promised is stopped."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a file system says of itself. Bytes and inodes."""

    used: int
    free: int
    inodes: int
    """In use; 0 where the file system does not count them."""


class DiskGuard:
    """Guards the containers of one engine."""

    def __init__(self, engine: Engine, clock: Clock, terms: DiskTerms = DiskTerms()) -> None:
        self._engine = engine
        self._clock = clock
        self._terms = terms
        # One measurement at a time, in a thread that nothing else of the agent waits for.
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="disk-guard")

    async def __call__(self, container: str, spec: ContainerSpec) -> OperationError:
        """Return when this container must be stopped; for ever if nothing bounds it. Raises nothing."""
        limits = spec.limits
        watch = _Watch(self._engine, self._clock, self._pool, self._terms, container, limits)
        while limits.disk_bytes is not None or limits.inodes is not None or self._terms.floor:
            try:
                broken = await watch.look()
            except ContainerError as error:
                log.debug("what container %s has written cannot be told: %s", container[:12], error)
                broken = ""
            if broken:
                log.warning("container %s is stopped: %s", container[:12], broken)
                return OperationError("container-runtime-error", broken)
            await self._clock.sleep(LOOK_SECONDS)
        await asyncio.Event().wait()
        raise AssertionError


class _Watch:
    """One container under guard."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        pool: ThreadPoolExecutor,
        terms: DiskTerms,
        container: str,
        limits: Limits,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._pool = pool
        self._terms = terms
        self._container = container
        self._limits = limits
        self._folder = ""
        self._seen = Written(0, 0)
        self._room: Room | None = None
        self._next_walk = 0.0
        self._walk_by = 0.0

    async def look(self) -> str:
        """One look; why the container must be stopped, or nothing."""
        now = self._clock.monotonic()
        room = await self._room_now()
        if now < self._next_walk or not (now >= self._walk_by or self._has_grown(room)):
            return ""
        view = await self._engine.inspect(self._container)
        if view is None or not view.running:
            return ""
        self._seen = await self._measure(view)
        took = self._clock.monotonic() - now
        self._room = room
        self._next_walk = now + took * (WALK_SHARE + 1)
        self._walk_by = self._next_walk + WALK_EVERY
        return self._judge(room)

    def _judge(self, room: Room | None) -> str:
        most, inodes, seen = self._limits.disk_bytes, self._limits.inodes, self._seen
        if most is not None and seen.bytes > most:
            return f"The job was stopped: it wrote more than its disk limit of {_size(most)}."
        if inodes is not None and seen.inodes > inodes:
            return f"The job was stopped: it made more than {inodes} files, its disk limit."
        if seen.too_deep:
            return "The job was stopped: it made folders nested too deep for its disk limit to be kept."
        is_tight = room is not None and room.free < self._terms.floor
        if is_tight and (seen.bytes > self._terms.promised or not seen.whole):
            return (
                f"The job was stopped: this host's disk is nearly full, and it had written more than the "
                f"{_size(self._terms.promised)} that it was promised."
            )
        return ""

    def _has_grown(self, room: Room | None) -> bool:
        """Whether the disk has taken on a good part of what is still left to this container."""
        if self._room is None or room is None:
            return True
        most, inodes = self._limits.disk_bytes, self._limits.inodes
        left = OUT_OF_REACH if most is None else most - self._seen.bytes
        if room.free < self._terms.floor:
            left = min(left, self._terms.promised - self._seen.bytes)
        inodes_left = OUT_OF_REACH if inodes is None else inodes - self._seen.inodes
        return room.used - self._room.used > max(left // 4, SLACK_BYTES) or room.inodes - self._room.inodes > max(
            inodes_left // 4, SLACK_INODES
        )

    async def _measure(self, view: ContainerView) -> Written:
        if view.writable:
            try:
                return await self._walk(view)
            except (NotVisible, OSError) as error:
                log.debug("container %s is measured by its engine: %s", self._container[:12], error)
        return Written(await self._engine.written(self._container), 0)

    async def _walk(self, view: ContainerView) -> Written:
        given_up = threading.Event()
        walk = partial(
            written,
            view.writable,
            int(view.state.get("Pid") or 0),
            most_inodes=self._limits.inodes,
            seconds=WALK_SECONDS,
            given_up=given_up.is_set,
        )
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, walk)
        except asyncio.CancelledError:
            given_up.set()
            raise

    async def _room_now(self) -> Room | None:
        if not self._folder:
            self._folder = (await self._engine.info()).root_dir or "/"
        return await asyncio.get_running_loop().run_in_executor(self._pool, _room, self._folder)


def _room(folder: str) -> Room | None:
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return Room(
        used=(found.f_blocks - found.f_bfree) * found.f_frsize,
        free=found.f_bavail * found.f_frsize,
        inodes=found.f_files - found.f_ffree,
    )


def _size(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / 1024**2:.0f} MiB"
