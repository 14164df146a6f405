"""Reading a definition from a file or from stdin."""

from __future__ import annotations

import sys
from pathlib import Path

from node.errors import JobError

LIMIT = 16 * 1024 * 1024
"""Bytes read of a file: far more than a definition may have, far less than memory."""


def read_definition(file: Path) -> bytes:
    """The bytes of a file, or of stdin for `-`. Raises JobError."""
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(LIMIT)
        with file.expanduser().open("rb") as handle:
            return handle.read(LIMIT)
    except OSError as error:
        raise JobError(f"{file}: cannot be read: {error.strerror}", hint="name a job definition file") from None
