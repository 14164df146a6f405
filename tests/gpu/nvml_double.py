"""Stands in for the NVML binding inside the helper process: a script of what each call returns, read from a file.

The file (named by NVML_DOUBLE) is JSON: {"driver", "cuda", "devices": [{"uuid", "name", "vram", "cc", "limit",
"energy": [...], "power": [...], "utilisation": [...]}], "init": error code or null}. A list is what successive reads
give (its last value stays); a value {"error": 3} raises that NVML error, {"hang": true} never returns.
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
}


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(_MESSAGES.get(value, "Unknown Error"))
        self.value = value


_script: dict[str, Any] = {}
_reads: dict[tuple[int, str], int] = {}


def nvmlInit() -> None:  # noqa: N802
    _script.update(json.loads(Path(os.environ["NVML_DOUBLE"]).read_text()))
    if _script.get("init") is not None:
        raise NVMLError(_script["init"])


def _play(value: Any) -> Any:
    if isinstance(value, dict) and "error" in value:
        raise NVMLError(value["error"])
    if isinstance(value, dict) and "hang" in value:
        time.sleep(3600)
    return value


def _read(device: int, name: str) -> Any:
    values = _script["devices"][device][name]
    if not isinstance(values, list):
        return _play(values)
    position = _reads.get((device, name), 0)
    _reads[(device, name)] = position + 1
    return _play(values[min(position, len(values) - 1)])


def nvmlSystemGetDriverVersion() -> bytes:  # noqa: N802 (older bindings answer bytes)
    return str(_script["driver"]).encode()


def nvmlSystemGetCudaDriverVersion() -> int:  # noqa: N802
    return int(_play(_script["cuda"]))


def nvmlDeviceGetCount() -> int:  # noqa: N802
    return len(_script["devices"])


def nvmlDeviceGetHandleByIndex(index: int) -> int:  # noqa: N802
    return index


def nvmlDeviceGetHandleByUUID(uuid: str) -> int:  # noqa: N802
    for index, device in enumerate(_script["devices"]):
        if device["uuid"] == uuid:
            return index
    raise NVMLError(6)


def nvmlDeviceGetUUID(device: int) -> str:  # noqa: N802
    return str(_read(device, "uuid"))


def nvmlDeviceGetName(device: int) -> str:  # noqa: N802
    return str(_read(device, "name"))


def nvmlDeviceGetMemoryInfo(device: int) -> SimpleNamespace:  # noqa: N802
    return SimpleNamespace(total=_read(device, "vram"))


def nvmlDeviceGetCudaComputeCapability(device: int) -> tuple[int, int]:  # noqa: N802
    major, minor = _script["devices"][device]["cc"]
    return major, minor


def nvmlDeviceGetEnforcedPowerLimit(device: int) -> int:  # noqa: N802
    return int(_read(device, "limit"))


def nvmlDeviceGetTotalEnergyConsumption(device: int) -> int:  # noqa: N802
    return int(_read(device, "energy"))


def nvmlDeviceGetPowerUsage(device: int) -> int:  # noqa: N802
    return int(_read(device, "power"))


def nvmlDeviceGetUtilizationRates(device: int) -> SimpleNamespace:  # noqa: N802
    return SimpleNamespace(gpu=_read(device, "utilisation"))
