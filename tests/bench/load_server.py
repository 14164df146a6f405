"""A server process under load: started on a core of its own, its processor time and memory read from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 30
BARE_SVM = ("-m", "tests.bench.load_limits", "svm", "--count")
BARE_HTTP = ("-m", "tests.bench.load_limits", "aiohttp")
LOCALNET = ("-m", "node.cli", "localnet", "start", "--rpc-port", "0", "--content-port", "0", "--json")


_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES = set(_CORES[:1])
OTHER_CORES = set(_CORES[1:]) or SERVER_CORES
"""All but the server's core; the same one where there is no other."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far."""

    at: float
    cpu: float
    """Seconds of processor time, of the system for it included."""
    rss: float
    """MB (2**20 bytes) of resident memory."""
    peak: float
    """MB, the most so far."""


class Server:
    """A child process that prints one line when it is ready."""

    def __init__(self, *arguments: str) -> None:
        began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, SERVER_CORES),
        )
        assert self._process.stdout is not None
        self.line = self._process.stdout.readline().decode()
        self.ready_after = time.monotonic() - began
        """Seconds from the start of the process to its line."""
        if not self.line:
            raise RuntimeError(f"{arguments} ended with {self._process.wait()}")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_START_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def usage(self) -> Usage:
        """What the process has used so far."""
        folder = Path(f"/proc/{self._process.pid}")
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        sizes = {
            name: int(value.split()[0]) / 1024
            for name, value in (line.split(":", 1) for line in (folder / "status").read_text().splitlines())
            if name in ("VmRSS", "VmHWM")
        }
        return Usage(time.monotonic(), (int(fields[11]) + int(fields[12])) / _TICKS, sizes["VmRSS"], sizes["VmHWM"])


def alone(*arguments: str) -> str:
    """Run a child on the server's core to its end; what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, SERVER_CORES),
    )
    return done.stdout
