"""What of this host's disk a container sees: its job's own volumes, and folders of the agent's cache.

A definition names volumes, which get its job's name before theirs, and where they are seen; never a place on this host.
Folders come from the agent alone, and are seen without whatever is mounted below them.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from node.errors import EngineRejected
from node.records import ContainerSpec

_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
_RESERVED = ("/var/run/nvidia-container-devices", "/run/nvidia-container-devices", "/proc", "/sys", "/dev")
"""Where a mount would be more than data: a GPU runtime reads the first two as requests for devices."""
# A place in a container.
_ALLOWED = ("/dev/shm",)  # noqa: S108  # nosec B108


def is_volume_name(name: str) -> bool:
    """Whether it can only be a volume's name, and no path."""
    return _VOLUME.fullmatch(name) is not None


def mounts(spec: ContainerSpec) -> list[dict[str, Any]]:
    """The engine's Mounts for this container. Raises EngineRejected for what nobody should have planned."""
    return [_volume(mount.volume, mount.target) for mount in spec.volumes] + [
        _folder(mount.folder, mount.target, writable=mount.writable) for mount in spec.folders
    ]


def _volume(name: str, target: str) -> dict[str, Any]:
    if not is_volume_name(name):
        raise _refused(f"{name!r} is no name for a volume")
    return {"Type": "volume", "Source": name, "Target": _target(target), "ReadOnly": False}


def _folder(folder: str, target: str, *, writable: bool) -> dict[str, Any]:
    path = PurePosixPath(folder)
    if not path.is_absolute() or ".." in path.parts or len(path.parts) < 3:
        raise _refused("a folder that is to be mounted is none of the cache's")
    return {
        "Type": "bind",
        "Source": folder,
        "Target": _target(target),
        "ReadOnly": not writable,
        "BindOptions": {"Propagation": "rprivate", "NonRecursive": True},
    }


def _target(target: str) -> str:
    path = PurePosixPath(f"/{target.lstrip('/')}")  # to POSIX two slashes may be another root
    if not target.startswith("/") or ".." in path.parts or len(path.parts) < 2 or "\0" in target:
        raise _refused(f"nothing can be mounted at {target!r}")
    if not _is_at(path, _ALLOWED) and _is_at(path, _RESERVED):
        raise _refused(f"nothing of a job is mounted at {target!r}")
    return target


def _is_at(path: PurePosixPath, places: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(place) for place in places)


def _refused(message: str) -> EngineRejected:
    return EngineRejected(message, status=400, hint="name a volume by letters, digits, `_`, `.` and `-`")
