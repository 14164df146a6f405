"""A real frp server for tests, on free ports of this machine.

The binaries are not part of the repository: `tests/service/build_frp.sh` builds them into the cache folder.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ABSENT = "no frp: run tests/service/build_frp.sh, or name a folder with frps and frpc in GPUNODE_TEST_FRP"


def find_frp() -> Path | None:
    """The folder of the binaries: $GPUNODE_TEST_FRP, else the newest in the cache folder, None if there is none."""
    named = os.environ.get("GPUNODE_TEST_FRP")
    if named:
        return Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = sorted(each.parent for each in cache.glob("gpunode/frp-*/frps") if (each.parent / "frpc").exists())
    return found[-1] if found else None


@pytest.fixture(scope="session")
def frp_folder() -> Path:
    folder = find_frp()
    if folder is None:
        pytest.skip(ABSENT)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class FrpServer:
    """A running frps. `bind`: where frpc connects, `http`: where visitors come in."""

    def __init__(self, binary: Path, folder: Path, *, token: str = "") -> None:
        self.bind, self.http = free_port(), free_port()
        self.log = folder / "frps.log"
        self._binary = binary
        self._config = folder / "frps.toml"
        lines = [
            'bindAddr = "127.0.0.1"',
            'proxyBindAddr = "127.0.0.1"',
            f"bindPort = {self.bind}",
            f"vhostHTTPPort = {self.http}",
            f'log.to = "{self.log}"',
            'log.level = "debug"',
            'subDomainHost = "unused.example"',
        ]
        if token:
            lines.append(f'auth.token = "{token}"')
        self._config.write_text("\n".join(lines))
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen([self._binary, "-c", self._config], stdout=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.bind)) == 0:
                    return
            assert self._process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        raise AssertionError("frps does not listen")

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@contextmanager
def frp_server(binaries: Path, folder: Path, *, token: str = "") -> Iterator[FrpServer]:
    """A server until the block ends."""
    server = FrpServer(binaries / "frps", folder, token=token)
    try:
        yield server
    finally:
        server.stop()
