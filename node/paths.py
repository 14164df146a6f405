"""Where things lie on disk: XDG folders for a user, system paths for the service."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """Absolute paths of the agent's files."""

    settings: Path
    keys: Path
    data: Path
    control_socket: Path

    @property
    def journal(self) -> Path:
        """The SQLite journal."""
        return self.data / "journal.sqlite"

    @property
    def logs(self) -> Path:
        """Folder of job logs."""
        return self.data / "logs"

    @property
    def content(self) -> Path:
        """Folder of content-addressed files kept on this host."""
        return self.data / "content"

    @property
    def cache(self) -> Path:
        """Folder of what can be fetched again."""
        return self.data / "cache"

    def with_data(self, data: Path, control_socket: Path) -> Paths:
        """The same with another data folder and control socket."""
        return replace(self, data=data, control_socket=control_socket)


SERVICE_USER = "gpunode"
"""Whom deploy/install.sh makes, a group of the same name included."""


def default_paths() -> Paths:
    """System paths for the service's user, and for whoever may read /etc/gpunode/node.yaml (or sets GPUNODE_SYSTEM=1);
    else XDG folders."""
    system = Path("/etc/gpunode")
    if _is_of_system(system):
        return Paths(
            settings=system / "node.yaml",
            keys=system / "keys",
            data=Path("/var/lib/gpunode"),
            control_socket=Path("/run/gpunode/control.sock"),
        )
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "gpunode"
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "gpunode"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    # Without a runtime folder the socket goes beside the data, which is as private.
    socket = Path(runtime) / "gpunode" / "control.sock" if runtime else data / "control.sock"
    return Paths(settings=config / "node.yaml", keys=config / "keys", data=data, control_socket=socket)


def _is_of_system(folder: Path) -> bool:
    if os.environ.get("GPUNODE_SYSTEM") == "1":
        return True
    try:
        # Before there are settings, the service's user is the one to write them.
        return (folder / "node.yaml").is_file() or (folder.is_dir() and _user() == SERVICE_USER)
    except PermissionError:
        # A service of this host that is not for this user, who may have an agent of its own.
        return False


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""
