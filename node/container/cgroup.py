"""The processes of a container as its host sees them, by the control group that they cannot leave."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")
_ROOT = Path("/sys/fs/cgroup")
_CONTROLLER = "pids"
"""Of the older hierarchies, the one whose groups follow a container's processes exactly."""


def processes(pid: int, proc: Path = _PROC, root: Path = _ROOT) -> tuple[int, ...]:
    """Numbers of all processes in the same container as this one, groups below its own included; empty where this host
    does not show them. Blocks."""
    folder = group_folder(pid, proc, root)
    if folder is None:
        return ()
    found: set[int] = set()
    for listing in (folder / "cgroup.procs", *folder.rglob("*/cgroup.procs")):
        try:
            found.update(int(word) for word in listing.read_text().split())
        except (OSError, ValueError):
            continue  # the group has just gone, or holds threads alone
    return tuple(sorted(found - {0}))  # 0: a process outside this one's own view of processes


def group_folder(pid: int, proc: Path = _PROC, root: Path = _ROOT) -> Path | None:
    """The folder of a process's control group; None where it cannot be seen, or is the root that all share."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    paths = {names: path for _, names, path in (line.split(":", 2) for line in lines if line.count(":") >= 2)}
    old = next((path for names, path in paths.items() if _CONTROLLER in names.split(",")), None)
    folder, path = (root / _CONTROLLER, old) if old is not None else (root, paths.get("", "/"))
    if path == "/" or ".." in path:
        return None
    found = folder / path.lstrip("/")
    return found if found.is_dir() else None
