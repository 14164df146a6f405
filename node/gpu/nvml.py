"""The helper process that talks to the NVIDIA driver (NVML). Run as a script; imports nothing of the agent.

A read on a GPU that has fallen off the bus can block for ever inside the kernel, and no thread can be freed from
that; a process can be abandoned. Requests and answers are JSON lines on stdin and stdout:

    {"id": 1, "call": "inventory"}                        {"id": 1, "result": [...]}
    {"id": 2, "call": "sample", "uuids": ["GPU-..."]}     {"id": 2, "error": {"code": 15, "message": "..."}}
    {"id": 3, "call": "state", "uuids": ["GPU-..."]}      {"id": 3, "result": [...]}

What a GPU or driver does not offer is {"unavailable": "why"} in place of the value.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import json
import os
import signal
import sys
import time
import zlib
from collections.abc import Callable
from typing import Any, TextIO

GPU_IS_LOST = 15
"""NVML_ERROR_GPU_IS_LOST: the device fell off the bus; not something that it "does not offer"."""
RESET_REQUIRED = 16
"""NVML_ERROR_RESET_REQUIRED: it does nothing more until it is reset."""
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_MOST_EVENTS = 4096
"""Reported errors taken at once: a program can cause them as fast as it likes."""


def load_library(name: str) -> Any:
    """The NVML binding: a module's name, or the path of a Python file that stands in for it."""
    if not name.endswith(".py"):
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location("nvml_stand_in", name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Driver:
    """The calls that the agent makes, on one initialised library."""

    def __init__(self, library: Any) -> None:
        self._nvml = library
        self._events: Any = None
        self._xids: dict[str, dict[int, int]] = {}
        self._epoch = f"{os.getpid()}-{time.monotonic_ns()}"
        library.nvmlInit()

    def inventory(self) -> list[dict[str, Any]]:
        """Each GPU's fixed facts. One that is lost is `{"lost": index}`, for those beside it go on working; where all
        are lost that is the error."""
        rows, lost = [], None
        for index in range(self._nvml.nvmlDeviceGetCount()):
            try:
                rows.append(self._facts(index))
            except self._nvml.NVMLError as error:
                if _code(error) not in (GPU_IS_LOST, RESET_REQUIRED):
                    raise
                rows.append({"lost": index})
                lost = error
        if lost is not None and all("lost" in row for row in rows):
            raise lost
        return rows

    def sample(self, uuids: list[str]) -> list[dict[str, Any]]:
        """What these GPUs measure now: millijoules since the driver was loaded, milliwatts, percent."""
        return [self._measures(uuid) for uuid in uuids]

    def _facts(self, index: int) -> dict[str, Any]:
        nvml = self._nvml
        device = nvml.nvmlDeviceGetHandleByIndex(index)
        return {
            "index": index,
            "uuid": _text(nvml.nvmlDeviceGetUUID(device)),
            "name": _name(lambda: nvml.nvmlDeviceGetName(device)),
            "vram_bytes": self._offer(lambda: int(nvml.nvmlDeviceGetMemoryInfo(device).total)),
            "compute_capability": self._offer(
                lambda: ".".join(map(str, nvml.nvmlDeviceGetCudaComputeCapability(device)))
            ),
            "power_limit_mw": self._offer(lambda: int(nvml.nvmlDeviceGetEnforcedPowerLimit(device))),
            "driver": self._offer(lambda: _text(nvml.nvmlSystemGetDriverVersion())),
            "cuda": self._offer(lambda: _cuda_version(nvml.nvmlSystemGetCudaDriverVersion())),
        }

    def _measures(self, uuid: str) -> dict[str, Any]:
        nvml = self._nvml
        device = nvml.nvmlDeviceGetHandleByUUID(uuid)
        return {
            "uuid": uuid,
            "energy_mj": self._offer(lambda: int(nvml.nvmlDeviceGetTotalEnergyConsumption(device))),
            "power_mw": self._offer(lambda: int(nvml.nvmlDeviceGetPowerUsage(device))),
            "utilisation": self._offer(lambda: int(nvml.nvmlDeviceGetUtilizationRates(device).gpu)),
        }

    def state(self, uuids: list[str]) -> list[dict[str, Any]]:
        """What these GPUs are left with: who uses them, what is set, what has failed. Clocks in MHz, power in mW."""
        self._collect_xids()
        return [self._left(uuid) for uuid in uuids]

    def _left(self, uuid: str) -> dict[str, Any]:
        nvml = self._nvml
        device = nvml.nvmlDeviceGetHandleByUUID(uuid)
        settings = {
            "graphics_clock": lambda: nvml.nvmlDeviceGetApplicationsClock(device, 0),  # NVML_CLOCK_GRAPHICS
            "memory_clock": lambda: nvml.nvmlDeviceGetApplicationsClock(device, 2),  # NVML_CLOCK_MEM
            "graphics_offset": lambda: nvml.nvmlDeviceGetGpcClkVfOffset(device),
            "memory_offset": lambda: nvml.nvmlDeviceGetMemClkVfOffset(device),
            "power_limit": lambda: nvml.nvmlDeviceGetPowerManagementLimit(device),
            "compute_mode": lambda: nvml.nvmlDeviceGetComputeMode(device),
            "persistence": lambda: nvml.nvmlDeviceGetPersistenceMode(device),
            "ecc_mode": lambda: nvml.nvmlDeviceGetEccMode(device)[0],
            "mig_mode": lambda: nvml.nvmlDeviceGetMigMode(device)[0],
            "mig_layout": lambda: self._mig_layout(device),
        }
        counters = {
            # Uncorrected errors, since the driver was loaded and in all (NVML_VOLATILE_ECC, NVML_AGGREGATE_ECC).
            "ecc_volatile": lambda: nvml.nvmlDeviceGetTotalEccErrors(device, 1, 0),
            "ecc_aggregate": lambda: nvml.nvmlDeviceGetTotalEccErrors(device, 1, 1),
        }
        faults = {
            "retirement_pending": lambda: nvml.nvmlDeviceGetRetiredPagesPendingStatus(device),
            "remap_pending": lambda: nvml.nvmlDeviceGetRemappedRows(device)[2],
            "remap_failure": lambda: nvml.nvmlDeviceGetRemappedRows(device)[3],
            "recovery_action": lambda: self._recovery_action(device),
        }
        return {
            "uuid": uuid,
            "processes": self._soft(lambda: self._processes(device)),
            "vram_used": self._soft(lambda: int(nvml.nvmlDeviceGetMemoryInfo(device).used)),
            "settings": self._numbers(settings),
            "counters": self._numbers(counters),
            "faults": self._numbers(faults),
            "epoch": self._epoch,
            "xids": self._xids.get(uuid, {}),
        }

    def _processes(self, device: Any) -> list[dict[str, Any]]:
        nvml = self._nvml
        found: dict[int, int | None] = {}
        for read in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
            for process in read(device):
                found[int(process.pid)] = None if process.usedGpuMemory is None else int(process.usedGpuMemory)
        return [{"pid": pid, "used": used} for pid, used in sorted(found.items())]

    def _mig_layout(self, device: Any) -> int:
        """A number that stands for how the GPU is divided: of its partitions' UUIDs, 0 for none."""
        nvml = self._nvml
        found = []
        for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(device)):
            try:
                partition = nvml.nvmlDeviceGetMigDeviceHandleByIndex(device, index)
                found.append(_text(nvml.nvmlDeviceGetUUID(partition)))
            except nvml.NVMLError as error:
                if _code(error) in (GPU_IS_LOST, RESET_REQUIRED):
                    raise
        return zlib.crc32("\n".join(sorted(found)).encode()) if found else 0

    def _recovery_action(self, device: Any) -> int:
        """What the driver asks for: 0 nothing, 1 a reset of the GPU, 2 a reboot, more: see NVML."""
        nvml = self._nvml
        (answer,) = nvml.nvmlDeviceGetFieldValues(device, [nvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION])
        if answer.nvmlReturn != 0:
            raise nvml.NVMLError(answer.nvmlReturn)
        return int(answer.value.uiVal)

    def _collect_xids(self) -> None:
        """Take the errors that the driver has reported since the last time; what it does not report stays unknown."""
        nvml = self._nvml
        try:
            if self._events is None:
                self._events = nvml.nvmlEventSetCreate()
                for index in range(nvml.nvmlDeviceGetCount()):
                    device = nvml.nvmlDeviceGetHandleByIndex(index)
                    with contextlib.suppress(nvml.NVMLError):
                        nvml.nvmlDeviceRegisterEvents(device, nvml.nvmlEventTypeXidCriticalError, self._events)
            for _ in range(_MOST_EVENTS):
                event = nvml.nvmlEventSetWait_v2(self._events, 0)
                counts = self._xids.setdefault(_text(nvml.nvmlDeviceGetUUID(event.device)), {})
                number = int(event.eventData)
                counts[number] = counts.get(number, 0) + 1
        except (nvml.NVMLError, AttributeError):  # none waits, or none are told of here
            return

    def _numbers(self, reads: dict[str, Callable[[], Any]]) -> dict[str, int]:
        """Those that are offered."""
        found = {name: self._soft(read) for name, read in reads.items()}
        return {name: int(value) for name, value in found.items() if isinstance(value, (int, bool))}

    def _soft(self, read: Callable[[], Any]) -> Any:
        """As `_offer`; what an older binding or driver does not know by name is not offered either."""
        try:
            return self._offer(read)
        except AttributeError as error:
            return {"unavailable": str(error)}

    def _offer(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except self._nvml.NVMLError as error:
            if _code(error) in (GPU_IS_LOST, RESET_REQUIRED):
                raise
            return {"unavailable": str(error)}


def main(arguments: list[str]) -> int:
    """Serve requests until stdin ends. Arguments: the library (by default pynvml), the parent's process id."""
    library_name = arguments[0] if arguments else "pynvml"
    if len(arguments) > 1:
        _end_with(int(arguments[1]))
    answers = _private_stdout()
    driver: Driver | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {"id": request["id"]}
        try:
            # Loaded at the first request, so that a missing driver is an answer and not a dead process.
            driver = driver or Driver(load_library(library_name))
            if request["call"] == "inventory":
                answer["result"] = driver.inventory()
            elif request["call"] == "state":
                answer["result"] = driver.state([str(uuid) for uuid in request["uuids"]])
            else:
                answer["result"] = driver.sample([str(uuid) for uuid in request["uuids"]])
        except Exception as error:  # whatever the binding raises is an answer
            answer["error"] = {"code": _code(error), "message": str(error) or type(error).__name__}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


def _end_with(parent: int) -> None:
    """Have this process killed when its parent ends, even while a driver call blocks: no end of stdin is seen then."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it could be tied to us
        sys.exit(1)


def _private_stdout() -> TextIO:
    """The answers' own channel: what a library prints by itself goes to stderr instead of among them."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _code(error: Exception) -> int | None:
    value = getattr(error, "value", None)
    return value if isinstance(value, int) else None


def _name(read: Callable[[], str | bytes]) -> str:
    try:
        return _text(read())
    except UnicodeDecodeError as error:  # newer bindings decode by themselves
        return _text(error.object)


def _text(value: str | bytes) -> str:
    # What is no UTF-8 becomes a replacement character: names end up in signed documents.
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value.encode("utf-8", "replace").decode()


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
