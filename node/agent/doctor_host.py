"""The doctor's rows on the machine: its kernel, control groups, service manager, memory, limits, and pending reboot."""

from __future__ import annotations

import platform
import pwd
import re
import resource
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from node.agent.escapes.software import Machine, default_machine
from node.agent.finding import Finding
from node.agent.looks import Look, aside

GIB = 1024**3
OLDEST_KERNEL = (5, 4)
"""The oldest that a supported distribution still ships."""
FEWEST_FILES = 4096
"""Open files at once that an agent of a few lanes can need on a bad day: sockets, logs, the journal."""
UNIT = "gpunode.service"


@dataclass(frozen=True, slots=True)
class HostRows:
    """Looks below `root`; changes nothing."""

    root: Path = Path("/")
    release: str = ""
    """The running kernel's, where it is not this machine's."""
    machine: Machine | None = None

    def looks(self) -> tuple[Look, ...]:
        """One look per row."""
        rows: dict[str, Callable[[], Finding]] = {
            "system": self.system,
            "kernel": self.kernel,
            "control groups": self.control_groups,
            "swap": self.swap,
            "open files": self.open_files,
            "reboot": self.reboot,
        }
        seen = [Look(name, _thread(row)) for name, row in rows.items()]
        return (*seen, Look("service", self.service))

    @property
    def _release(self) -> str:
        return self.release or platform.release()

    def system(self) -> Finding:
        """The distribution; WSL2 is not supported."""
        told = Machine(self.root).system()
        name = told.name or "unknown distribution"
        seen = f"{name}, kernel {self._release}, {platform.machine()}"
        if "microsoft" in self._release.lower():
            return Finding(
                "system",
                False,
                f"{seen}: WSL2, which is not supported (its GPUs have no NVML of their own, its clock jumps)",
                "install Linux on the machine itself",
            )
        return Finding("system", True, seen)

    def kernel(self) -> Finding:
        """What containers and the packet filter need of it."""
        status, systems = self._read("proc/self/status"), self._read("proc/filesystems").split()
        lacks = [
            *([] if re.search(r"^Seccomp:", status, re.MULTILINE) else ["seccomp"]),
            *([] if "overlay" in systems else ["overlay (modprobe overlay)"]),
        ]
        match = re.match(r"(\d+)\.(\d+)", self._release)
        if lacks:
            return Finding(
                "kernel", None, f"{self._release} shows no {', '.join(lacks)}", "use a distribution's kernel"
            )
        if match and (int(match[1]), int(match[2])) < OLDEST_KERNEL:
            return Finding("kernel", None, f"{self._release} gets no security updates", "upgrade the distribution")
        return Finding("kernel", True, f"{self._release}, seccomp, overlay")

    def control_groups(self) -> Finding:
        """Which version keeps the limits of jobs."""
        name = "control groups"
        if (self.root / "sys/fs/cgroup/cgroup.controllers").exists():
            known = self._read("sys/fs/cgroup/cgroup.controllers").split()
            lacks = [each for each in ("cpu", "memory", "pids") if each not in known]
            if not lacks:
                return Finding(name, True, "version 2")
            return Finding(
                name, None, f"version 2 without {', '.join(lacks)} here", "remove cgroup_disable from the boot line"
            )
        folders = [each for each in ("cpu", "memory", "pids") if (self.root / "sys/fs/cgroup" / each).exists()]
        if len(folders) == 3:
            seen = "version 1: limits are kept; newer engines and systemd drop it"
            return Finding(name, None, seen, "boot with systemd.unified_cgroup_hierarchy=1")
        return Finding(
            name, False, "memory, processor and process limits cannot be kept: not mounted", "sudo cgroupfs-mount"
        )

    def swap(self) -> Finding:
        """Memory that is written to disk may hold the wallet's key."""
        lines = [line.split() for line in self._read("proc/swaps").splitlines()[1:]]
        bare = [line[0] for line in lines if len(line) >= 3 and not self._is_safe(line[0])]
        if not lines:
            return Finding("swap", True, "none")
        if not bare:
            return Finding("swap", True, f"{', '.join(line[0] for line in lines)}: encrypted or in memory")
        size = sum(int(line[2]) for line in lines if len(line) >= 3 and line[2].isdecimal()) * 1024 / GIB
        return Finding(
            "swap",
            None,
            f"{size:.1f} GiB on {', '.join(bare)}, not encrypted as far as can be told: it may come to hold the key",
            f"sudo swapoff {bare[0]}, or encrypt it",
        )

    def _is_safe(self, device: str) -> bool:
        name = Path(device).resolve().name if device.startswith("/dev/") else Path(device).name
        return name.startswith("zram") or self._read(f"sys/block/{name}/dm/uuid").startswith("CRYPT-")

    def open_files(self) -> Finding:
        """How many files and sockets a process of this user may have open."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = max(soft, hard) if resource.RLIM_INFINITY not in (soft, hard) else FEWEST_FILES
        if soft >= FEWEST_FILES or soft == resource.RLIM_INFINITY:
            return Finding("open files", True, "no limit" if soft == resource.RLIM_INFINITY else f"up to {soft}")
        fix = f"ulimit -n {FEWEST_FILES}" if most >= FEWEST_FILES else "LimitNOFILE=65536 in the unit"
        seen = f"up to {soft} for this process; the service has 65536 of its own"
        return Finding("open files", None, seen, fix)

    def reboot(self) -> Finding:
        """Whether the system runs what is installed."""
        fix = "gpunode drain, and when it is drained: sudo reboot"
        if (self.root / "run/reboot-required").exists():
            return Finding("reboot", None, "due: an update asks for it (/run/reboot-required)", fix)
        modules = self.root / "lib/modules"
        kept = sorted(each.name for each in modules.iterdir()) if modules.is_dir() else []
        if kept and self._release not in kept and "hypervisor" not in self._read("proc/cpuinfo"):
            seen = f"due: the modules of the running kernel {self._release} are gone, an update has replaced it"
            return Finding("reboot", None, seen, fix)
        return Finding("reboot", True, "not due")

    async def service(self) -> Finding:
        """How the agent is started."""
        if not (self.root / "run/systemd/system").is_dir():
            return Finding("service", None, "no systemd here: nothing starts the agent at boot", "start it by hand")
        asked = ("show", UNIT, "--property=LoadState,UnitFileState,ActiveState,NRestarts")
        said = await (self.machine or default_machine()).ask("systemctl", *asked)
        known = dict(line.split("=", 1) for line in (said or "").splitlines() if "=" in line)
        if known.get("LoadState") != "loaded":
            return Finding("service", None, "not installed", "sudo bash deploy/install.sh")
        seen = f"{known.get('UnitFileState') or 'unknown'}, {known.get('ActiveState')}"
        restarts = known.get("NRestarts", "0")
        if restarts not in ("0", ""):
            seen += f", started anew {restarts} times after failures"
        if known.get("ActiveState") == "failed":
            return Finding(
                "service", False, seen, "journalctl -u gpunode says why; then: sudo systemctl restart gpunode"
            )
        if known.get("UnitFileState") != "enabled":
            return Finding("service", None, seen, "sudo systemctl enable --now gpunode")
        return Finding("service", True, seen)

    def _read(self, path: str) -> str:
        try:
            return (self.root / path).read_text("utf-8", "replace")
        except OSError:
            return ""


def _thread(row: Callable[[], Finding]) -> Callable[[], Awaitable[Finding]]:
    async def see() -> Finding:
        return await aside(row)

    return see


def owner(path: Path) -> str:
    """The name of a file's owner; its number where it has none."""
    number = path.stat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
