"""The doctor's rows on the GPUs: the driver's two halves, the way into containers, and how the cards are fitted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.agent.escapes.software import TOOLKIT_PACKAGES, TOOLKIT_PROGRAMS, Machine
from node.agent.finding import Finding
from node.container.engine import EngineInfo
from node.records import Gpu

NVIDIA = "0x10de"
_DISPLAY = "0x03"
"""Class of display controllers, compute ones included (PCI codes)."""
_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib", "lib64", "lib")
_GIB_A_SECOND = {1: 0.23, 2: 0.46, 3: 0.92, 4: 1.83, 5: 3.67, 6: 7.3}
"""What one lane of each generation carries, after its coding; about."""
_MODEL_GIB = 15
"""Of a model of seven billion 16-bit weights, as an example of what a job loads."""
RUNTIME = "nvidia"
_TOOLKIT = "install nvidia-container-toolkit from NVIDIA's package source"
_CONFIGURE = "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"
_NUMBER = re.compile(r"\d+\.\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class DriverFiles:
    """What the kernel and the file system say of NVIDIA's driver, without asking it."""

    root: Path = Path("/")

    def devices(self) -> int:
        """NVIDIA's display controllers on the PCI bus."""
        folder = self.root / "sys/bus/pci/devices"
        found = folder.iterdir() if folder.is_dir() else ()
        return sum(_text(each / "vendor") == NVIDIA and _text(each / "class").startswith(_DISPLAY) for each in found)

    def kernel_version(self) -> str:
        """Of the module that is loaded; empty: none is."""
        match = re.search(r"NVRM version:.*?(\d+\.\d+(?:\.\d+)?)\s", _text(self.root / "proc/driver/nvidia/version"))
        return match[1] if match else ""

    def library_version(self) -> str:
        """Of libnvidia-ml, which every program asks; empty: there is none where distributions put it."""
        for folder in _LIBRARIES:
            link = self.root / folder / "libnvidia-ml.so.1"
            try:
                name = link.readlink().name if link.is_symlink() else link.resolve(strict=True).name
            except OSError:
                continue
            if match := _NUMBER.search(name.removeprefix("libnvidia-ml.so.")):
                return match[0]
        return ""

    def lacks_unified_memory(self) -> bool:
        """Whether CUDA's own device node is missing, without which programs see a GPU and cannot compute on it."""
        return not (self.root / "dev/nvidia-uvm").exists()

    def has_nouveau(self) -> bool:
        """Whether the free driver holds the cards."""
        return (self.root / "sys/module/nouveau").exists()


def driver_finding(files: DriverFiles, is_localnet: bool) -> Finding:
    """Whether the driver's kernel module and its library are there, and of one version. Blocks."""
    name = "GPU driver"
    devices, module, library = files.devices(), files.kernel_version(), files.library_version()
    if not devices and not module:
        seen = "no NVIDIA device on the PCI bus"
        return Finding(name, is_localnet, seen, "fit a GPU, or pass one through to this machine")
    if not module and files.has_nouveau():
        fix = "install NVIDIA's driver, which puts nouveau aside, and reboot"
        return Finding(name, False, f"{devices} NVIDIA devices, held by nouveau", fix)
    if not module:
        fix = "install NVIDIA's driver, or see why it is not loaded: sudo modprobe nvidia; dmesg | grep -i nvrm"
        return Finding(name, False, f"{devices} NVIDIA devices, and no driver is loaded", fix)
    if not library:
        return Finding(name, False, f"kernel module {module}, and no libnvidia-ml", "install the driver's libraries")
    if module != library:
        seen = f"Driver/library version mismatch: the kernel has {module}, libnvidia-ml is {library}"
        fix = "gpunode drain, and when it is drained: sudo reboot"
        return Finding(name, False, f"{seen}; an update came while the old one runs", fix)
    if files.lacks_unified_memory():
        return Finding(name, False, f"{module}, but there is no /dev/nvidia-uvm", "sudo nvidia-modprobe -u -c 0")
    return Finding(name, True, f"{module}, kernel module and library alike")


