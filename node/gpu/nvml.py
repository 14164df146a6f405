"""The helper process that talks to the NVIDIA driver (NVML). Run as a script; imports nothing of the agent.

A read on a GPU that has fallen off the bus can block for ever inside the kernel, and no thread can be freed from
that; a process can be abandoned. Requests and answers are JSON lines on stdin and stdout:

    {"id": 1, "call": "inventory"}                        {"id": 1, "result": [...]}
    {"id": 2, "call": "sample", "uuids": ["GPU-..."]}     {"id": 2, "error": {"code": 15, "message": "..."}}

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
from collections.abc import Callable
from typing import Any, TextIO

GPU_IS_LOST = 15
"""NVML_ERROR_GPU_IS_LOST: the device fell off the bus; not something that it "does not offer"."""
RESET_REQUIRED = 16
"""NVML_ERROR_RESET_REQUIRED: it does nothing more until it is reset."""
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


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
