"""What a container uses, read from its control group: for engines whose own view of control groups lacks some."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from node.container.cgroup import group_paths
from node.container.engine import ContainerStats

BETWEEN_SECONDS = 1.0
_PROC = Path("/proc")
_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    cpu_seconds: float
    stats: ContainerStats


async def group_stats(pid: int, proc: Path = _PROC, root: Path = _ROOT) -> ContainerStats | None:
    """What the container of this process uses, measured for a second; None where this host does not show it."""
    before = await asyncio.to_thread(_sample, pid, proc, root)
    if before is None:
        return None
    await asyncio.sleep(BETWEEN_SECONDS)
    now = await asyncio.to_thread(_sample, pid, proc, root)
    if now is None:
        return None
    share = (now.cpu_seconds - before.cpu_seconds) / (now.at - before.at)
    stats = now.stats
    return ContainerStats(
        cpu_percent=round(max(share, 0.0) * 100, 2),
        memory_usage=stats.memory_usage,
        memory_limit=stats.memory_limit,
        disk_read=stats.disk_read,
        disk_written=stats.disk_written,
        network_received=stats.network_received,
        network_sent=stats.network_sent,
    )


def _sample(pid: int, proc: Path, root: Path) -> _Sample | None:
    try:
        paths = group_paths(pid, proc) or {}
        received, sent = _network((proc / str(pid) / "net" / "dev").read_text().splitlines())
        is_old = "memory" in paths
        cpu, usage, limit, cached, disk = _old(root, paths) if is_old else _unified(root / paths[""].lstrip("/"))
    except (OSError, ValueError, KeyError):
        return None
    used = usage - cached if cached < usage else usage
    stats = ContainerStats(0.0, used, limit, disk.get("read", 0), disk.get("write", 0), received, sent)
    return _Sample(time.monotonic(), cpu, stats)


def _old(root: Path, paths: dict[str, str]) -> tuple[float, int, int, int, dict[str, int]]:
    """Of the hierarchies of cgroup v1."""

    def folder(controller: str) -> Path:
        names = next(names for names in paths if controller in names.split(","))
        return root / controller / paths[names].lstrip("/")

    memory = folder("memory")
    rows = [line.split() for line in (folder("blkio") / "blkio.throttle.io_service_bytes").read_text().splitlines()]
    disk: dict[str, int] = {}
    for row in rows:
        if len(row) == 3:
            disk[row[1].lower()] = disk.get(row[1].lower(), 0) + int(row[2])
    return (
        int((folder("cpuacct") / "cpuacct.usage").read_text()) / 1e9,
        int((memory / "memory.usage_in_bytes").read_text()),
        int((memory / "memory.limit_in_bytes").read_text()),
        _field(memory / "memory.stat", "total_inactive_file"),
        disk,
    )


def _unified(folder: Path) -> tuple[float, int, int, int, dict[str, int]]:
    """Of cgroup v2."""
    limit = (folder / "memory.max").read_text().strip()
    pairs = [word.partition("=") for word in (folder / "io.stat").read_text().split()]
    disk = {
        kind: sum(int(value) for name, _, value in pairs if name == field)
        for kind, field in (("read", "rbytes"), ("write", "wbytes"))
    }
    return (
        _field(folder / "cpu.stat", "usage_usec") / 1e6,
        int((folder / "memory.current").read_text()),
        0 if limit == "max" else int(limit),
        _field(folder / "memory.stat", "inactive_file"),
        disk,
    )


def _field(path: Path, name: str) -> int:
    return next((int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(f"{name} ")), 0)


def _network(lines: Iterable[str]) -> tuple[int, int]:
    received = sent = 0
    for line in lines:
        name, colon, numbers = line.partition(":")
        if colon and name.strip() != "lo":
            fields = numbers.split()
            received, sent = received + int(fields[0]), sent + int(fields[8])
    return received, sent
