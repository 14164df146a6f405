"""Keeps a second agent away from a journal in use."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.errors import JournalError


@contextmanager
def claim(journal: Path) -> Iterator[None]:
    """Hold the journal for this process while the block runs; the kernel frees it however the process ends.

    Readers and short commands do not claim. Raises JournalError when another process holds it.
    """
    journal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = journal.with_name(journal.name + ".lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            # A record lock, because it does not pass to child processes: a helper that outlives a killed agent
            # must not keep the next start out.
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise JournalError(
                f"{journal}: the journal is in use by another agent" + (f" (process {holder})" if holder else ""),
                hint="stop that agent (gpunode stop), or give this one its own data folder (paths.data)",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)
