"""A stand-in for a CUDA device that runs our kernels' own text on ordinary threads."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

HERE = Path(__file__).parent
KERNELS = Path(__file__).parents[3] / "node" / "gpu" / "kernels"


@cache
def library(stages: int) -> ctypes.CDLL:
    """The kernels, compiled for this machine."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("needs a C++20 compiler to run the kernels without a GPU")
    built = Path(mkdtemp()) / "kernels.so"
    command = [compiler, "-std=c++20", "-O1", "-shared", "-fPIC", "-pthread", "-w", f"-DSTAGES={stages}"]
    subprocess.run([*command, f"-I{KERNELS}", str(HERE / "emulation.cpp"), "-o", str(built)], check=True)
    return ctypes.CDLL(str(built))


class EmulatedDevice:
    """As node.gpu.cuda.CudaDevice, on this machine's memory and threads."""

    name = "emulated threads"
    memory_bytes = 8 << 30

    def __init__(self, capability: tuple[int, int]) -> None:
        self.capability = capability
        self.memory: dict[int, Any] = {}
        self.shared: dict[str, int] = {}
        self._library = library(3)

    def load(self, name: str, functions: Sequence[str], defines: Mapping[str, int] | None = None) -> dict[str, Any]:
        assert name == "work.cu"
        self._library = library((defines or {})["STAGES"])
        return {each: each for each in functions}

    def allow_shared(self, function: str, size: int) -> None:
        self.shared[function] = size

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

    def launch(self, function: str, grid: tuple[int, int], block: int, *arguments: Any, shared: int = 0) -> None:
        assert shared <= max(self.shared.get(function, 0), 48 << 10)
        pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(each) for each in arguments))
        assert self._library.launch(function.encode(), *grid, block, pointers, shared) == 0

    def wait(self) -> None:
        pass

    def close(self) -> None:
        self.memory.clear()
