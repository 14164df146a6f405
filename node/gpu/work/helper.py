"""The helper process that makes work proofs. Run as a module; ended at once, by a signal, when a job comes.

A process of its own: a driver that hangs takes only it along, and its end gives the GPU's memory back whatever it was
doing. Requests and answers are JSON lines on stdin and stdout, one at a time:

    {"id": 1, "call": "start", "engine": "cuda", "gpu": "GPU-..."}
    {"id": 1, "result": {"engine": .., "device": ..}}
    {"id": 2, "call": "prove", "challenge": {..}, "size": null, "seconds": 15, "openings": 1024}
    {"id": 2, "result": {"root": "..", "size": .., "rounds": .., "stated": {..}}}
    {"id": 3, "call": "open", "slot": 7, "blockhash": "..", "file": "/.."}
    {"id": 3, "result": {"sha256": "..", "bytes": ..}}

The document is written to the file, whole or not at all. Errors are {"id": .., "error": {"message": .., "hint": ..}}.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.errors import GpunodeError
from node.gpu.tether import end_with, private_stdout

_IDLE_PRIORITY = 19


class Bench:
    """One engine and at most one proof on it."""

    def __init__(self) -> None:
        self._engine: Any = None
        self._worked: Any = None
        self._energy: Callable[[], int | None] = _unmetered

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The result of one request. Raises GpunodeError, or KeyError for one that is not understood."""
        calls = {"start": self._start, "prove": self._prove, "open": self._open}
        return calls[str(request["call"])](request)

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        from node.gpu.work.engine import choose_engine

        self._engine = choose_engine(str(request["engine"]), request.get("gpu"))
        if request.get("gpu") is not None:
            self._energy = energy_counter(str(request["gpu"]))
        return {"engine": self._engine.name, "device": self._engine.device}

    def _prove(self, request: dict[str, Any]) -> dict[str, Any]:
        from node.gpu.work.challenge import parse_challenge
        from node.gpu.work.prover import prove

        self._worked = prove(
            self._engine,
            parse_challenge(request["challenge"]),
            size=request["size"],
            seconds=float(request["seconds"]),
            openings=int(request["openings"]),
            energy=self._energy,
        )
        worked = self._worked
        return {
            "root": worked.root.hex(),
            "size": worked.size,
            "rounds": worked.rounds,
            "stated": worked.stated.document(),
        }

    def _open(self, request: dict[str, Any]) -> dict[str, Any]:
        from node.gpu.work.prover import open_rows

        body = open_rows(self._engine, self._worked, int(request["slot"]), str(request["blockhash"])).body()
        target = Path(request["file"])
        partial = target.with_name(target.name + ".part")
        with partial.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
        return {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}


def energy_counter(gpu: str) -> Callable[[], int | None]:
    """Reads the millijoules that a GPU has used since its driver was loaded; None where it does not count them."""
    try:
        import pynvml

        pynvml.nvmlInit()
        device = pynvml.nvmlDeviceGetHandleByUUID(gpu)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(device)
    except Exception:  # whatever the binding raises: there is no meter
        return _unmetered

    def read() -> int | None:
        try:
            return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(device))
        except pynvml.NVMLError:
            return None

    return read


def _unmetered() -> int | None:
    return None


def main(arguments: list[str]) -> int:
    """Serve requests until stdin ends. Arguments: the parent's process id."""
    end_with(int(arguments[0]))
    with contextlib.suppress(OSError):
        os.nice(_IDLE_PRIORITY)
    answers = private_stdout()
    bench = Bench()
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {"id": request["id"]}
        try:
            answer["result"] = bench.answer(request)
        except GpunodeError as error:
            answer["error"] = {"message": error.message, "hint": error.hint}
        except Exception as error:  # whatever else goes wrong is an answer too
            answer["error"] = {"message": f"{type(error).__name__}: {error}", "hint": ""}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
