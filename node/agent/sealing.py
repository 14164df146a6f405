"""Keeps the agent's memory, which holds its keys, from core dumps and from other processes of the same user."""

from __future__ import annotations

import ctypes
import logging
import resource

log = logging.getLogger(__name__)

_PR_SET_DUMPABLE = 4


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
