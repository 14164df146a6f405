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


def memory_held(pid: int, proc: Path = _PROC, root: Path = _ROOT) -> int | None:
    """Bytes of memory that a container has and that the kernel cannot take back: all but what it keeps of files; None
    where this host does not show that. Blocks."""
    paths = group_paths(pid, proc)
    if paths is None:
        return None
    old = next((path for names, path in paths.items() if "memory" in names.split(",")), None)
    if old is None and "" not in paths:
        return None
    folder = root / "memory" / old.lstrip("/") if old is not None else root / paths[""].lstrip("/")
    usage, cached, shared = (
        ("memory.usage_in_bytes", "total_cache", "total_shmem")
        if old is not None
        else ("memory.current", "file", "shmem")
    )
    try:
        rows = dict(line.split(" ", 1) for line in (folder / "memory.stat").read_text().splitlines())
        # What is kept of files counts files in memory as well, which have no other place.
        files = int(rows.get(cached, 0)) - int(rows.get(shared, 0))
        return int((folder / usage).read_text()) - max(files, 0)
    except (OSError, ValueError):
        return None


def group_paths(pid: int, proc: Path = _PROC) -> dict[str, str] | None:
    """A process's control groups by the names of their controllers (empty: cgroup v2); None where it is gone.

    Without the outermost one: no container's processes are in it, and one that has ended seems to be, whose use would
    be taken for the machine's.
    """
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    found = (line.split(":", 2) for line in lines if line.count(":") >= 2)
    return {names: path for _, names, path in found if path != "/"} or None


def group_folder(pid: int, proc: Path = _PROC, root: Path = _ROOT) -> Path | None:
    """The folder of a process's control group; None where it cannot be seen, or is the root that all share."""
    paths = group_paths(pid, proc)
    if paths is None:
        return None
    old = next((path for names, path in paths.items() if _CONTROLLER in names.split(",")), None)
    folder, path = (root / _CONTROLLER, old) if old is not None else (root, paths.get("", "/"))
    if path == "/" or ".." in path:
        return None
    found = folder / path.lstrip("/")
    return found if found.is_dir() else None
