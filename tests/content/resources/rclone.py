"""A real S3 server (rclone's `serve s3`) for tests: a process of its own over a folder, on a free port.

The binary is not part of the repository: `tests/content/resources/build_rclone.sh` builds it into the cache folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

READY_SECONDS = 30.0
ABSENT = "no S3 server: run tests/content/resources/build_rclone.sh, or name an rclone in GPUNODE_TEST_RCLONE"
ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key"


def find_rclone() -> Path | None:
    """The binary: $GPUNODE_TEST_RCLONE, else the newest in the cache folder, None if there is none."""
    named = os.environ.get("GPUNODE_TEST_RCLONE")
    if named:
        return Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = sorted(cache.glob("gpunode/rclone-*/rclone"))
    return found[-1] if found else None


@contextmanager
def s3_server(binary: Path, folder: Path, log: Path, *options: str) -> Iterator[str]:
    """Address of a server whose buckets are the folders in `folder`; without `--auth-key` it is open to all."""
    command = [str(binary), "serve", "s3", "--config", os.devnull, "--addr", "127.0.0.1:0", *options, str(folder)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield _address(process, log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        found = re.search(r"Starting s3 server on \[(http://127\.0\.0\.1:\d+)/\]", log.read_text())
        if found is not None:
            return found[1]
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
    raise AssertionError(f"not ready after {READY_SECONDS:g} s: {log.read_text()}")
