"""What a helper process does first: ties its end to its parent's, and keeps its answers apart from what libraries
print. Knows no more than the standard library."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from typing import TextIO

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with(parent: int) -> None:
    """Have this process killed when its parent (a process id) ends, even while a driver call blocks: no end of stdin
    is seen then."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it could be tied to us
        sys.exit(1)


def private_stdout() -> TextIO:
    """The answers' own channel: what a library prints by itself goes to stderr instead of among them."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers
