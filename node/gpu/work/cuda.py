"""The products on an NVIDIA GPU: kernels of our own (node/gpu/kernels/work.cu), compiled for it at run time.

From compute capability 7.5 on they use tensor cores, from 6.1 on the instruction for four bytes. Not run on a device
yet: the tests run the kernels' text on emulated threads, compile it for each architecture, and lead all calls through
NVIDIA's bindings to a library in the driver's place. So no rate is claimed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from node.errors import GpuError
from node.gpu.cuda import CudaDevice
from node.gpu.work.engine import GROUP, RoundKept
from node.gpu.work.hashes import HASH_BYTES, STRETCH, root_above

if TYPE_CHECKING:
    from numpy.typing import NDArray

FUNCTIONS = ("keystream", "leaves", "nodes", "next_key", "next_state")
TILE_ROWS, TILE_COLUMNS, TILE_THREADS = 128, 256, 256
SLOT_BYTES = (TILE_ROWS + TILE_COLUMNS) * 64
_WORDS_TILE = 64
_BLOCK = 256
_LONGEST = 256
"""Rounds launched before the host waits: what is kept of them has room on the device."""
_SPARE_BYTES = 256 << 20


def stages(capability: tuple[int, int]) -> int:
    """Slots of shared memory: what fits, and two where nothing is copied behind the scenes."""
    return 3 if capability >= (8, 0) else 2


class CudaEngine:
    """Rounds follow one another on the device without the host; it looks every few hundred."""

    name = "cuda"
    default_size = 8192

    def __init__(self, gpu_device: CudaDevice) -> None:
        """Raises GpuError where that GPU is too old."""
        self._gpu = gpu_device
        if gpu_device.capability < (6, 1):
            raise GpuError(f"{gpu_device.name} is too old for int8 products", hint="compute capability 6.1 is needed")
        self.device = f"{gpu_device.name} (compute capability {gpu_device.capability[0]}.{gpu_device.capability[1]})"
        self._tensor = gpu_device.capability >= (7, 5)
        product = "product" if self._tensor else "product_by_words"
        self._stages = stages(gpu_device.capability)
        self._functions = gpu_device.load("work.cu", (*FUNCTIONS, product), {"STAGES": self._stages})
        self._product = self._functions[product]
        if self._tensor:
            gpu_device.allow_shared(self._product, self._stages * SLOT_BYTES)
        self._size = 0
        self._round = 0
        self._places: dict[str, int] = {}

    def begin(self, key_b: bytes, state: bytes, size: int) -> None:
        """Make B, and stand before the first round. Raises GpuError."""
        if size != self._size:
            self._make_room(size)
        gpu, at = self._gpu, self._places
        gpu.upload(at["key"], key_b)
        self._fill("b")
        gpu.upload(at["state"], state)
        gpu.wait()
        self._round = 0

    def advance(self, rounds: int) -> list[RoundKept]:
        """Make so many more rounds. Raises GpuError."""
        kept: list[RoundKept] = []
        while len(kept) < rounds:
            kept += self._some(min(rounds - len(kept), _LONGEST))
        return kept

    def products(self, rows: NDArray[np.int8]) -> NDArray[np.int32]:
        """Rows of A (any number) times B. Raises GpuError."""
        size, at, parts = self._size, self._places, []
        for first in range(0, len(rows), size):
            some = np.ascontiguousarray(rows[first : first + size])
            self._gpu.upload(at["a"], some.tobytes())
            height = -(-len(some) // TILE_ROWS) * TILE_ROWS
            self._multiply(height)
            raw = self._gpu.download(at["c"], 4 * len(some) * size)
            parts.append(np.frombuffer(raw, dtype="<i4").reshape(-1, size))
        return np.concatenate(parts)

    def close(self) -> None:
        """Give its memory back."""
        self._gpu.close()
        self._places, self._size = {}, 0

    def _make_room(self, size: int) -> None:
        leaves = size * (size // STRETCH)
        wanted = {
            "a": size * size,
            "b": size * size,
            "c": 4 * size * size,
            "layer": leaves * HASH_BYTES,
            "other": leaves * HASH_BYTES // 2,
            "kept": _LONGEST * (size // GROUP) * HASH_BYTES,
            "roots": _LONGEST * HASH_BYTES,
            "key": HASH_BYTES,
            "state": HASH_BYTES,
        }
        if sum(wanted.values()) + _SPARE_BYTES > self._gpu.memory_bytes:
            raise GpuError(
                f"{self.device} has too little memory for a work proof of size {size}", hint="a smaller size"
            )
        self.close()
        self._places = {name: self._gpu.allocate(count) for name, count in wanted.items()}
        self._size = size

    def _some(self, rounds: int) -> list[RoundKept]:
        layer_bytes = self._size // GROUP * HASH_BYTES
        for index in range(rounds):
            self._round += 1
            self._one(index)
        self._gpu.wait()
        roots = self._gpu.download(self._places["roots"], rounds * HASH_BYTES)
        groups = self._gpu.download(self._places["kept"], rounds * layer_bytes)
        kept = [
            RoundKept(
                bytes(roots[index * HASH_BYTES : (index + 1) * HASH_BYTES]),
                bytes(groups[index * layer_bytes : (index + 1) * layer_bytes]),
            )
            for index in range(rounds)
        ]
        last = kept[-1].groups
        nodes = [last[at : at + HASH_BYTES] for at in range(0, len(last), HASH_BYTES)]
        if root_above(nodes) != kept[-1].root:
            raise GpuError("the GPU's hashes are wrong", hint="its memory may be failing: see gpunode gpus")
        return kept

    def _one(self, index: int) -> None:
        """Launch one round, the `index`-th since the host looked."""
        at, size = self._places, self._size
        self._run("next_key", 1, _pointer(at["state"]), _pointer(at["key"]), _number(self._round))
        self._fill("a")
        self._multiply(size)
        count = size * (size // STRETCH)
        self._run("leaves", count, _pointer(at["c"]), _pointer(at["layer"]), *map(_number, (self._round, size, count)))
        children, spare = at["layer"], at["other"]
        while count > 1:
            count //= 2
            group_layer = count == size // GROUP
            parents = at["kept"] + index * count * HASH_BYTES if group_layer else spare
            self._run("nodes", count, _pointer(children), _pointer(parents), _number(count))
            # The layer that was read makes room for the next but one; what is kept makes room for nothing.
            spare = at["layer"] if parents == at["other"] else at["other"]
            children = parents
        root = _pointer(children)
        kept_root = _pointer(at["roots"] + index * HASH_BYTES)
        self._run("next_state", 1, _pointer(at["state"]), root, kept_root, _number(self._round))

    def _fill(self, name: str) -> None:
        at = self._places
        count = self._size * self._size // 64
        self._run("keystream", count, _pointer(at[name]), _pointer(at["key"]), _number(count))

    def _multiply(self, rows: int) -> None:
        at, size = self._places, self._size
        matrices = [_pointer(at[name]) for name in ("a", "b", "c")]
        if self._tensor:
            grid = (rows // TILE_ROWS) * (size // TILE_COLUMNS)
            arguments = (*matrices, _number(rows), _number(size), ctypes.c_uint64(size))
            self._gpu.launch(self._product, (grid, 1), TILE_THREADS, *arguments, shared=self._stages * SLOT_BYTES)
        else:
            over = (size // _WORDS_TILE, rows // _WORDS_TILE)
            self._gpu.launch(self._product, over, 256, *matrices, _number(size), _number(size // 4))

    def _run(self, name: str, threads: int, *arguments: ctypes._SimpleCData[int]) -> None:
        block = min(_BLOCK, threads)
        self._gpu.launch(self._functions[name], (-(-threads // block), 1), block, *arguments)


_pointer: Callable[[int], ctypes.c_uint64] = ctypes.c_uint64
_number: Callable[[int], ctypes.c_uint32] = ctypes.c_uint32
