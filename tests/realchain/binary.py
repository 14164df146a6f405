"""Where the real node's binary is, and why it is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

VERSION = "3.1.8"
"""Of Agave, the Solana node; `build.sh` builds this one."""
NAME = "solana-test-validator"
CHOICE = "GPUNODE_TEST_VALIDATOR"
MISSING = f"no {NAME} on this machine: run tests/realchain/build.sh (half an hour), or name one in {CHOICE}"


def cache_folder() -> Path:
    """Where `build.sh` puts what it builds, outside the repository."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpunode" / f"agave-validator-{VERSION}"


def find_validator() -> Path | None:
    """The binary: the one that $GPUNODE_TEST_VALIDATOR names, the cached one, or one on PATH.

    A variable that names no file is an error (FileNotFoundError): a typing mistake must not skip tests.
    """
    chosen = os.environ.get(CHOICE)
    if chosen:
        if not Path(chosen).is_file():
            raise FileNotFoundError(f"{CHOICE} names {chosen}, which is no file")
        return Path(chosen)
    cached = cache_folder() / "bin" / NAME
    if cached.is_file() and os.access(cached, os.X_OK):
        return cached
    found = shutil.which(NAME)
    return Path(found) if found else None
