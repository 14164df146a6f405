"""Memory that only the start needed, given back once the chain runs.

Most of what a fresh process has resident it touched once: code of the libraries it loaded, tables it built while doing
so. A chain runs for hours beside whatever is tried on it, so what it does not need again goes back to the machine.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from pathlib import Path

_SMAPS = Path("/proc/self/smaps")
_DONT_NEED = 4
"""MADV_DONTNEED of Linux."""
_LEAST_KB = 256
"""Smaller mappings are not worth a call."""


def give_back() -> None:
    """Give back what is not needed any more. Where the system knows no such calls, nothing happens."""
    gc.collect()
    # Modules and genesis stay for good: the collector need not look through them again and again.
    gc.freeze()
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.malloc_trim(0)
        libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for start, length in list(_unchanged_code()):
            libc.madvise(start, length, _DONT_NEED)
    except (OSError, AttributeError, ValueError):
        return  # another C library, or no /proc


def _unchanged_code() -> Iterator[tuple[int, int]]:
    """Address and length of mapped files that are as on disk: what is touched again is simply read anew.

    Pages that were written to (relocations) have no other copy, so mappings that hold any are left alone.
    """
    start = end = 0
    mapped_file = False
    resident_kb = 0
    for line in _SMAPS.read_text().splitlines():
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            start, end = (int(text, 16) for text in name.split("-"))
            mapped_file = rest[1] == "-" and "/" in rest
        elif name == "Rss:":
            resident_kb = int(rest.split()[0])
        elif name == "Anonymous:" and mapped_file and resident_kb >= _LEAST_KB and int(rest.split()[0]) == 0:
            yield start, end - start
