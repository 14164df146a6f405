"""How much of the host's disk a job has written: its folders walked, and the files it has deleted but keeps open.

The folders belong to a stranger who may change them while they are walked. So nothing is opened by a path of more than
one step, no link is followed, and files, depth and time are bounded; what is counted may be out of date, never outside.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node.container.cgroup import processes

BLOCK = 512
"""Bytes of a block as `stat` counts them."""
DEEPEST = 256
"""Folders within folders that are gone into. No software nests so deep; who does hides something."""
REST_AFTER = 2000
"""Entries after which the walk lets other threads of the agent run."""

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Written:
    """What was found on the disk."""

    bytes: int
    """As the disk counts them: holes of sparse files cost nothing, a file with many names costs once."""
    inodes: int
    whole: bool = True
    """Whether all was seen; otherwise it is at least so much."""
    too_deep: bool = False
    """Whether there are folders deeper than `DEEPEST`."""


class NotVisible(Exception):
    """The container's folders cannot be looked into by this user."""


def written(
    places: Sequence[str],
    pids: Sequence[int],
    *,
    most_inodes: int | None,
    seconds: float,
    given_up: Callable[[], bool] = lambda: False,
    proc: Path = _PROC,
) -> Written:
    """Measure these folders and files, and the deleted files held open by the containers of these processes (0: it does
    not run). Ends early, with `whole` False, beyond `most_inodes`, after `seconds`, or when `given_up` says so. Blocks.

    Raises NotVisible where the first of the places (the container's own layer) cannot be read by this user.
    """
    walk = _Walk(most_inodes, time.monotonic() + seconds, given_up)
    for number, place in enumerate(dict.fromkeys(places)):  # several containers share volumes
        try:
            walk.place(place)
        except FileNotFoundError:
            continue
        except PermissionError as error:
            if number == 0:
                raise NotVisible(str(error)) from None
            walk.whole = False
        except _Enough:
            break
    else:
        for pid in filter(None, pids):
            walk.deleted(pid, proc)
    return Written(walk.bytes, walk.inodes, walk.whole, walk.too_deep)


class _Enough(Exception):
    """A bound was met."""


@dataclass(slots=True)
class _Level:
    """A folder that is gone into."""

    fd: int
    folders: list[str] = field(default_factory=list)
    """Names of its folders that were not gone into yet."""


class _Walk:
    def __init__(self, most_inodes: int | None, until: float, given_up: Callable[[], bool]) -> None:
        self.bytes = 0
        self.inodes = 0
        self.whole = True
        self.too_deep = False
        self._most = most_inodes
        self._until = until
        self._given_up = given_up
        self._steps = 0
        self._seen: set[tuple[int, int]] = set()
        self._devices: set[int] = set()

    def place(self, path: str) -> None:
        """Count a folder with all below it, or a file."""
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(fd)
            self._devices.add(found.st_dev)
            self._count(found)
            if stat.S_ISDIR(found.st_mode):
                # Its own descriptor: the walk closes those it goes through.
                self._tree(os.dup(fd), found.st_dev)
        finally:
            os.close(fd)

    def deleted(self, pid: int, proc: Path) -> None:
        """Count files without a name that the container's processes hold open or mapped."""
        try:
            for process in processes(pid, proc):
                folder = proc / str(process)
                with_root = self._devices | _device(folder / "root")
                for link in (*_links(folder / "fd"), *_deleted_maps(folder)):
                    self._tick()
                    found = _status(link)
                    if found is None or found.st_nlink or not stat.S_ISREG(found.st_mode):
                        continue
                    if found.st_dev in with_root:  # others are memory: /dev/shm, memfd
                        self._count(found, is_named=False)
        except _Enough:
            return

    def _tree(self, top: int, device: int) -> None:
        levels = [_Level(top)]
        try:
            levels[-1].folders = self._entries(top, device)
            while levels:
                if not levels[-1].folders:
                    os.close(levels.pop().fd)
                    continue
                below = _open_folder(levels[-1].folders.pop(), levels[-1].fd)
                if below is None:
                    continue
                levels.append(_Level(below))  # before it is read, so that it is closed whatever happens
                if len(levels) > DEEPEST:
                    self.too_deep, self.whole = True, False
                    raise _Enough
                levels[-1].folders = self._entries(below, device)
        finally:
            for level in levels:
                os.close(level.fd)

    def _entries(self, fd: int, device: int) -> list[str]:
        """Count what is in a folder; the names of its folders."""
        folders: list[str] = []
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    self._tick()
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue  # gone meanwhile
                    if found.st_dev != device:
                        continue  # something of the host's is mounted there
                    self._count(found)
                    if stat.S_ISDIR(found.st_mode):
                        folders.append(entry.name)
        except OSError:
            self.whole = False
        return folders

    def _count(self, found: os.stat_result, *, is_named: bool = True) -> None:
        if not stat.S_ISDIR(found.st_mode) and (found.st_nlink > 1 or not is_named):
            key = (found.st_dev, found.st_ino)
            if key in self._seen:
                return
            self._seen.add(key)
        self.bytes += found.st_blocks * BLOCK
        self.inodes += 1

    def _tick(self) -> None:
        if self._most is not None and self.inodes > self._most:
            self.whole = False
            raise _Enough
        self._steps += 1
        if self._steps % REST_AFTER == 0:
            time.sleep(0.0005)
            if time.monotonic() > self._until or self._given_up():
                self.whole = False
                raise _Enough


def _open_folder(name: str, fd: int) -> int | None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, dir_fd=fd)
    except OSError:
        return None


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _device(path: Path) -> set[int]:
    found = _status(path)
    return set() if found is None else {found.st_dev}


def _links(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield folder / entry.name
    except OSError:
        return


def _deleted_maps(folder: Path) -> Iterable[Path]:
    """Mapped files without a name; a mapping keeps a file as an open descriptor does."""
    try:
        with (folder / "maps").open("rb") as maps:
            ranges = [line.split(b" ", 1)[0] for line in maps if line.endswith(b" (deleted)\n")]
    except OSError:
        return ()
    # The listing pads its numbers with zeros, the folder does not.
    pairs = (tuple(int(end, 16) for end in found.split(b"-")) for found in ranges)
    return (folder / "map_files" / f"{begin:x}-{end:x}" for begin, end in pairs)
