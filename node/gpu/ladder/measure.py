"""One ladder, in a process of its own: `python -m node.gpu.ladder.measure cpu SECONDS`, or `cuda SECONDS UUID`.

Prints one line: {"body": <the canonical document as text>} or {"error": {"message": .., "hint": ..}}.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Protocol

from node import __version__
from node.errors import GpunodeError
from node.gpu.ladder.record import Bandwidth, Device, Ladder, ModelRun, Product


class Rungs(Protocol):
    """What is measured of a device. Each raises GpuError."""

    def device(self) -> Device:
        """What is measured."""
        ...

    def products(self) -> tuple[Product, ...]:
        """Products in each precision."""
        ...

    def bandwidth(self) -> Bandwidth:
        """Of its memory."""
        ...

    def model(self) -> tuple[ModelRun | None, str]:
        """The small model, or why not."""
        ...


def measured(rungs: Rungs, now: float) -> Ladder:
    """The ladder of a device; `now` in unix seconds. Raises GpuError."""
    device, products, bandwidth = rungs.device(), rungs.products(), rungs.bandwidth()
    run, why = rungs.model()
    return Ladder(device, round(1000 * now), f"gpunode/{__version__}", products, bandwidth, run, why)


def rungs_of(kind: str, seconds: float, gpu: str | None) -> Rungs:
    """What measures a device of this kind. Raises GpuError."""
    if kind == "cuda":
        from node.gpu.cuda import CudaDevice
        from node.gpu.ladder.cuda import CudaLadder

        return CudaLadder(CudaDevice(gpu), gpu, seconds)
    from node.gpu.ladder.cpu import CpuLadder

    return CpuLadder(seconds)


def main(arguments: list[str]) -> int:
    """Measure, print, end."""
    kind, seconds, gpu = arguments[0], float(arguments[1]), arguments[2] if len(arguments) > 2 else None
    try:
        answer: dict[str, object] = {"body": measured(rungs_of(kind, seconds, gpu), time.time()).body().decode()}
    except GpunodeError as error:
        answer = {"error": {"message": error.message, "hint": error.hint}}
    except Exception as error:  # whatever a library raises is an answer too
        answer = {"error": {"message": f"{type(error).__name__}: {error}", "hint": ""}}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
