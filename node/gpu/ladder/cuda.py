"""The ladder of an NVIDIA GPU, by kernels of our own, and by cuBLAS beside them where it is installed.

Our kernels are plain: on the newest GPUs they stay well below what their makers' libraries reach, which the figures by
cuBLAS show. The first row of each product is compared with the host's before its time counts. As with the work proof's
engine: the kernels' text runs in the tests on emulated threads; on a device this has not run yet.
"""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from node.errors import GpuError
from node.gpu.cuda import CudaDevice
from node.gpu.ladder import model
from node.gpu.ladder.cublas import Cublas
from node.gpu.ladder.formats import FORMATS, Format, decoded, encoded
from node.gpu.ladder.record import Bandwidth, Device, ModelRun, Product, Variant, not_measured
from node.gpu.work.cuda import SLOT_BYTES, TILE_COLUMNS, TILE_ROWS, TILE_THREADS, stages
from node.gpu.work.stream import matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 8192
_COPIED = 512 << 20
_KEYS = (bytes(range(32)), bytes(range(32, 64)))
_OURS = "kernel of gpunode"
_LEAST = 3


class CudaLadder:
    """Measures one GPU."""

    def __init__(self, gpu: CudaDevice, uuid: str | None, seconds: float = 1.0, size: int = SIZE) -> None:
        """`seconds`: for each figure, about; `size`: of the matrices, a multiple of 256."""
        self._gpu = gpu
        self._uuid = uuid
        self._seconds = seconds
        self._size = size
        self._stages = stages(gpu.capability)
        self._small = gpu.load("ladder.cu", ("product_fp32", "quantise", "worth", "rectify"), {"STAGES": 2})
        self._cublas = Cublas.find()

    def device(self) -> Device:
        """What is measured."""
        major, minor = self._gpu.capability
        memory = self._gpu.memory_bytes / (1 << 30)
        return Device("cuda", self._gpu.name, self._uuid, f"compute capability {major}.{minor}, {memory:.1f} GiB")

    def products(self) -> tuple[Product, ...]:
        """One for each precision and each code that multiplies."""
        found = [self._fp32()]
        for format_ in FORMATS:
            major, minor = self._gpu.capability
            if self._gpu.capability < format_.since:
                why = f"not available: compute capability {major}.{minor} has no {format_.precision} tensor cores"
                found.append(not_measured(format_.precision, why))
            else:
                found += self._tensor(format_)
        return tuple(found)

    def bandwidth(self) -> Bandwidth:
        """Of the GPU's memory."""
        places = [self._gpu.allocate(_COPIED) for _ in range(2)]
        try:
            taken = min(self._taken(lambda: self._gpu.copy(places[1], places[0], _COPIED)))
        finally:
            for place in places:
                self._gpu.free(place)
        return Bandwidth(round(2 * _COPIED / taken), "512 MiB copied within the GPU; read and written bytes count")

    def model(self) -> tuple[ModelRun | None, str]:
        """The model in both precisions, or why not."""
        if self._gpu.capability < (7, 5):
            return None, "not measured: the quantised model is made for tensor cores"
        run = QuantisedRun(self._gpu, self._small, self._tile(0))
        made, inputs = model.layers(), np.concatenate(model.batches())
        fp32, int8 = run.prepare(made, inputs)
        answers = [fp32(), int8()]
        taken = [statistics.median(self._taken(each)) for each in (run.fp32, run.int8)]
        top1, cosine = model.agreement([answers[0]], [answers[1]])
        return (
            ModelRun(
                name=model.NAME,
                parameters=model.parameters(made),
                batch=len(inputs),
                by=_OURS,
                fp32=Variant("fp32", model.size_fp32(made), round(1e6 * taken[0])),
                int8=Variant("int8", model.size_int8(made), round(1e6 * taken[1])),
                top1_permille=top1,
                cosine_ppm=cosine,
            ),
            "",
        )

    def _fp32(self) -> Product:
        size = self._size
        matrices = [matrix(key, size).astype(np.float32) / np.float32(128) for key in _KEYS]
        places = self._upload(matrices)
        arguments = (*map(ctypes.c_uint64, places), ctypes.c_uint32(size), ctypes.c_uint32(size))

        def work() -> None:
            self._gpu.launch(self._small["product_fp32"], (size // 128, size // 128), 256, *arguments)

        try:
            return self._measured("fp32", work, places, [each.astype(np.float64) for each in matrices], np.float32)
        finally:
            self._free(places)

    def _tensor(self, format_: Format) -> list[Product]:
        size = self._size
        matrices = [encoded(format_, matrix(key, size)) for key in _KEYS]
        values = [decoded(format_, each) for each in matrices]
        number: type[Any] = np.int32 if format_.precision == "int8" else np.float32
        places = self._upload(matrices)
        tile = self._tile(format_.kind)
        try:
            ours = self._measured(
                format_.precision,
                lambda: tile(places[0], places[1], places[2], size, size, size * format_.width),
                places,
                values,
                number,
            )
            return [ours, *self._by_cublas(format_, places, values, number)]
        finally:
            self._free(places)

    def _by_cublas(
        self, format_: Format, places: list[int], values: list[NDArray[np.float64]], number: type[Any]
    ) -> list[Product]:
        library = self._cublas
        if library is None or not library.has(format_.precision):
            return []
        try:
            multiply = library.product(format_.precision, self._size, places)
            return [self._measured(format_.precision, multiply, places, values, number, library.name)]
        except (GpuError, OSError, AttributeError) as error:
            return [not_measured(format_.precision, f"not measured by cuBLAS: {error}")]

    def _measured(
        self,
        precision: str,
        work: Callable[[], None],
        places: list[int],
        values: list[NDArray[np.float64]],
        number: type[Any],
        by: str = _OURS,
    ) -> Product:
        self._gpu.upload(places[2], bytes(4 * self._size))
        work()
        row = np.frombuffer(self._gpu.download(places[2], 4 * self._size), dtype=number).astype(np.float64)
        expected = values[0][0] @ values[1].T
        # Sums in 32 bits lose a little; a wrong product is off by its own size.
        if not np.allclose(row, expected, rtol=1e-3, atol=1e-3 * float(np.abs(expected).max())):
            return not_measured(precision, f"not measured: the product by {by} is wrong")
        return Product(precision, by, self._size, round(2 * self._size**3 / min(self._taken(work))))

    def _tile(self, kind: int) -> Callable[[int, int, int, int, int, int], None]:
        """The product on tensor cores for one kind of number: places of A, B and C, rows, columns, depth in bytes."""
        defines = {"GPUNODE_KIND": kind, "STAGES": self._stages}
        function = self._gpu.load("tile.cuh", ("product",), defines)["product"]
        self._gpu.allow_shared(function, self._stages * SLOT_BYTES)

        def multiply(a: int, b: int, c: int, rows: int, columns: int, depth: int) -> None:
            grid = (rows // TILE_ROWS) * (columns // TILE_COLUMNS)
            numbers = (ctypes.c_uint32(rows), ctypes.c_uint32(columns), ctypes.c_uint64(depth))
            places = map(ctypes.c_uint64, (a, b, c))
            self._gpu.launch(function, (grid, 1), TILE_THREADS, *places, *numbers, shared=self._stages * SLOT_BYTES)

        return multiply

    def _upload(self, matrices: list[NDArray[Any]]) -> list[int]:
        places = [self._gpu.allocate(each.nbytes) for each in matrices]
        for place, each in zip(places, matrices, strict=True):
            self._gpu.upload(place, each.tobytes())
        return [*places, self._gpu.allocate(4 * self._size * self._size)]

    def _free(self, places: list[int]) -> None:
        for place in places:
            self._gpu.free(place)

    def _taken(self, work: Callable[[], object]) -> list[float]:
        """Seconds on the device, of as many times as fit."""
        work()
        taken: list[float] = []
        began = time.monotonic()
        while len(taken) < _LEAST or time.monotonic() - began < self._seconds:
            taken.append(self._gpu.timed(work))
        return taken


class QuantisedRun:
    """The small model on the GPU, in fp32 and in dynamic int8."""

    def __init__(
        self, gpu: CudaDevice, functions: dict[str, Any], tile: Callable[[int, int, int, int, int, int], None]
    ):
        """`functions`: of ladder.cu; `tile`: the int8 product."""
        self._gpu = gpu
        self._functions = functions
        self._tile = tile
        self._rows = 0
        self._widths: list[int] = []
        self._rectified: list[bool] = []
        self._places: dict[str, int] = {}

    def prepare(
        self, made: list[model.Layer], inputs: NDArray[np.float32]
    ) -> tuple[Callable[[], NDArray[np.float32]], Callable[[], NDArray[np.float32]]]:
        """Upload both models; what runs each and answers."""
        self._rows = len(inputs)
        self._widths = [made[0].weights.shape[0], *(layer.weights.shape[1] for layer in made)]
        self._rectified = [layer.rectified for layer in made]
        room = 4 * self._rows * max(self._widths)
        self._keep("input", inputs)
        for name in ("one", "two", "sums", "whole"):
            self._places[name] = self._gpu.allocate(room)
        self._places["steps"] = self._gpu.allocate(4 * self._rows)
        for index, (layer, small) in enumerate(zip(made, model.quantised(made), strict=True)):
            self._keep(f"w{index}", np.ascontiguousarray(layer.weights.T))
            self._keep(f"q{index}", np.ascontiguousarray(small.weights.T))
            self._keep(f"c{index}", small.scales)
        return lambda: self._answer(self.fp32()), lambda: self._answer(self.int8())

    def fp32(self) -> int:
        """One batch; where its answer lies."""
        at, source = self._places, self._places["input"]
        for index, (inputs, outputs) in enumerate(pairwise(self._widths)):
            target = at["one"] if source != at["one"] else at["two"]
            arguments = [ctypes.c_uint64(place) for place in (source, at[f"w{index}"], target)]
            grid = (outputs // 128, self._rows // 128)
            self._gpu.launch(
                self._functions["product_fp32"], grid, 256, *arguments, *map(ctypes.c_uint32, (outputs, inputs))
            )
            if self._rectified[index]:
                self._each("rectify", self._rows * outputs, ctypes.c_uint64(target))
            source = target
        return source

    def int8(self) -> int:
        """One batch; where its answer lies."""
        at, source = self._places, self._places["input"]
        for index, (inputs, outputs) in enumerate(pairwise(self._widths)):
            target = at["one"] if source != at["one"] else at["two"]
            arguments = [ctypes.c_uint64(place) for place in (source, at["whole"], at["steps"])]
            self._gpu.launch(self._functions["quantise"], (self._rows, 1), 256, *arguments, ctypes.c_uint32(inputs))
            self._tile(at["whole"], at[f"q{index}"], at["sums"], self._rows, outputs, inputs)
            count = self._rows * outputs
            places = [ctypes.c_uint64(place) for place in (at["sums"], at["steps"], at[f"c{index}"], target)]
            numbers = map(ctypes.c_uint32, (outputs, count, int(self._rectified[index])))
            self._gpu.launch(self._functions["worth"], (-(-count // 256), 1), 256, *places, *numbers)
            source = target
        return source

    def _each(self, name: str, count: int, place: ctypes.c_uint64) -> None:
        self._gpu.launch(self._functions[name], (-(-count // 256), 1), 256, place, ctypes.c_uint32(count))

    def _answer(self, place: int) -> NDArray[np.float32]:
        raw = self._gpu.download(place, 4 * self._rows * self._widths[-1])
        return np.frombuffer(raw, dtype=np.float32).reshape(self._rows, -1)

    def _keep(self, name: str, values: NDArray[Any]) -> None:
        self._places[name] = self._gpu.allocate(values.nbytes)
        self._gpu.upload(self._places[name], values.tobytes())
