"""Records the GPUs of a machine as a fixture: `python -m tests.gpu.record FILE [SAMPLES] [LIBRARY]`.

What it writes is what `nvml_double.py` plays: each value as NVML gave it, or the error that it gave instead. UUIDs and
the names of strangers' programs are replaced.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.gpu.nvml import load_library

SUCCESSIVE = ("energy", "power", "utilisation", "temperature", "sm_clock", "throttle")


class Recorder:
    """Reads one library."""

    def __init__(self, library: Any) -> None:
        self.nvml = library
        library.nvmlInit()

    def record(self, samples: int) -> dict[str, Any]:
        """Everything; `samples` successive reads, a second apart, of what changes by itself."""
        nvml = self.nvml
        devices = [
            self._device(nvml.nvmlDeviceGetHandleByIndex(index), index) for index in range(nvml.nvmlDeviceGetCount())
        ]
        for taken in range(samples):
            for index, told in enumerate(devices):
                reads = self._successive(nvml.nvmlDeviceGetHandleByIndex(index))
                for name in SUCCESSIVE:
                    told.setdefault(name, []).append(self._try(reads[name]))
            if taken < samples - 1:
                time.sleep(1.0)
        return {
            "init": None,
            "driver": _text(nvml.nvmlSystemGetDriverVersion()),
            "cuda": self._try(nvml.nvmlSystemGetCudaDriverVersion),
            "devices": devices,
            "process_names": {},
        }

    def _device(self, device: Any, index: int) -> dict[str, Any]:
        nvml = self.nvml
        reads: dict[str, Callable[[], Any]] = {
            **self._common(device),
            "limit": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(device),
            "power_limit": lambda: nvml.nvmlDeviceGetPowerManagementLimit(device),
            "power_default": lambda: nvml.nvmlDeviceGetPowerManagementDefaultLimit(device),
            "power_limits": lambda: list(nvml.nvmlDeviceGetPowerManagementLimitConstraints(device)),
            "slowdown_temperature": lambda: nvml.nvmlDeviceGetTemperatureThreshold(device, 1),
            "shutdown_temperature": lambda: nvml.nvmlDeviceGetTemperatureThreshold(device, 0),
            "pcie_width": lambda: nvml.nvmlDeviceGetCurrPcieLinkWidth(device),
            "pcie_width_most": lambda: nvml.nvmlDeviceGetMaxPcieLinkWidth(device),
            "pcie_generation": lambda: nvml.nvmlDeviceGetCurrPcieLinkGeneration(device),
            "pcie_generation_most": lambda: nvml.nvmlDeviceGetMaxPcieLinkGeneration(device),
            "bus_id": lambda: _text(nvml.nvmlDeviceGetPciInfo(device).busId),
            "ecc_mode": lambda: nvml.nvmlDeviceGetEccMode(device)[0],
            "mig_mode": lambda: nvml.nvmlDeviceGetMigMode(device)[0],
            "persistence": lambda: nvml.nvmlDeviceGetPersistenceMode(device),
            "compute_mode": lambda: nvml.nvmlDeviceGetComputeMode(device),
            "graphics_clock": lambda: nvml.nvmlDeviceGetApplicationsClock(device, 0),
            "memory_clock": lambda: nvml.nvmlDeviceGetApplicationsClock(device, 2),
            "graphics_offset": lambda: nvml.nvmlDeviceGetGpcClkVfOffset(device),
            "memory_offset": lambda: nvml.nvmlDeviceGetMemClkVfOffset(device),
            "ecc_corrected": lambda: nvml.nvmlDeviceGetTotalEccErrors(device, 0, 0),
            "ecc_volatile": lambda: nvml.nvmlDeviceGetTotalEccErrors(device, 1, 0),
            "ecc_aggregate": lambda: nvml.nvmlDeviceGetTotalEccErrors(device, 1, 1),
            "retirement_pending": lambda: nvml.nvmlDeviceGetRetiredPagesPendingStatus(device),
            "remap_pending": lambda: nvml.nvmlDeviceGetRemappedRows(device)[2],
            "remap_failure": lambda: nvml.nvmlDeviceGetRemappedRows(device)[3],
        }
        told = {name: self._try(read) for name, read in reads.items()}
        recovery = self._try(lambda: self._recovery(device))
        if isinstance(recovery, int):
            told["recovery_action"] = recovery
        told |= {"uuid": _made_up("GPU", index), "mig_devices": self._partitions(device, index), "xids": []}
        return told

    def _common(self, device: Any) -> dict[str, Callable[[], Any]]:
        nvml = self.nvml
        return {
            "name": lambda: _text(nvml.nvmlDeviceGetName(device)),
            "vram": lambda: nvml.nvmlDeviceGetMemoryInfo(device).total,
            "vram_used": lambda: nvml.nvmlDeviceGetMemoryInfo(device).used,
            "cc": lambda: list(nvml.nvmlDeviceGetCudaComputeCapability(device)),
            "compute": lambda: _pairs(nvml.nvmlDeviceGetComputeRunningProcesses(device)),
            "graphics": lambda: _pairs(nvml.nvmlDeviceGetGraphicsRunningProcesses(device)),
        }

    def _successive(self, device: Any) -> dict[str, Callable[[], Any]]:
        nvml = self.nvml
        return {
            "energy": lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(device),
            "power": lambda: nvml.nvmlDeviceGetPowerUsage(device),
            "utilisation": lambda: nvml.nvmlDeviceGetUtilizationRates(device).gpu,
            "temperature": lambda: nvml.nvmlDeviceGetTemperature(device, 0),
            "sm_clock": lambda: nvml.nvmlDeviceGetClockInfo(device, 1),
            "throttle": lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(device),
        }

    def _partitions(self, device: Any, index: int) -> list[dict[str, Any]]:
        nvml, found = self.nvml, []
        most = self._try(lambda: nvml.nvmlDeviceGetMaxMigDeviceCount(device))
        for number in range(most if isinstance(most, int) else 0):
            try:
                part = nvml.nvmlDeviceGetMigDeviceHandleByIndex(device, number)
            except nvml.NVMLError:
                continue
            told = {name: self._try(read) for name, read in self._common(part).items()}
            told["slices"] = self._try(lambda part=part: nvml.nvmlDeviceGetAttributes_v2(part).gpuInstanceSliceCount)  # type: ignore[misc]
            found.append(told | {"uuid": _made_up("MIG", index * 10 + number)})
        return found

    def _recovery(self, device: Any) -> int:
        nvml = self.nvml
        (answer,) = nvml.nvmlDeviceGetFieldValues(device, [nvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION])
        if answer.nvmlReturn != 0:
            raise nvml.NVMLError(answer.nvmlReturn)
        return int(answer.value.uiVal)

    def _try(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except self.nvml.NVMLError as error:
            return {"error": error.value}
        except AttributeError:
            return {"error": 13}  # NVML_ERROR_FUNCTION_NOT_FOUND


def _pairs(processes: Any) -> list[list[int | None]]:
    return [[int(each.pid), None if each.usedGpuMemory is None else int(each.usedGpuMemory)] for each in processes]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _made_up(kind: str, number: int) -> str:
    return f"{kind}-5e3c1a7e-0000-4000-8000-{number:012x}"


def main(arguments: list[str]) -> int:
    """Write the fixture."""
    samples = int(arguments[1]) if len(arguments) > 1 else 5
    recorded = Recorder(load_library(arguments[2] if len(arguments) > 2 else "pynvml")).record(samples)
    Path(arguments[0]).write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
