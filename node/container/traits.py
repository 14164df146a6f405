"""What an engine can do for a job's isolation, worked out from what it says of itself and from this host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from node.container.ceiling import ceilings
from node.container.engine import EngineInfo

_MOUNTS = Path("/proc/self/mountinfo")
_QUOTA_OPTIONS = frozenset({"prjquota", "pquota"})


@dataclass(frozen=True, slots=True)
class EngineTraits:
    """What the create request depends on, beside the container's own spec."""

    apparmor: bool = False
    """Whether the engine's kernel has AppArmor, so that the engine's profile can be asked for by name."""
    quota: bool = False
    """Whether a container's layer can be given a size that the file system itself keeps."""
    ceilings: Mapping[str, int] = field(default_factory=dict)
    """Ulimit name -> the most this engine can give; names that are missing have no such bound."""


def traits_of(info: EngineInfo, engine_socket: Path, mounts: Path = _MOUNTS) -> EngineTraits:
    """The traits of an engine that said this of itself. Blocks for a moment on the engine's socket."""
    return EngineTraits(
        apparmor=security_option(info, "apparmor") is not None,
        quota=has_quota(info, mounts),
        ceilings=ceilings(engine_socket),
    )


def security_option(info: EngineInfo, name: str) -> Mapping[str, str] | None:
    """What the engine says of one of its protections (`seccomp`, `apparmor`, `userns`, `rootless`), e.g. its
    `profile`; None: it does not have it."""
    for option in info.security_options:
        parts = dict(part.partition("=")[::2] for part in option.split(","))
        if parts.get("name", option) == name:
            return parts
    return None


def is_confined(info: EngineInfo) -> bool:
    """Whether the engine filters the system calls of a container for which nothing else is said."""
    seccomp = security_option(info, "seccomp")
    return seccomp is not None and seccomp.get("profile", "") != "unconfined"


def has_quota(info: EngineInfo, mounts: Path = _MOUNTS) -> bool:
    """Whether the engine can bound a container's layer by a quota: overlay2 over XFS mounted with project quotas.

    Source: Docker's documentation of the overlay2 driver's `size` option."""
    if info.storage_driver != "overlay2" or info.backing != "xfs":
        return False
    return bool(_QUOTA_OPTIONS & _mount_options(info.root_dir, mounts))


def _mount_options(folder: str, mounts: Path) -> frozenset[str]:
    """The super options of the file system that holds a folder; nothing where this host cannot see it."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return frozenset()
    best, options = "", frozenset[str]()
    for line in lines:
        fields = line.split(" ")
        point = fields[4].replace("\\040", " ")
        # The last of several mounts on one folder is the one that is seen.
        if f"{folder}/".startswith(f"{point.rstrip('/')}/") and len(point) >= len(best):
            best, options = point, frozenset(fields[-1].split(","))
    return options
