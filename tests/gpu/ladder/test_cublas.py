"""What cuBLAS is asked: a stand-in computes by the library's own description, columns first."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from node.errors import GpuError
from node.gpu.ladder.cublas import Cublas
from node.gpu.work.stream import matrix

TYPES = {0: np.float32, 2: np.float16, 3: np.int8, 10: np.int32}


class Library:
    """cublasGemmEx: C = alpha op(A) op(B) + beta C, all columns first."""

    def __init__(self) -> None:
        self.status = 0

    def cublasCreate_v2(self, handle: Any) -> int:  # noqa: N802
        return 0

    def cublasGetVersion_v2(self, handle: Any, version: Any) -> int:  # noqa: N802
        version._obj.value = 120905
        return 0

    def cublasGemmEx(  # noqa: N802
        self, handle: Any, turn_a: int, turn_b: int, m: int, n: int, k: int, alpha: Any, a: Any, kind_a: int, lda: int,
        b: Any, kind_b: int, ldb: int, beta: Any, c: Any, kind_c: int, ldc: int, compute: int, algorithm: int,
    ) -> int:  # fmt: skip
        if self.status:
            return self.status
        left = self.read(a, kind_a, (k, m) if turn_a else (m, k), lda)
        right = self.read(b, kind_b, (n, k) if turn_b else (k, n), ldb)
        exact = np.int64 if kind_c == 10 else np.float64
        made = (left.T if turn_a else left).astype(exact) @ (right.T if turn_b else right).astype(exact)
        made = alpha._obj.value * made + beta._obj.value
        assert (kind_c == 10) == (compute == 72) == isinstance(alpha._obj, ctypes.c_int)
        out = np.asfortranarray(made.astype(TYPES[kind_c]))
        assert ldc == m
        ctypes.memmove(c, out.T.tobytes(), out.nbytes)
        return 0

    def read(self, place: Any, kind: int, shape: tuple[int, int], leading: int) -> np.ndarray:
        assert leading == shape[0]
        raw = ctypes.string_at(place, shape[0] * shape[1] * np.dtype(TYPES[kind]).itemsize)
        return np.frombuffer(raw, dtype=TYPES[kind]).reshape(shape[::-1]).T


@pytest.mark.parametrize(("precision", "kind"), [("int8", np.int8), ("fp16", np.float16), ("tf32", np.float32)])
def test_it_makes_the_same_product_as_we_do(precision: str, kind: type[Any]) -> None:
    size, out = 64, np.int32 if precision == "int8" else np.float32
    # A by rows and B by columns, as they lie on the device.
    a, b = (matrix(bytes([seed]) * 32, 256)[:size, :size].astype(kind).copy() for seed in (1, 2))
    c = np.full((size, size), 77, dtype=out)
    library = Cublas(Library())
    assert library.name == "cuBLAS 12.9.5"
    assert library.has(precision)
    library.product(precision, size, [each.ctypes.data for each in (a, b, c)])()
    assert (c == (a.astype(np.float64) @ b.astype(np.float64).T).astype(out)).all()


def test_what_it_refuses_is_an_error() -> None:
    stand_in = Library()
    library = Cublas(stand_in)
    stand_in.status = 15
    with pytest.raises(GpuError, match="status 15"):
        library.product("int8", 64, [0, 0, 0])()
    assert not library.has("fp8")
