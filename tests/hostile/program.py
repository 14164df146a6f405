"""The attacking program: `attacks/*.c` made into one static binary, once per machine and state of the sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.e2e import images

SOURCES = Path(__file__).with_name("attacks")
FLAGS = ("-static", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread")


def attack_program() -> bytes:
    """The binary's bytes; raises images.NoEngine where it cannot be made."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise images.NoEngine("no C compiler on this machine (Debian packages gcc, libc6-dev)")
    sources = sorted(SOURCES.glob("*.c"))
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    for source in (*sources, SOURCES / "attack.h"):
        digest.update(source.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gpunode" / "hostile"
    binary = cache / digest.hexdigest()[:16]
    if not binary.exists():
        cache.mkdir(parents=True, exist_ok=True)
        half = binary.with_suffix(f".{os.getpid()}")
        done = subprocess.run((compiler, *FLAGS, "-o", half, *sources), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise images.NoEngine(f"the attacks do not compile here: {done.stderr[-400:]}")
        half.rename(binary)
    return binary.read_bytes()
