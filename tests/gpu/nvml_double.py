"""Stands in for the NVML binding inside the helper process: a script of what each call returns, read from a file.

The file is read anew whenever it has changed, so that a test can let things happen to a GPU.

The file (named by NVML_DOUBLE) is JSON: {"driver", "cuda", "devices": [{"uuid", "name", "vram", "cc", "limit",
"energy": [...], "power": [...], "utilisation": [...]}], "init": error code or null}. A list is what successive reads
give (its last value stays), {"cycle": [...]} gives them over and over; a value {"error": 3} raises that NVML error,
{"hang": true} never returns. What a device does not have in the script is not supported. `xids` is a list of errors
yet to be reported.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_MESSAGES = {
    3: "Not Supported",
    6: "Not Found",
    9: "Driver Not Loaded",
    12: "NVML Shared Library Not Found",
    15: "GPU is lost",
    999: "Unknown Error",
}


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(_MESSAGES.get(value, "Unknown Error"))
        self.value = value


_script: dict[str, Any] = {}
_reads: dict[tuple[int, str], int] = {}


_seen: dict[str, int] = {}
_reported: dict[int, int] = {}
NVML_FI_DEV_GET_GPU_RECOVERY_ACTION = 230
nvmlEventTypeXidCriticalError = 8  # noqa: N816


def _load() -> None:
    path = Path(os.environ["NVML_DOUBLE"])
    changed = path.stat().st_mtime_ns
    if _seen.get("at") != changed:
        _seen["at"] = changed
        _script.clear()
        _script.update(json.loads(path.read_text()))
        _reads.clear()


def nvmlInit() -> None:  # noqa: N802
    _load()
    if _script.get("init") is not None:
        raise NVMLError(_script["init"])


def _play(value: Any) -> Any:
    if isinstance(value, dict) and "error" in value:
        raise NVMLError(value["error"])
    if isinstance(value, dict) and "hang" in value:
        time.sleep(3600)
    return value


def _read(device: int, name: str) -> Any:
    _load()
    values = _device(device).get(name, {"error": 3})
    if isinstance(values, dict) and "cycle" in values:
        position = _reads.get((device, name), 0)
        _reads[(device, name)] = position + 1
        return _play(values["cycle"][position % len(values["cycle"])])
    if name == "mig_devices" or not isinstance(values, list):
        return _play(values)
    position = _reads.get((device, name), 0)
    _reads[(device, name)] = position + 1
    return _play(values[min(position, len(values) - 1)])


def _device(device: int) -> dict[str, Any]:
    """A GPU's script, or that of one of its partitions (numbers from 1000 on); a partition that is only a UUID offers
    nothing else."""
    if device < 1000:
        whole: dict[str, Any] = _script["devices"][device]
        return whole
    part = _script["devices"][device % 1000]["mig_devices"][device // 1000 - 1]
    return part if isinstance(part, dict) else {"uuid": part}


def nvmlDeviceIsMigDeviceHandle(device: int) -> bool:  # noqa: N802
    return device >= 1000


def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device: int) -> int:  # noqa: N802
    return device % 1000


def nvmlDeviceGetAttributes_v2(device: int) -> SimpleNamespace:  # noqa: N802
    return SimpleNamespace(gpuInstanceSliceCount=_read(device, "slices"))


def nvmlSystemGetDriverVersion() -> bytes:  # noqa: N802 (older bindings answer bytes)
    return str(_script["driver"]).encode()


def nvmlSystemGetCudaDriverVersion() -> int:  # noqa: N802
    return int(_play(_script["cuda"]))


def nvmlDeviceGetCount() -> int:  # noqa: N802
    return len(_script["devices"])


def nvmlDeviceGetHandleByIndex(index: int) -> int:  # noqa: N802
    return index


def nvmlDeviceGetHandleByUUID(uuid: str) -> int:  # noqa: N802
    _load()
    for index, device in enumerate(_script["devices"]):
        parts = device.get("mig_devices", [])
        for number in (index, *(index + 1000 * (part + 1) for part in range(len(parts)))):
            if _device(number)["uuid"] == uuid:
                return number
    raise NVMLError(6)


def nvmlDeviceGetUUID(device: int) -> str:  # noqa: N802
    return str(_read(device, "uuid"))


def nvmlDeviceGetName(device: int) -> str:  # noqa: N802
    return str(_read(device, "name"))


def nvmlDeviceGetMemoryInfo(device: int) -> SimpleNamespace:  # noqa: N802
    total = _read(device, "vram")
    used = _device(device).get("vram_used", 0)
    return SimpleNamespace(total=total, used=_play(used))


def nvmlDeviceGetCudaComputeCapability(device: int) -> tuple[int, int]:  # noqa: N802
    _load()
    major, minor = _play(_device(device).get("cc", {"error": 3}))
    return major, minor


def nvmlDeviceGetEnforcedPowerLimit(device: int) -> int:  # noqa: N802
    return int(_read(device, "limit"))


def nvmlDeviceGetTotalEnergyConsumption(device: int) -> int:  # noqa: N802
    return int(_read(device, "energy"))


def nvmlDeviceGetPowerUsage(device: int) -> int:  # noqa: N802
    return int(_read(device, "power"))


def nvmlDeviceGetUtilizationRates(device: int) -> SimpleNamespace:  # noqa: N802
    return SimpleNamespace(gpu=_read(device, "utilisation"))


def nvmlDeviceGetTemperature(device: int, sensor: int) -> int:  # noqa: N802
    assert sensor == 0
    return int(_read(device, "temperature"))


def nvmlDeviceGetClockInfo(device: int, kind: int) -> int:  # noqa: N802
    assert kind == 1
    return int(_read(device, "sm_clock"))


def nvmlDeviceGetCurrentClocksThrottleReasons(device: int) -> int:  # noqa: N802
    return int(_read(device, "throttle"))


def nvmlDeviceGetTemperatureThreshold(device: int, kind: int) -> int:  # noqa: N802
    return int(_read(device, {0: "shutdown_temperature", 1: "slowdown_temperature"}[kind]))


def nvmlDeviceGetPowerManagementDefaultLimit(device: int) -> int:  # noqa: N802
    return int(_read(device, "power_default"))


def nvmlDeviceGetPowerManagementLimitConstraints(device: int) -> list[int]:  # noqa: N802
    return [int(each) for each in _pairs_or_refusal(device, "power_limits")]


def nvmlDeviceGetMaxPcieLinkWidth(device: int) -> int:  # noqa: N802
    return int(_read(device, "pcie_width_most"))


def nvmlDeviceGetMaxPcieLinkGeneration(device: int) -> int:  # noqa: N802
    return int(_read(device, "pcie_generation_most"))


def nvmlDeviceGetCurrPcieLinkWidth(device: int) -> int:  # noqa: N802
    return int(_read(device, "pcie_width"))


def nvmlDeviceGetCurrPcieLinkGeneration(device: int) -> int:  # noqa: N802
    return int(_read(device, "pcie_generation"))


def nvmlDeviceGetPciInfo(device: int) -> SimpleNamespace:  # noqa: N802
    return SimpleNamespace(busId=_read(device, "bus_id"))


def nvmlSystemGetProcessName(pid: int) -> str:  # noqa: N802
    _load()
    names = _script.get("process_names", {})
    if str(pid) not in names:
        raise NVMLError(6)
    return str(_play(names[str(pid)]))


def _pairs_or_refusal(device: int, name: str) -> Any:
    _load()
    return _play(_script["devices"][device].get(name, {"error": 3}))


def _processes(device: int, name: str) -> list[SimpleNamespace]:
    return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in _pairs(device, name)]


def _pairs(device: int, name: str) -> Any:
    _load()
    return _play(_device(device).get(name, []))


def nvmlDeviceGetComputeRunningProcesses(device: int) -> list[SimpleNamespace]:  # noqa: N802
    return _processes(device, "compute")


def nvmlDeviceGetGraphicsRunningProcesses(device: int) -> list[SimpleNamespace]:  # noqa: N802
    return _processes(device, "graphics")


def nvmlDeviceGetApplicationsClock(device: int, kind: int) -> int:  # noqa: N802
    return int(_read(device, {0: "graphics_clock", 2: "memory_clock"}[kind]))


def nvmlDeviceGetPowerManagementLimit(device: int) -> int:  # noqa: N802
    return int(_read(device, "power_limit"))


def nvmlDeviceGetGpcClkVfOffset(device: int) -> int:  # noqa: N802
    return int(_read(device, "graphics_offset"))


def nvmlDeviceGetMemClkVfOffset(device: int) -> int:  # noqa: N802
    return int(_read(device, "memory_offset"))


def nvmlDeviceGetComputeMode(device: int) -> int:  # noqa: N802
    return int(_read(device, "compute_mode"))


def nvmlDeviceGetPersistenceMode(device: int) -> int:  # noqa: N802
    return int(_read(device, "persistence"))


def nvmlDeviceGetEccMode(device: int) -> list[int]:  # noqa: N802
    return [int(_read(device, "ecc_mode")), 1]


def nvmlDeviceGetMigMode(device: int) -> list[int]:  # noqa: N802
    return [int(_read(device, "mig_mode")), 0]


def nvmlDeviceGetMaxMigDeviceCount(device: int) -> int:  # noqa: N802
    return 7 if _read(device, "mig_mode") else 0


def nvmlDeviceGetMigDeviceHandleByIndex(device: int, index: int) -> int:  # noqa: N802
    if index >= len(_read(device, "mig_devices")):
        raise NVMLError(6)
    return (index + 1) * 1000 + device


def nvmlDeviceGetTotalEccErrors(device: int, kind: int, counter: int) -> int:  # noqa: N802
    if kind == 0:
        return int(_read(device, "ecc_corrected"))
    return int(_read(device, ("ecc_volatile", "ecc_aggregate")[counter]))


def nvmlDeviceGetRetiredPagesPendingStatus(device: int) -> int:  # noqa: N802
    return int(_read(device, "retirement_pending"))


def nvmlDeviceGetRemappedRows(device: int) -> tuple[int, int, int, int]:  # noqa: N802
    return (0, 0, int(_read(device, "remap_pending")), int(_read(device, "remap_failure")))


def nvmlDeviceGetFieldValues(device: int, fields: list[int]) -> list[SimpleNamespace]:  # noqa: N802
    assert fields == [NVML_FI_DEV_GET_GPU_RECOVERY_ACTION]
    value = _script["devices"][device].get("recovery_action")
    if value is None:
        return [SimpleNamespace(nvmlReturn=3, value=SimpleNamespace(uiVal=0))]
    return [SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(uiVal=value))]


def nvmlEventSetCreate() -> str:  # noqa: N802
    return "events"


def nvmlDeviceRegisterEvents(device: int, kinds: int, events: str) -> None:  # noqa: N802
    assert (kinds, events) == (8, "events")
    if "xids" not in _script["devices"][device]:
        raise NVMLError(3)


def nvmlEventSetWait_v2(events: str, milliseconds: int) -> SimpleNamespace:  # noqa: N802
    assert (events, milliseconds) == ("events", 0)
    _load()
    for index, device in enumerate(_script["devices"]):
        told = _reported.get(index, 0)
        if told < len(device.get("xids", [])):
            _reported[index] = told + 1
            return SimpleNamespace(device=index, eventData=device["xids"][told])
    raise NVMLError(10)