def runtime_finding(info: EngineInfo, gpus: Sequence[Gpu]) -> Finding:
    """Whether the engine can give containers NVIDIA's GPUs."""
    name = "GPU runtime"
    if not any(gpu.provider == "nvidia" for gpu in gpus):
        return Finding(name, True, "none needed: no NVIDIA GPU is offered")
    if RUNTIME in info.runtimes:
        return Finding(name, True, f"the engine has the runtime {RUNTIME}")
    known = ", ".join(info.runtimes)
    return Finding(name, None, f"the engine names no runtime {RUNTIME} (it has: {known})", _CONFIGURE)


async def toolkit_finding(machine: Machine, gpus: Sequence[Gpu]) -> Finding:
    """Which NVIDIA Container Toolkit is installed; whether it is safe is told by the rows on escapes."""
    name = "GPU toolkit"
    needed = any(gpu.provider == "nvidia" for gpu in gpus)
    for program in TOOLKIT_PROGRAMS:
        if match := _NUMBER.search(await machine.ask(program, "--version") or ""):
            return Finding(name, True, f"NVIDIA Container Toolkit {match[0]} ({program})")
    package, number = await machine.package(TOOLKIT_PACKAGES)
    if package:
        return Finding(name, True, f"NVIDIA Container Toolkit {number} (package {package})")
    if not needed:
        return Finding(name, True, "none installed, none needed: no NVIDIA GPU is offered")
    return Finding(name, False, "NVIDIA Container Toolkit is not installed: no container gets a GPU", _TOOLKIT)


def card_findings(gpus: Sequence[Gpu]) -> list[Finding]:
    """Rows on how each GPU is fitted and set, where it tells; a partition has none of its own."""
    whole = [gpu for gpu in gpus if gpu.provider == "nvidia" and gpu.parent is None]
    rows = (row for gpu in whole for row in (_power(gpu), _slot(gpu), _mode(gpu)))
    return [row for row in rows if row is not None]


def _power(gpu: Gpu) -> Finding | None:
    name, limit, default = f"power limit of GPU {gpu.index}", gpu.power_limit_watts, gpu.power_default_watts
    if limit is None:
        return None
    if default is None or limit >= default - 0.5:
        return Finding(name, True, f"{limit:g} W" + (", the default" if default is not None else ""))
    seen = f"{limit:g} W of the default {default:g} W: it computes slower, and as its owner wishes if that is you"
    return Finding(name, None, seen, f"sudo nvidia-smi -i {gpu.index} -pl {default:g}")


def _slot(gpu: Gpu) -> Finding | None:
    name, width = f"PCIe of GPU {gpu.index}", gpu.pcie_width_most
    if width is None:
        return None
    generation = gpu.pcie_generation_most
    speed = None if generation is None else width * _GIB_A_SECOND.get(generation, 0.0)
    seen = f"x{width}" + (f", generation {generation}" if generation is not None else "")
    if speed:
        seen += f", about {speed:.1f} GiB/s"
    if width >= 4:
        return Finding(name, True, seen)
    meaning = f"{_MODEL_GIB} GiB of weights take {_MODEL_GIB / speed:.0f} s to load" if speed else "weights load slowly"
    riser = " (a riser, as mining rigs have)" if width == 1 else ""
    return Finding(name, None, f"{seen}{riser}: {meaning}", "move the card to a slot of x8 or x16")


def _mode(gpu: Gpu) -> Finding | None:
    name = f"settings of GPU {gpu.index}"
    if gpu.compute_mode not in (None, "default"):
        seen = f"compute mode {gpu.compute_mode}: jobs of several processes fail on it"
        return Finding(name, False, seen, f"sudo nvidia-smi -i {gpu.index} -c DEFAULT")
    if gpu.persistence is False:
        seen = "persistence mode off: the driver starts anew for each job, which takes seconds"
        return Finding(name, None, seen, f"sudo nvidia-smi -i {gpu.index} -pm 1")
    return None if gpu.persistence is None and gpu.compute_mode is None else Finding(name, True, "as jobs need them")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
