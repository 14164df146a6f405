"""The doctor's row on remote data: whether there is a place for them, what is in it, and what reaches it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from node.agent.finding import Finding
from node.agent.looks import aside
from node.agent.remote_data import folder_of
from node.settings import Settings
from node.settings_section import GIB

NAME = "remote data"


async def resource_finding(settings: Settings) -> Finding:
    """One row; changes nothing."""
    return await aside(lambda: _look(settings))


def _look(settings: Settings) -> Finding:
    root, most = folder_of(settings), settings.resources.cache_bytes
    there = next(each for each in (root, *root.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding(NAME, False, f"{there} cannot be written by this user", "chown it, or set resources.folder")
    kept = _size(root / "entries")
    free = shutil.disk_usage(there).free
    seen = f"{kept / GIB:.1f} of {most / GIB:.0f} GiB kept in {root}, {free / GIB:.1f} GiB free there"
    spare = kept + free - settings.limits.disk_free_bytes
    if spare < GIB:
        return Finding(NAME, None, seen, "jobs with data will fail: free some space, or set resources.folder")
    return Finding(NAME, True, seen)


def _size(folder: Path) -> int:
    found = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                found += (Path(place) / name).lstat().st_size
            except FileNotFoundError:
                continue
    return found
