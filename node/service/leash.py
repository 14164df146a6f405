"""Becomes another program that dies with the process that started it, however that one ends. Run as a script.

    python -I -S leash.py PARENT PROGRAM [ARGUMENT...]

Not a preexec function: those run between fork and exec in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Never returns."""
    parent, program = int(sys.argv[1]), sys.argv[2]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before the line above
    try:
        os.execv(program, sys.argv[2:])  # noqa: S606 (no shell is wanted)
    except OSError as error:
        print(f"{program}: {error.strerror}", flush=True)  # noqa: T201 (the starter reads it)
        os._exit(127)


if __name__ == "__main__":
    main()
