"""The ladder of a CPU: fp32 and int8 are measured; what no CPU has is said to be not available."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from node.gpu.ladder import model, onnx
from node.gpu.ladder.record import Bandwidth, Device, ModelRun, Product, Variant, not_measured
from node.gpu.ladder.timing import best_seconds, median_seconds
from node.gpu.work.cpu import CpuEngine
from node.gpu.work.stream import matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 2048
_COPIED = 256 << 20
_TELLING = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "amx_bf16", "asimddp", "i8mm")
"""Instructions that decide how fast small numbers are."""
_NO_CPU = "not available: no CPU has this format"
_NO_CODE = "not available: no library used here multiplies it on a CPU"
_KEY = bytes(range(32))


class CpuLadder:
    """Measures this host's processors; with ONNX Runtime (`gpunode[bench]`) where it is installed, else by NumPy."""

    def __init__(self, seconds: float = 1.0, size: int = SIZE) -> None:
        """`seconds`: for each figure, about."""
        self._seconds = seconds
        self._size = size
        self._runtime = _runtime()

    def device(self) -> Device:
        """What is measured."""
        flags = _cpuinfo("flags") or _cpuinfo("Features")
        known = [flag for flag in _TELLING if flag in flags.split()]
        threads = len(os.sched_getaffinity(0))
        detail = f"{threads} threads, {platform.machine()}, {' '.join(known) or 'instructions unknown'}"
        return Device("cpu", _cpuinfo("model name") or platform.machine(), None, detail)

    def products(self) -> tuple[Product, ...]:
        """One for each precision, or more."""
        fp32 = [self._fp32_numpy()]
        int8 = [self._int8_numpy()]
        if self._runtime is not None:
            fp32.append(self._runtime_product("fp32", onnx.FLOAT, np.float32))
            int8.append(self._runtime_product("int8", onnx.UINT8, np.uint8))
        return (
            *fp32,
            not_measured("tf32", _NO_CPU),
            not_measured("fp16", _NO_CODE),
            not_measured("bf16", _NO_CODE),
            not_measured("fp8", _NO_CPU),
            *int8,
        )

    def bandwidth(self) -> Bandwidth:
        """Of main memory."""
        source = np.ones(_COPIED, dtype=np.uint8)
        target = np.empty_like(source)
        taken = best_seconds(lambda: np.copyto(target, source), self._seconds)
        return Bandwidth(
            round(2 * _COPIED / taken), "NumPy copies 256 MiB with one thread; read and written bytes count"
        )

    def model(self) -> tuple[ModelRun | None, str]:
        """The model in both precisions, or why not."""
        if self._runtime is None:
            return None, "not measured: it needs pip install 'gpunode[bench]' (ONNX Runtime)"
        made = model.layers()
        small = model.quantised(made)
        runs = [
            self._session(onnx.model_fp32(made, model.BATCH)),
            self._session(onnx.model_int8(small, model.BATCH)),
        ]
        inputs = model.batches()
        answers = [[run(batch) for batch in inputs] for run in runs]
        taken = [median_seconds(partial(run, inputs[0]), self._seconds) for run in runs]
        top1, cosine = model.agreement(answers[0], answers[1])
        return (
            ModelRun(
                name=model.NAME,
                parameters=model.parameters(made),
                batch=model.BATCH,
                by=self._name(),
                fp32=Variant("fp32", model.size_fp32(made), round(1e6 * taken[0])),
                int8=Variant("int8", model.size_int8(made), round(1e6 * taken[1])),
                top1_permille=top1,
                cosine_ppm=cosine,
            ),
            "",
        )

    def _fp32_numpy(self) -> Product:
        first, second = (matrix(key, self._size).astype(np.float32) for key in (_KEY, _KEY[::-1]))
        taken = best_seconds(lambda: first @ second, self._seconds)
        return self._figure("fp32", f"NumPy {np.__version__}", taken)

    def _int8_numpy(self) -> Product:
        engine = CpuEngine()
        engine.begin(_KEY, _KEY, self._size)
        rows = matrix(_KEY[::-1], self._size)
        taken = best_seconds(lambda: engine.products(rows), self._seconds)
        return self._figure("int8", f"NumPy {np.__version__}, exact by fp32 products (the work proof's way)", taken)

    def _runtime_product(self, precision: str, kind: int, number: type[Any]) -> Product:
        first, second = matrix(_KEY, self._size), matrix(_KEY[::-1], self._size)
        constant = second.astype(np.float32) if precision == "fp32" else second
        run = self._session(onnx.product(kind, self._size, constant))
        given = first.astype(number) if precision == "fp32" else first.view(np.uint8)
        taken = best_seconds(lambda: run(given), self._seconds)
        return self._figure(precision, self._name(), taken)

    def _figure(self, precision: str, by: str, seconds: float) -> Product:
        return Product(precision, by, self._size, round(2 * self._size**3 / seconds))

    def _session(self, graph: bytes) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
        runtime = self._runtime
        assert runtime is not None
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return lambda given: session.run(None, {"x": given})[0]

    def _name(self) -> str:
        assert self._runtime is not None
        return f"ONNX Runtime {self._runtime.__version__}"


def _runtime() -> Any:
    try:
        return import_module("onnxruntime")
    except ImportError:
        return None


def _cpuinfo(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")
