"""The helper process that talks to the NVIDIA driver (NVML). Run as a module; imports nothing of the agent but its
own parts (`nvml_*.py`, `tether.py`), which know no more than the standard library.

A read on a GPU that has fallen off the bus can block for ever inside the kernel, and no thread can be freed from
that; a process can be abandoned. Requests and answers are JSON lines on stdin and stdout:

    {"id": 1, "call": "inventory"}                        {"id": 1, "result": [...]}
    {"id": 2, "call": "sample", "uuids": ["GPU-..."]}     {"id": 2, "error": {"code": 15, "message": "..."}}
    {"id": 3, "call": "state", "uuids": ["GPU-..."]}      {"id": 3, "result": [...]}

What a GPU or driver does not offer is {"unavailable": "why"} in place of the value. A GPU that cannot be read at all is
{"uuid": "GPU-...", "failed": {"code": 15, "message": "..."}} beside the others; where all fail that is the error.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from typing import Any

from node.gpu.nvml_inventory import Inventory
from node.gpu.nvml_reads import code_of
from node.gpu.nvml_samples import Samples
from node.gpu.nvml_state import States
from node.gpu.nvml_xids import XidCollector
from node.gpu.tether import end_with, private_stdout


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
        library.nvmlInit()
        xids = XidCollector(library)
        self._inventory = Inventory(library)
        self._samples = Samples(library, xids)
        self._states = States(library, xids)

    def answer(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """What a request asks for."""
        if request["call"] == "inventory":
            return self._inventory.read()
        uuids = [str(uuid) for uuid in request["uuids"]]
        return self._states.read(uuids) if request["call"] == "state" else self._samples.read(uuids)


def main(arguments: list[str]) -> int:
    """Serve requests until stdin ends. Arguments: the library (by default pynvml), the parent's process id."""
    library_name = arguments[0] if arguments else "pynvml"
    if len(arguments) > 1:
        end_with(int(arguments[1]))
    answers = private_stdout()
    driver: Driver | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {"id": request["id"]}
        try:
            # Loaded at the first request, so that a missing driver is an answer and not a dead process.
            driver = driver or Driver(load_library(library_name))
            answer["result"] = driver.answer(request)
        except Exception as error:  # whatever the binding raises is an answer
            answer["error"] = {"code": code_of(error), "message": str(error) or type(error).__name__}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
