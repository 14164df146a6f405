"""A run's own copy of an entry, which every user of its container may change."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

from node.content.resources.pins import sync_folder
from node.errors import ResourceFailed

STEP = 256 << 20
"""Bytes copied between two looks at whether the copy is still wanted."""
_FICLONE = 0x40049409  # linux/fs.h
_FILE, _FOLDER = 0o666, 0o777
"""Modes: a container runs as any user. Other users of the host cannot list what is above."""


async def copy_folder(source: Path, goal: Path) -> None:
    """Copy a folder of plain files; shares the blocks where the file system can. Raises ResourceFailed."""
    try:
        for name in await asyncio.to_thread(_laid_out, source, goal):
            await _copy(source / name, goal / name)
        await asyncio.to_thread(_settle, goal)
    except OSError as error:
        raise ResourceFailed(f"the data cannot be copied: {error.strerror or error}") from None


def _laid_out(source: Path, goal: Path) -> list[Path]:
    """Make the folders; the names of the files."""
    names: list[Path] = []
    for folder, _, files in os.walk(source):
        inside = Path(folder).relative_to(source)
        (goal / inside).mkdir(exist_ok=True)
        (goal / inside).chmod(_FOLDER)
        names += [inside / name for name in files]
    return names


async def _copy(source: Path, goal: Path) -> None:
    with source.open("rb", buffering=0) as origin, goal.open("wb", buffering=0) as copy:
        os.fchmod(copy.fileno(), _FILE)
        try:
            fcntl.ioctl(copy.fileno(), _FICLONE, origin.fileno())
        except OSError:
            while await asyncio.to_thread(_step, origin.fileno(), copy.fileno()):
                pass
        await asyncio.to_thread(os.fsync, copy.fileno())


def _settle(goal: Path) -> None:
    for folder, _, _ in os.walk(goal):
        sync_folder(Path(folder))


def _step(origin: int, copy: int) -> bool:
    """Copy the next bytes; whether there may be more."""
    left = STEP
    while left:
        done = os.sendfile(copy, origin, None, left)
        if not done:
            return False
        left -= done
    return True
