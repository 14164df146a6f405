"""Images that a poster with bad intentions might make: whatever a tar archive and a Dockerfile can hold."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors

from tests.e2e import images


@dataclass(frozen=True)
class Entry:
    """One thing in an image: a file unless `kind` (a tarfile type) says otherwise."""

    path: str
    content: bytes = b""
    mode: int = 0o755
    kind: bytes = tarfile.REGTYPE
    link: str = ""
    device: tuple[int, int] = (0, 0)
    capability: bytes = b""
    """Value of the extended attribute `security.capability`."""


def hostile_image(
    client: docker.APIClient, program: bytes, entries: Sequence[Entry] = (), changes: Sequence[str] = ()
) -> str:
    """Name of an image with busybox, the attacking program and these entries; entries replace what has their path."""
    base = [
        *(Entry(path, kind=tarfile.DIRTYPE, mode=mode) for path, mode in (("bin", 0o755), ("tmp", 0o1777))),
        Entry("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n", 0o644),
        Entry("bin/busybox", images.busybox_path().read_bytes()),
        *(Entry(f"bin/{name}", kind=tarfile.SYMTYPE, link="busybox") for name in _applets()),
        Entry("bin/attack", program),
    ]
    taken = {entry.path for entry in entries}
    archive = _archive([*(entry for entry in base if entry.path not in taken), *entries])
    recipe = hashlib.sha256(archive + "\n".join(changes).encode()).hexdigest()[:16]
    tag = f"gpunode-test/hostile:{recipe}"
    try:
        client.inspect_image(tag)
    except docker.errors.ImageNotFound:
        client.import_image_from_data(archive, repository="gpunode-test/hostile", tag=recipe, changes=list(changes))
    return tag


def layered_image(
    client: docker.APIClient, program: bytes, layers: int, settings: Mapping[str, Any] | None = None
) -> str:
    """Name of an image of so many layers, each of which covers the last one's file, with any `settings` in its
    configuration; loaded as `docker save` writes it."""
    recipe = hashlib.sha256(program + json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    tag = f"gpunode-test/layers-{layers}:{recipe}"
    names, digests = [], []
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number in range(layers):
            entries = [Entry("layer", str(number).encode())]
            if number == 0:
                entries += [Entry("bin/attack", program), Entry("tmp", kind=tarfile.DIRTYPE, mode=0o1777)]
            layer = _archive(entries)
            names.append(f"{number:04}/layer.tar")
            digests.append(f"sha256:{hashlib.sha256(layer).hexdigest()}")
            _add(tar, Entry(names[-1], layer))
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/bin/attack"], **(settings or {})},
            "rootfs": {"type": "layers", "diff_ids": digests},
            "history": [{"created_by": "x"} for _ in range(layers)],
        }
        _add(tar, Entry("config.json", json.dumps(config).encode()))
        _add(
            tar,
            Entry(
                "manifest.json", json.dumps([{"Config": "config.json", "RepoTags": [tag], "Layers": names}]).encode()
            ),
        )
    for line in client.load_image(buffer.getvalue()):
        if "error" in line:
            raise AssertionError(line["error"])
    return tag


def host_disk() -> tuple[int, int]:
    """Major and minor number of the device that holds this machine's root file system."""
    number = Path("/").stat().st_dev
    return os.major(number), os.minor(number)


@functools.cache
def _applets() -> tuple[str, ...]:
    listed = subprocess.run((images.busybox_path(), "--list"), capture_output=True, text=True, check=True).stdout
    return tuple(sorted({*listed.split()} - {"busybox"}))


def _archive(entries: Sequence[Entry]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            _add(tar, entry)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path)
    info.type, info.mode, info.linkname = entry.kind, entry.mode, entry.link
    info.devmajor, info.devminor = entry.device
    info.size = len(entry.content)
    if entry.capability:
        info.pax_headers = {"SCHILY.xattr.security.capability": entry.capability.decode("utf-8", "surrogateescape")}
    tar.addfile(info, io.BytesIO(entry.content))
