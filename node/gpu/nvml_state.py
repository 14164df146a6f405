"""What GPUs are left with: who uses them, what is set, what has failed. Part of the helper process."""

from __future__ import annotations

import contextlib
import re
import zlib
from pathlib import Path
from typing import Any

from node.gpu.nvml_reads import Reads, Row, text
from node.gpu.nvml_xids import XidCollector

_LONGEST_NAME = 200
_PROC = Path("/proc")


class States:
    """Reads them."""

    def __init__(self, library: Any, xids: XidCollector) -> None:
        self._reads = Reads(library)
        self._xids = xids

    def read(self, uuids: list[str]) -> list[Row]:
        """Clocks in MHz, power in milliwatts, memory in bytes."""
        self._xids.collect()
        return self._reads.each(uuids, self._left)

    def _left(self, uuid: str) -> Row:
        nvml, reads = self._reads.nvml, self._reads
        device = nvml.nvmlDeviceGetHandleByUUID(uuid)
        parent = reads.parent(device)
        whole = device if parent is None else parent
        settings = {
            "graphics_clock": lambda: nvml.nvmlDeviceGetApplicationsClock(whole, 0),  # NVML_CLOCK_GRAPHICS
            "memory_clock": lambda: nvml.nvmlDeviceGetApplicationsClock(whole, 2),  # NVML_CLOCK_MEM
            "graphics_offset": lambda: nvml.nvmlDeviceGetGpcClkVfOffset(whole),
            "memory_offset": lambda: nvml.nvmlDeviceGetMemClkVfOffset(whole),
            "power_limit": lambda: nvml.nvmlDeviceGetPowerManagementLimit(whole),
            "compute_mode": lambda: nvml.nvmlDeviceGetComputeMode(whole),
            "persistence": lambda: nvml.nvmlDeviceGetPersistenceMode(whole),
            "ecc_mode": lambda: nvml.nvmlDeviceGetEccMode(whole)[0],
            "mig_mode": lambda: nvml.nvmlDeviceGetMigMode(whole)[0],
            "mig_layout": lambda: self._mig_layout(whole),
        }
        counters = {
            # Uncorrected errors, since the driver was loaded and in all (NVML_VOLATILE_ECC, NVML_AGGREGATE_ECC).
            "ecc_volatile": lambda: nvml.nvmlDeviceGetTotalEccErrors(whole, 1, 0),
            "ecc_aggregate": lambda: nvml.nvmlDeviceGetTotalEccErrors(whole, 1, 1),
        }
        faults = {
            "retirement_pending": lambda: nvml.nvmlDeviceGetRetiredPagesPendingStatus(whole),
            "remap_pending": lambda: nvml.nvmlDeviceGetRemappedRows(whole)[2],
            "remap_failure": lambda: nvml.nvmlDeviceGetRemappedRows(whole)[3],
            "recovery_action": lambda: self._recovery_action(whole),
        }
        link = {
            "width": lambda: nvml.nvmlDeviceGetCurrPcieLinkWidth(whole),
            "generation": lambda: nvml.nvmlDeviceGetCurrPcieLinkGeneration(whole),
        }
        return {
            "uuid": uuid,
            "processes": reads.offer(lambda: self._processes(device)),
            "vram_used": reads.offer(lambda: int(nvml.nvmlDeviceGetMemoryInfo(device).used)),
            "settings": reads.numbers(settings),
            "counters": reads.numbers(counters),
            "faults": reads.numbers(faults),
            "epoch": self._xids.epoch,
            "xids": self._xids.of(uuid if parent is None else text(nvml.nvmlDeviceGetUUID(parent))),
            "link": reads.numbers(link),
        }

    def _processes(self, device: Any) -> list[Row]:
        nvml = self._reads.nvml
        found: dict[int, int | None] = {}
        for read in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
            for process in read(device):
                found[int(process.pid)] = None if process.usedGpuMemory is None else int(process.usedGpuMemory)
        return [{"pid": pid, "used": used, "names": self._names(pid)} for pid, used in sorted(found.items())]

    def _names(self, pid: int) -> list[str]:
        """What a person may know it by: its own first argument (a Windows program's under Wine), its program's file,
        what the kernel calls it."""
        found = []
        with contextlib.suppress(OSError):
            found.append((_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[0].decode("utf-8", "replace"))
        program = self._reads.offer(lambda: text(self._reads.nvml.nvmlSystemGetProcessName(pid)))
        if isinstance(program, str):
            found.append(program.split(" ")[0] if program.startswith("/") else program)
        with contextlib.suppress(OSError):
            found.append((_PROC / str(pid) / "comm").read_text("utf-8", "replace").strip())
        plain = ("".join(c for c in re.split(r"[/\\]", each)[-1] if c.isprintable()) for each in found)
        return [each[:_LONGEST_NAME] for each in dict.fromkeys(plain) if each]

    def _mig_layout(self, device: Any) -> int:
        """A number that stands for how the GPU is divided: of its partitions' UUIDs, 0 for none."""
        nvml = self._reads.nvml
        # Asked for by itself first: a GPU that cannot be divided offers no number.
        nvml.nvmlDeviceGetMaxMigDeviceCount(device)
        found = [text(nvml.nvmlDeviceGetUUID(part)) for part in self._reads.partitions(device)]
        return zlib.crc32("\n".join(sorted(found)).encode()) if found else 0

    def _recovery_action(self, device: Any) -> int:
        """What the driver asks for: 0 nothing, 1 a reset of the GPU, 2 a reboot, more: see NVML."""
        nvml = self._reads.nvml
        (answer,) = nvml.nvmlDeviceGetFieldValues(device, [nvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION])
        if answer.nvmlReturn != 0:
            raise nvml.NVMLError(answer.nvmlReturn)
        return int(answer.value.uiVal)
