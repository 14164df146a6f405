"""A stand-in for a CUDA device that runs our kernels' own text on this machine's processor."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

HERE = Path(__file__).parent
KERNELS = Path(__file__).parents[3] / "node" / "gpu" / "kernels"


@cache
def library(stages: int, kind: int = 0) -> ctypes.CDLL:
    """The kernels, compiled for this machine."""
    return ctypes.CDLL(str(built(stages, kind, "emulation.cpp")))


def built(stages: int, kind: int, name: str) -> Path:
    """A library made of one of the files beside this one."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("needs a C++ compiler to run the kernels without a GPU")
    made = Path(mkdtemp()) / "kernels.so"
    command = [compiler, "-std=c++17", "-O1", "-shared", "-fPIC", "-w", f"-DSTAGES={stages}"]
    command.append(f"-DGPUNODE_KIND={kind}")
    subprocess.run([*command, f"-I{KERNELS}", str(HERE / name), "-o", str(made)], check=True)
    return made


class EmulatedDevice:
    """As node.gpu.cuda.CudaDevice, on this machine's memory and threads."""

    name = "emulated threads"
    memory_bytes = 8 << 30

    def __init__(self, capability: tuple[int, int]) -> None:
        self.capability = capability
        self.memory: dict[int, Any] = {}
        self.shared: dict[str, int] = {}

    def load(self, name: str, functions: Sequence[str], defines: Mapping[str, int] | None = None) -> dict[str, Any]:
        assert name in ("work.cu", "ladder.cu", "tile.cuh")
        wanted = defines or {}
        kernels = library(wanted["STAGES"], wanted.get("GPUNODE_KIND", 0))
        return {each: (kernels, each) for each in functions}

    def allow_shared(self, function: tuple[ctypes.CDLL, str], size: int) -> None:
        self.shared[function[1]] = size

    def allocate(self, size: int) -> int:
        # Not zeros: what a kernel does not write must show.
        room = ctypes.create_string_buffer(b"\xa5" * size, size)
        self.memory[ctypes.addressof(room)] = room
        return ctypes.addressof(room)

    def free(self, place: int) -> None:
        del self.memory[place]

    def upload(self, place: int, data: bytes) -> None:
        ctypes.memmove(place, data, len(data))

    def download(self, place: int, size: int) -> bytearray:
        return bytearray(ctypes.string_at(place, size))

    def copy(self, to: int, source: int, size: int) -> None:
        ctypes.memmove(to, source, size)

    def timed(self, work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    def launch(
        self, function: tuple[ctypes.CDLL, str], grid: tuple[int, int], block: int, *arguments: Any, shared: int = 0
    ) -> None:
        kernels, name = function
        assert shared <= max(self.shared.get(name, 0), 48 << 10)
        pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(each) for each in arguments))
        assert kernels.launch(name.encode(), *grid, block, pointers, shared) == 0

    def wait(self) -> None:
        pass

    def close(self) -> None:
        self.memory.clear()
