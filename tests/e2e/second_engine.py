"""A Docker engine of the test's own, for what the machine's engine must not be restarted for."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e import images

START_SECONDS = 30.0


@contextmanager
def second_engine(folder: Path, *, path_folder: Path) -> Iterator[Path]:
    """A dockerd with its own data and socket, and `path_folder` first on its PATH; yields the socket.

    Raises images.NoEngine where one cannot be run.
    """
    if os.geteuid() != 0:
        raise images.NoEngine("a second Docker engine needs root")
    dockerd = shutil.which("dockerd") or shutil.which("dockerd", path="/usr/sbin:/usr/local/sbin")
    if dockerd is None:
        raise images.NoEngine("there is no dockerd on this machine")
    socket, log = folder / "docker.sock", folder / "dockerd.log"
    command = (
        dockerd,
        f"--host=unix://{socket}",
        f"--data-root={folder / 'data'}",
        f"--exec-root={folder / 'exec'}",
        f"--pidfile={folder / 'dockerd.pid'}",
        # No packet filter rules: those belong to the machine's own engine.
        "--bridge=none",
        "--iptables=false",
        "--ip-masq=false",
        "--group=root",
    )
    environment = {**os.environ, "PATH": f"{path_folder}:{os.environ['PATH']}:/usr/sbin:/sbin"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        _await_answer(process, socket, log)
        yield socket
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_answer(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            images.connect(f"unix://{socket}").close()
            return
        except images.NoEngine:
            time.sleep(0.1)
    raise images.NoEngine(f"a second dockerd does not come up: {log.read_text()[-400:]}")
