"""What one job uses of the host where that is more than one container's affair: disk and memory.

Its disk is what its containers, volumes, own copies of remote data and logs take.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from node.container.cgroup import memory_held
from node.container.engine import JOB_LABEL, ContainerView, Engine, VolumeView
from node.container.written import NotVisible, Written, written
from node.records import ContainerSpec
from node.retry import Clock

LOOK_SECONDS = 1.0
"""How often the file system's own counters are read; that costs nothing."""
WALK_EVERY = 15.0
"""How often a job is measured even if the disk got no fuller: others may have freed what it took."""
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


@dataclass(frozen=True, slots=True)
class DiskTerms:
    """Bytes, from the settings."""

    promised: int = OUT_OF_REACH
    """What a job may write in any case (up to its own limit)."""
    floor: int = 0
    """Free space below which a job that has written more than promised is stopped."""


@dataclass(frozen=True, slots=True)
class Room:
    """What the file systems that a job writes to say of themselves, together. Bytes and inodes."""

    used: int
    free: int
    """Of the one with the least."""
    inodes: int
    """In use; 0 where the file system does not count them."""


class JobWatch:
    """One job under guard. Whoever guards one of its containers looks; that is measured once for all of them."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        pool: ThreadPoolExecutor,
        terms: DiskTerms,
        job: str,
        logs: Path | None,
    ) -> None:
        self.specs: dict[str, ContainerSpec] = {}
        """Of the containers that run, by id."""
        self.crowded = asyncio.Event()
        """Set once more than one of them runs: then their memory is looked at."""
        self._pids: dict[str, int] = {}
        self._engine = engine
        self._clock = clock
        self._pool = pool
        self._terms = terms
        self._job = job
        self._logs = logs
        self._folder = ""
        self._seen = Written(0, 0)
        self._room: Room | None = None
        self._next_look = 0.0
        self._next_walk = 0.0
        self._walk_by = 0.0
        self._broken = ""
        self._one = asyncio.Lock()

    def join(self, container: str, spec: ContainerSpec) -> None:
        """A container of the job runs."""
        self.specs[container] = spec
        self._pids.pop(container, None)
        if len(self.specs) > 1:
            self.crowded.set()

    def leave(self, container: str) -> None:
        """It does not run any more."""
        del self.specs[container]

    async def look(self) -> str:
        """One look; why the job's containers must be stopped, or nothing."""
        async with self._one:
            now = self._clock.monotonic()
            if self._broken or now < self._next_look:
                return self._broken
            self._next_look = now + LOOK_SECONDS / 2
            self._broken = await self._memory_trouble()
            if self._broken or not self._bounds_disk:
                return self._broken
            room = await self._room_now()
            if now < self._next_walk or not (now >= self._walk_by or self._has_grown(room)):
                return ""
            found = [await self._engine.inspect(container) for container in tuple(self.specs)]
            views = [view for view in found if view is not None and view.running]
            if not views:
                return ""
            self._seen = self._less_given(await self._measure(views))
            took = self._clock.monotonic() - now
            self._room = room
            self._next_walk = now + took * (WALK_SHARE + 1)
            self._walk_by = self._next_walk + WALK_EVERY
            self._broken = self._judge(room)
            return self._broken

    # --- bounds ---------------------------------------------------------------------------------------------

    async def _memory_trouble(self) -> str:
        """Each container has the job's limit for itself, kept by the kernel; together they have it once."""
        if len(self.specs) < 2:
            return ""
        for container in tuple(self.specs):
            if container not in self._pids:
                view = await self._engine.inspect(container)
                self._pids[container] = _pid(view) if view is not None and view.running else 0
        pids = [self._pids[container] for container in self.specs if self._pids.get(container)]
        found = await asyncio.get_running_loop().run_in_executor(self._pool, lambda: [memory_held(pid) for pid in pids])
        most = min(spec.limits.memory_bytes for spec in self.specs.values())
        if sum(held or 0 for held in found) <= most:
            return ""
        return f"The job was stopped: its operations together used more memory than its limit of {_size(most)}."

    @property
    def _bounds_disk(self) -> bool:
        return self._most is not None or self._most_inodes is not None or self._terms.floor > 0

    @property
    def _most(self) -> int | None:
        return min((s.limits.disk_bytes for s in self.specs.values() if s.limits.disk_bytes is not None), default=None)

    @property
    def _most_inodes(self) -> int | None:
        return min((s.limits.inodes for s in self.specs.values() if s.limits.inodes is not None), default=None)

    def _judge(self, room: Room | None) -> str:
        most, inodes, seen = self._most, self._most_inodes, self._seen
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
        """Whether the disk has taken on a good part of what is still left to this job."""
        if self._room is None or room is None:
            return True
        most, inodes = self._most, self._most_inodes
        left = OUT_OF_REACH if most is None else most - self._seen.bytes
        if room.free < self._terms.floor:
            left = min(left, self._terms.promised - self._seen.bytes)
        inodes_left = OUT_OF_REACH if inodes is None else inodes - self._seen.inodes
        return room.used - self._room.used > max(left // 4, SLACK_BYTES) or room.inodes - self._room.inodes > max(
            inodes_left // 4, SLACK_INODES
        )

    # --- measuring ------------------------------------------------------------------------------------------

    async def _measure(self, views: Sequence[ContainerView]) -> Written:
        volumes = await self._engine.volumes({JOB_LABEL: self._job})
        if all(view.writable for view in views):
            # A layer first: whether this user can see that one decides.
            places = [view.writable[0] for view in views]
            places += [place for view in views for place in view.writable[1:]]
            try:
                return await self._walk([*places, *_folders(volumes), *self._own()], [_pid(view) for view in views])
            except (NotVisible, OSError) as error:
                log.debug("job %s is measured by its engine: %s", self._job, error)
        ours = await self._walk(self._own(), ())
        theirs = await self._engine.written([view.id for view in views], [volume.name for volume in volumes])
        return Written(ours.bytes + theirs, 0)

    async def _walk(self, places: Sequence[str], pids: Sequence[int]) -> Written:
        given_up = threading.Event()
        walk = partial(
            written, places, pids, most_inodes=self._most_inodes, seconds=WALK_SECONDS, given_up=given_up.is_set
        )
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, walk)
        except asyncio.CancelledError:
            given_up.set()
            raise

    def _less_given(self, seen: Written) -> Written:
        """What the job's copies of remote data had in them from the beginning is not its doing."""
        mounts = [mount for spec in self.specs.values() for mount in spec.folders if mount.writable]
        given = sum({mount.folder: mount.size for mount in mounts}.values())
        return replace(seen, bytes=max(seen.bytes - given, 0))

    def _own(self) -> list[str]:
        """What the agent itself keeps for the job: copies of remote data that it may write to, and its logs."""
        copies = [mount.folder for spec in self.specs.values() for mount in spec.folders if mount.writable]
        return [*dict.fromkeys(copies), *self._log_files()]

    def _log_files(self) -> list[str]:
        return [] if self._logs is None else [str(path) for path in self._logs.glob(f"{self._job}-*.jsonl")]

    async def _room_now(self) -> Room | None:
        if not self._folder:
            self._folder = (await self._engine.info()).root_dir or "/"
        copies = [mount.folder for spec in self.specs.values() for mount in spec.folders if mount.writable]
        folders = [self._folder, *dict.fromkeys(copies)]
        return await asyncio.get_running_loop().run_in_executor(self._pool, _room, folders)


def _folders(volumes: Iterable[VolumeView]) -> list[str]:
    return [volume.folder for volume in volumes if volume.folder]


def _pid(view: ContainerView) -> int:
    return int(view.state.get("Pid") or 0)


def _room(folders: Sequence[str]) -> Room | None:
    found: dict[int, os.statvfs_result] = {}
    try:
        for folder in folders:
            found.setdefault(Path(folder).stat().st_dev, os.statvfs(folder))
    except OSError:
        return None
    return Room(
        used=sum((each.f_blocks - each.f_bfree) * each.f_frsize for each in found.values()),
        free=min(each.f_bavail * each.f_frsize for each in found.values()),
        inodes=sum(each.f_files - each.f_ffree for each in found.values()),
    )


def _size(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / 1024**2:.0f} MiB"
