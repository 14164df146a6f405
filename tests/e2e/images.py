"""Tiny images made without any registry: `docker import` of a static busybox.

Images are tagged by the hash of what they hold, so they are built once per machine.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import docker
import docker.errors

DEFAULT_SOCKET = "unix:///var/run/docker.sock"


class NoEngine(Exception):
    """There is no engine to test with; the text says why."""


def connect(url: str | None = None) -> docker.APIClient:
    """A client of the engine under test; raises NoEngine."""
    client = docker.APIClient(base_url=url or os.environ.get("DOCKER_HOST") or DEFAULT_SOCKET, version="1.41")
    try:
        client.ping()
    except Exception as error:
        client.close()
        raise NoEngine(f"no Docker engine answers: {error}") from error
    return client


def busybox_path() -> Path:
    """A statically linked busybox; raises NoEngine where there is none."""
    for candidate in (shutil.which("busybox"), "/bin/busybox", "/usr/bin/busybox"):
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    raise NoEngine("no busybox on this machine (Debian package busybox-static)")


def busybox_image(client: docker.APIClient, *, changes: Sequence[str] = ()) -> str:
    """Name of a busybox image with all its applets; `changes` are Dockerfile lines such as `ENV A=b`."""
    return image_of({}, client=client, changes=changes)


def image_of(
    files: Mapping[str, bytes], *, client: docker.APIClient, changes: Sequence[str] = (), name: str = "busybox"
) -> str:
    """Name of a busybox image that also holds `files` (path -> content, mode 0755)."""
    archive = _archive(files)
    recipe = hashlib.sha256(archive + "\n".join(changes).encode()).hexdigest()[:16]
    tag = f"gpunode-test/{name}:{recipe}"
    try:
        client.inspect_image(tag)
    except docker.errors.ImageNotFound:
        repository, _, version = tag.partition(":")
        client.import_image_from_data(archive, repository=repository, tag=version, changes=list(changes))
    return tag


def _archive(files: Mapping[str, bytes]) -> bytes:
    busybox = busybox_path()
    applets = subprocess.run([str(busybox), "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777), ("work", 0o777)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        _add(tar, "bin/busybox", busybox.read_bytes())
        _add(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n", 0o644)
        _add(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644)
        for applet in sorted(set(applets) - {"busybox"}):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for path, content in sorted(files.items()):
            _add(tar, path.lstrip("/"), content)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, path: str, content: bytes, mode: int = 0o755) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
