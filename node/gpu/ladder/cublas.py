"""cuBLAS, where it is installed, to compare with: NVIDIA's package `nvidia-cublas-cu12`, or the system's library."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

from node.errors import GpuError

_NO_TRANSPOSE, _TRANSPOSE = 0, 1  # cublasOperation_t
_DEFAULT_ALGORITHM = -1


@dataclass(frozen=True, slots=True)
class _Types:
    """cudaDataType of inputs and outputs, cublasComputeType_t."""

    inputs: int
    output: int
    compute: int


_TYPES = {
    "int8": _Types(3, 10, 72),  # CUDA_R_8I, CUDA_R_32I, CUBLAS_COMPUTE_32I
    "fp16": _Types(2, 0, 68),  # CUDA_R_16F, CUDA_R_32F, CUBLAS_COMPUTE_32F
    "bf16": _Types(14, 0, 68),  # CUDA_R_16BF
    "tf32": _Types(0, 0, 77),  # CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32
}


class Cublas:
    """A loaded library; the context that is current counts."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._handle = ctypes.c_void_p()
        _check(library.cublasCreate_v2(ctypes.byref(self._handle)), "cublasCreate")
        version = ctypes.c_int()
        _check(library.cublasGetVersion_v2(self._handle, ctypes.byref(version)), "cublasGetVersion")
        self.name = f"cuBLAS {version.value // 10_000}.{version.value // 100 % 100}.{version.value % 100}"

    @classmethod
    def find(cls) -> Cublas | None:
        """The library, or None where there is none that works."""
        for path in _paths():
            try:
                return cls(ctypes.CDLL(path))
            except (OSError, AttributeError, GpuError):
                continue
        return None

    def has(self, precision: str) -> bool:
        """Whether it multiplies such numbers by the call that is used here."""
        return precision in _TYPES

    def product(self, precision: str, size: int, places: list[int]) -> Callable[[], None]:
        """What multiplies square matrices at these places (A row after row, B column after column, C) once."""
        types = _TYPES[precision]
        scalar = ctypes.c_int if precision == "int8" else ctypes.c_float
        one, zero = scalar(1), scalar(0)
        a, b, c = (ctypes.c_void_p(place) for place in places)
        # cuBLAS counts columns first: to it C lies transposed, and so it is B' times A.
        arguments = [
            self._handle,
            _TRANSPOSE,
            _NO_TRANSPOSE,
            size,
            size,
            size,
            ctypes.byref(one),
            b,
            types.inputs,
            size,
            a,
            types.inputs,
            size,
            ctypes.byref(zero),
            c,
            types.output,
            size,
            types.compute,
            _DEFAULT_ALGORITHM,
        ]
        return lambda: _check(self._library.cublasGemmEx(*arguments), "cublasGemmEx")


def _paths() -> list[str]:
    found = []
    spec = util.find_spec("nvidia.cublas") if util.find_spec("nvidia") is not None else None
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        found += [str(path) for path in sorted(Path(folder, "lib").glob("libcublas.so.*"))]
    return [*found, "libcublas.so.12", "libcublas.so.13", "libcublas.so"]


def _check(status: int, what: str) -> None:
    if status:
        raise GpuError(f"{what} refused with status {status}")
