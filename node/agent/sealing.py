"""Keeps strangers from the agent's memory, which holds its keys, and from its data folder."""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import stat
from pathlib import Path

from node.errors import SettingsError

log = logging.getLogger(__name__)

_PR_SET_DUMPABLE = 4


def require_own(folder: Path) -> None:
    """Make the data folder if it is not there. Raises SettingsError for one that others could put things into: links
    that lead elsewhere, or a journal of their own."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
    except OSError as error:
        raise SettingsError(
            f"{folder}: the data folder cannot be used: {error.strerror}", hint="set paths.data to another"
        ) from None
    if status.st_mode & stat.S_IWOTH:
        raise SettingsError(f"{folder}: everybody may write to the data folder", hint=f"chmod o-w {folder}")
    if status.st_uid not in (os.geteuid(), 0):
        raise SettingsError(
            f"{folder}: the data folder belongs to user {status.st_uid}",
            hint=f"chown {os.geteuid()} {folder}, or set paths.data to another",
        )


def seal_process() -> bool:
    """No core dumps, and no other process without root's rights may read this one's memory (prctl PR_SET_DUMPABLE 0).

    Whether both took effect. Memory that is swapped out is not covered; swap that is encrypted, or none, covers it.
    """
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        libc = ctypes.CDLL(None, use_errno=True)
        done = bool(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
    except (OSError, ValueError, AttributeError) as error:
        log.warning("the agent's memory is not kept from core dumps: %s", error)
        return False
    if not done:
        log.warning("the agent's memory is not kept from core dumps: prctl failed (errno %s)", ctypes.get_errno())
    return done
