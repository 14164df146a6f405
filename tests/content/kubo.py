"""A real IPFS node (Kubo) for tests: a process of its own with a fresh repository, offline, on free ports.

The binary is not part of the repository: `tests/content/build_kubo.sh` builds it into the cache folder.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

READY_SECONDS = 60.0
ABSENT = "no IPFS node: run tests/content/build_kubo.sh, or name one in GPUNODE_TEST_KUBO"


def find_kubo() -> Path | None:
    """The binary: $GPUNODE_TEST_KUBO, else the newest in the cache folder, None if there is none."""
    named = os.environ.get("GPUNODE_TEST_KUBO")
    if named:
        return Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = sorted(cache.glob("gpunode/kubo-*/ipfs"))
    return found[-1] if found else None


class KuboNode:
    """A running node."""

    def __init__(self, binary: Path, folder: Path, settings: Mapping[str, Any], token: str | None) -> None:
        self._command = [str(binary)] + (["--api-auth", f"bearer:{token}"] if token is not None else [])
        self._log = folder / "daemon.log"
        self._environment = {**os.environ, "IPFS_PATH": str(folder / "repo"), "IPFS_TELEMETRY": "off"}
        folder.mkdir(parents=True, exist_ok=True)
        self.run("init", "--profile=test")
        anywhere = "/ip4/127.0.0.1/tcp/0"
        for name, value in {"Addresses.API": anywhere, "Addresses.Gateway": anywhere, **settings}.items():
            self.run("config", "--json", name, json.dumps(value))
        with self._log.open("wb") as log:
            self._daemon = subprocess.Popen(
                [str(binary), "daemon", "--offline"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            said = self._ready()
        except BaseException:
            self.stop()
            raise
        self.port = int(_port("RPC API", said))
        self.api = f"http://127.0.0.1:{self.port}"
        self.gateway = f"http://127.0.0.1:{_port('Gateway', said)}/ipfs/"

    def run(self, *arguments: str, data: bytes | None = None) -> str:
        """Run a command against the node; what it printed."""
        done = subprocess.run(
            [*self._command, *arguments], env=self._environment, input=data, capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def add(self, data: bytes, *options: str) -> str:
        """Add a file; the CID in the version that the options ask for."""
        return self.run("add", "-Q", *options, data=data)

    def stop(self) -> None:
        """End the process and wait for it."""
        self._daemon.terminate()
        try:
            self._daemon.wait(20)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()

    def _ready(self) -> str:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            said = self._log.read_text()
            if "Daemon is ready" in said:
                return said
            assert self._daemon.poll() is None, said
            time.sleep(0.02)
        raise AssertionError(f"not ready after {READY_SECONDS:g} s: {self._log.read_text()}")


def _port(name: str, said: str) -> str:
    found = re.search(rf"{name} server listening on /ip4/127\.0\.0\.1/tcp/(\d+)", said)
    assert found is not None, said
    return found[1]


@contextmanager
def kubo_node(
    binary: Path, folder: Path, settings: Mapping[str, Any] | None = None, token: str | None = None
) -> Iterator[KuboNode]:
    """A node until the block ends; `settings` are names and values of its configuration, `token` is its API's."""
    wanted = dict(settings or {})
    if token is not None:
        wanted["API.Authorizations"] = {"agent": {"AuthSecret": f"bearer:{token}", "AllowedPaths": ["/api/v0"]}}
    node = KuboNode(binary, folder, wanted, token)
    try:
        yield node
    finally:
        node.stop()
