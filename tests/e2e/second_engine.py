"""A Docker engine of the test's own, for what the machine's engine must not be restarted for."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.e2e import images

START_SECONDS = 30.0


class SecondEngine:
    """One dockerd that can be stopped and started again over the same data."""

    def __init__(
        self,
        folder: Path,
        path_folder: Path | None,
        options: Sequence[str],
        *,
        space: str | None = None,
        wrapper: Sequence[str] = (),
    ) -> None:
        """`space`: a network namespace that is there already, else one is made; `wrapper` comes before the command."""
        self.socket = folder / "docker.sock"
        self._log = folder / "dockerd.log"
        self._environment = dict(os.environ)
        self._environment["PATH"] = f"{path_folder or folder}:{os.environ['PATH']}:/usr/sbin:/sbin"
        dockerd = shutil.which("dockerd", path=self._environment["PATH"])
        if os.geteuid() != 0:
            raise images.NoEngine("a second Docker engine needs root")
        if dockerd is None:
            raise images.NoEngine("there is no dockerd on this machine")
        self._space = space or f"gpunode-test-{secrets.token_hex(4)}"
        self._command = (
            # A network of its own: a dockerd takes the host's default bridge for its own, to use or to delete.
            "nsenter",
            f"--net=/run/netns/{self._space}",
            *wrapper,
            dockerd,
            f"--host=unix://{self.socket}",
            f"--data-root={folder / 'data'}",
            f"--exec-root={folder / 'exec'}",
            f"--pidfile={folder / 'dockerd.pid'}",
            "--group=root",
            *options,
        )
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        if not Path("/run/netns", self._space).exists():
            _ip("netns", "add", self._space)
            _ip("-n", self._space, "link", "set", "lo", "up")
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=output, stderr=output, start_new_session=True
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            if _accepts(self.socket):
                images.connect(f"unix://{self.socket}").close()
                return
            time.sleep(0.1)
        raise images.NoEngine(f"a second dockerd does not come up: {self._log.read_text()[-400:]}")

    def stop(self) -> None:
        """Stop it and wait for its end."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kept_logs(self) -> list[str]:
        """The log entries of all its containers, out of its own files."""
        return [
            json.loads(line)["log"]
            for file in sorted(self._data.glob("containers/*/*-json.log"))
            for line in file.read_text().splitlines()
        ]

    def clear(self) -> None:
        """Stop it and give back what it took from the host; its folder is the caller's."""
        if self._process is not None and self._process.poll() is None:
            client = images.connect(f"unix://{self.socket}")
            for row in client.containers(all=True):
                client.remove_container(row["Id"], force=True, v=True)
            client.close()
            self.stop()
        # An engine that keeps its containers alive leaves a bind mount on its data folder.
        if str(self._data) in Path("/proc/mounts").read_text():
            subprocess.run(("umount", "--lazy", str(self._data)), check=False)
        if Path("/run/netns", self._space).exists():
            _ip("netns", "delete", self._space)


@contextmanager
def second_engine(
    folder: Path, *, path_folder: Path | None = None, options: Sequence[str] = (), wrapper: Sequence[str] = ()
) -> Iterator[SecondEngine]:
    """A running engine with its own data and socket below `folder`, and `path_folder` first on its PATH; `wrapper`
    comes before the command.

    Raises images.NoEngine where one cannot be run.
    """
    engine = SecondEngine(folder, path_folder, options, wrapper=wrapper)
    try:
        engine.start()
        yield engine
    finally:
        engine.clear()


def _ip(*words: str) -> None:
    done = subprocess.run(("ip", *words), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise images.NoEngine(f"no network of its own for a second engine: {done.stderr.strip()}")


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
