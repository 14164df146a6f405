"""An image registry of the test's own (Debian package docker-registry) on a free port of the loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e import images

_CONFIG = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
_AUTH = """auth: {{htpasswd: {{realm: test, path: {file}}}}}
"""


@contextmanager
def registry(folder: Path, login: tuple[str, str] | None = None) -> Iterator[str]:
    """`localhost:PORT` of a running registry, which wants this name and password if any; raises images.NoEngine where
    there is none to run."""
    program = shutil.which("docker-registry")
    if program is None:
        raise images.NoEngine("there is no docker-registry on this machine")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "registry.yaml"
    text = _CONFIG.format(folder=folder / "blobs", port=port)
    if login is not None:
        (folder / "htpasswd").write_text(f"{login[0]}:{_bcrypt(login[1])}\n")
        text += _AUTH.format(file=folder / "htpasswd")
    config.write_text(text)
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen((program, "serve", str(config)), stdout=log, stderr=log)
    try:
        _await_answer(f"http://127.0.0.1:{port}/v2/")
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _await_answer(url: str) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except urllib.error.HTTPError:
            return  # it wants a login
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise images.NoEngine("docker-registry does not come up")


def _bcrypt(password: str) -> str:
    """What the registry keeps of a password; by the C library, which Perl offers."""
    line = ("perl", "-e", "print crypt($ARGV[0], q($2b$05$abcdefghijklmnopqrstuu))", password)
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout
