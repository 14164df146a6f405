"""What can be seen of a job from the host: its processes, its share of memory, and whether the host is as it was."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")

STEERING = (
    "kernel/core_pattern", "kernel/hostname", "kernel/domainname", "kernel/panic", "kernel/pid_max", "kernel/modprobe",
    "kernel/poweroff_cmd", "kernel/printk", "kernel/randomize_va_space", "kernel/perf_event_paranoid", "kernel/sysrq",
    "kernel/hotplug", "kernel/threads-max", "vm/overcommit_memory", "vm/panic_on_oom", "vm/min_free_kbytes",
    "vm/swappiness", "fs/file-max", "fs/suid_dumpable", "fs/protected_symlinks", "kernel/random/boot_id",
)  # fmt: skip
"""Files of /proc/sys that change how a host works, and the one that tells whether it has been started anew."""

FILES = ("/sys/kernel/uevent_helper", "/proc/modules", "/proc/swaps", "/etc/passwd", "/etc/shadow", "/etc/hosts")


@dataclass(frozen=True)
class Host:
    """The host's state, in so far as no job may change it."""

    steering: dict[str, str]
    release_agents: dict[str, str]
    clock: float
    """Wall time less monotonic time: seconds that only setting the clock can change by a jump."""

    @staticmethod
    def now() -> Host:
        files = [*(Path("/proc/sys") / name for name in STEERING), *map(Path, FILES)]
        agents = CGROUPS.glob("*/release_agent")
        clock = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
        return Host({str(file): _text(file) for file in files}, {str(file): _text(file) for file in agents}, clock)

    def assert_unchanged(self) -> None:
        """Compare with the host as it is now."""
        now = Host.now()
        assert now.steering == self.steering
        assert now.release_agents == self.release_agents
        assert abs(now.clock - self.clock) < 0.03, "somebody has set the clock"


def processes_of(container: str) -> list[int]:
    """Process ids, as the host counts them, of all that is in this container's control group."""
    return sorted(pid for pid in all_processes() if container in _text(Path(f"/proc/{pid}/cgroup")))


def all_processes() -> list[int]:
    """Every process id of the host."""
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]


def named_for(container: str) -> list[int]:
    """Processes whose command line names the container: the engine's own beside it."""
    return [pid for pid in all_processes() if container in _text(Path(f"/proc/{pid}/cmdline"))]


def namespace(pid: int | str, kind: str) -> int:
    """The number of a process's namespace (`user`, `mnt`, `net`, …); 0 for a process that has ended."""
    try:
        return Path(f"/proc/{pid}/ns/{kind}").stat().st_ino
    except OSError:
        return 0


def environment(pid: int) -> dict[str, str]:
    """A process's variables, as it was started with."""
    pairs = (entry.partition("=") for entry in _text(Path(f"/proc/{pid}/environ")).split("\0"))
    return {name: value for name, _, value in pairs if name}


def status(pid: int) -> dict[str, str]:
    """/proc/PID/status, by name; empty for a process that has ended."""
    lines = (line.partition(":") for line in _text(Path(f"/proc/{pid}/status")).splitlines())
    return {name: value.strip() for name, _, value in lines}


def by_name(container: str, prefix: str) -> list[dict[str, str]]:
    """The status of each of the container's processes whose name begins so."""
    found = (status(pid) for pid in processes_of(container))
    return [one for one in found if one.get("Name", "").startswith(prefix)]


class Group:
    """The control group of a container, in either version of control groups."""

    def __init__(self, pid: int, container: str) -> None:
        """`pid`: any process in it. Groups that are not named for the container are not its own."""
        self._folders: dict[str, Path] = {}
        for line in _text(Path(f"/proc/{pid}/cgroup")).splitlines():
            _, controllers, path = line.split(":", 2)
            if container not in path:
                continue
            for controller in controllers.split(","):
                self._folders[controller] = CGROUPS / controller / path.lstrip("/")
            if not controllers:
                self._folders[""] = CGROUPS / path.lstrip("/")

    def tasks(self) -> int:
        """Threads in it now; 0 once it is gone."""
        return self._number("pids", "pids.current", "pids.current")

    def memory(self) -> int:
        """Bytes charged to it: of processes, of tmpfs, and of the page cache."""
        return self._number("memory", "memory.usage_in_bytes", "memory.current")

    def processor_seconds(self) -> float:
        """Processor time it has used."""
        folder = self._folders.get("cpuacct")
        if folder is not None:
            return self._number("cpuacct", "cpuacct.usage", "") / 1e9
        words = _text(self._folders.get("", CGROUPS) / "cpu.stat").split()
        return int(words[words.index("usage_usec") + 1]) / 1e6 if "usage_usec" in words else 0.0

    def is_there(self) -> bool:
        """Whether the kernel still has it."""
        return any(folder.exists() for folder in self._folders.values() if folder != CGROUPS)

    def _number(self, controller: str, first: str, second: str) -> int:
        folder = self._folders.get(controller)
        text = _text(folder / first) if folder is not None else _text(self._folders.get("", CGROUPS) / second)
        return int(text) if text.strip().isdigit() else 0


def mounts(pid: int | str = "self") -> list[str]:
    """The lines of a process's mountinfo."""
    return _text(Path(f"/proc/{pid}/mountinfo")).splitlines()


def free_bytes(folder: Path) -> int:
    """Bytes free on the disk that holds a folder."""
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


def free_inodes(folder: Path) -> int:
    """Inodes free on the disk that holds a folder."""
    return os.statvfs(folder).f_favail


def open_files() -> int:
    """Files that are open on the whole host."""
    return int(_text(Path("/proc/sys/fs/file-nr")).split()[0])


def resident_bytes() -> int:
    """This process's own memory."""
    return int(_text(Path("/proc/self/statm")).split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
