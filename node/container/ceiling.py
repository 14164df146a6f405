"""How far the engine's own process can go: limits that it cannot raise for others.

An engine without CAP_SYS_RESOURCE (inside a virtual machine or container that withholds it) cannot give a container
more open files than it may have itself; asking for more makes every start fail.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

_CAP_SYS_RESOURCE = 24
_PROC = Path("/proc")
_NAMES = {
    "nofile": "Max open files",
    "fsize": "Max file size",
    "memlock": "Max locked memory",
    "msgqueue": "Max msgqueue size",
}


def ceilings(engine_socket: Path, proc: Path = _PROC) -> dict[str, int]:
    """Ulimit name -> the most the engine behind this socket can give a container. A name that is missing: as much as is
    asked for, or unknown."""
    pid = _peer(engine_socket)
    if pid is None:
        return {}
    try:
        status = (proc / str(pid) / "status").read_text()
        limits = (proc / str(pid) / "limits").read_text()
    except OSError:
        return {}
    if _has_capability(status, _CAP_SYS_RESOURCE):
        return {}
    found = {ulimit: _hard_limit(limits, name) for ulimit, name in _NAMES.items()}
    return {ulimit: most for ulimit, most in found.items() if most is not None}


def _peer(path: Path) -> int | None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2.0)
        try:
            client.connect(str(path))
            credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return None
    pid: int = struct.unpack("3i", credentials)[0]
    return pid or None  # 0: a process outside this one's own view of processes


def _has_capability(status: str, number: int) -> bool:
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value.strip(), 16) >> number & 1)
    return True


def _hard_limit(limits: str, name: str) -> int | None:
    for line in limits.splitlines():
        if line.startswith(name):
            value = line[len(name) :].split()[1]
            return int(value) if value.isdigit() else None
    return None
