"""Whether a file system is read-only, or only this process's view of it."""

from __future__ import annotations

import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")


def is_read_only(folder: Path, mounts: Path = _MOUNTS) -> bool:
    """Whether the file system that holds the folder is read-only itself, as a damaged one becomes. A service manager or
    an engine may show it read-only to this process alone. True where nothing can be told.

    `mounts`: the kernel's list (proc(5)): the place is the fifth word, the file system's own options are the last.
    """
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return True
    best, options = "", "ro"
    for line in lines:
        words = line.split()
        if len(words) < 10 or "-" not in words:
            continue
        place = re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), words[4])
        # Of several at one place the last one covers the others.
        if folder.is_relative_to(place) and len(place) >= len(best):
            best, options = place, words[-1]
    return "ro" in options.split(",")
