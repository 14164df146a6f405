"""The products on a CPU, by NumPy."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from node.gpu.work.engine import GROUP, RoundKept
from node.gpu.work.hashes import STRETCH, STRETCH_BYTES, key_a, layer_above, leaf, next_state, root_above
from node.gpu.work.stream import matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT = 1024
"""Products whose sum a 32-bit float holds exactly: each is at most 2^14 in size, and so is every sum of up to 1024 of
them at most 2^24, in whatever order they are added. So the fast float product makes int8 products without an error."""


class CpuEngine:
    """Exact int8 products by 32-bit float ones, 1024 columns at a time, added up as int32."""

    name = "cpu"
    default_size = 1024

    def __init__(self) -> None:
        self.device = _processor()
        self._columns: list[NDArray[np.float32]] = []
        self._state = b""
        self._size = 0
        self._round = 0

    def begin(self, key_b: bytes, state: bytes, size: int) -> None:
        """Make B, and stand before the first round."""
        stored = matrix(key_b, size)
        self._columns = [stored[:, at : at + EXACT].astype(np.float32).T for at in range(0, size, EXACT)]
        self._state, self._size, self._round = state, size, 0

    def advance(self, rounds: int) -> list[RoundKept]:
        """Make so many more rounds."""
        return [self._next() for _ in range(rounds)]

    def products(self, rows: NDArray[np.int8]) -> NDArray[np.int32]:
        """Rows of A (any number) times B."""
        total = np.zeros((len(rows), self._size), dtype=np.int32)
        for index, columns in enumerate(self._columns):
            part = rows[:, index * EXACT : (index + 1) * EXACT].astype(np.float32) @ columns
            total += part.astype(np.int32)
        return total

    def close(self) -> None:
        """Give its memory back."""
        self._columns = []

    def _next(self) -> RoundKept:
        self._round += 1
        product = self.products(matrix(key_a(self._state, self._round), self._size))
        groups = group_nodes(product, self._round, 0)
        root = root_above(groups)
        self._state = next_state(self._state, self._round, root)
        return RoundKept(root, b"".join(groups))


def row_leaves(product: NDArray[np.int32], round_: int, first_row: int) -> list[bytes]:
    """The leaves of rows of C that follow each other."""
    raw = product.astype("<i4").tobytes()
    across = product.shape[1] // STRETCH
    return [
        leaf(round_, first_row + index // across, index % across, raw[at : at + STRETCH_BYTES])
        for index, at in enumerate(range(0, len(raw), STRETCH_BYTES))
    ]


def group_nodes(product: NDArray[np.int32], round_: int, first_row: int) -> list[bytes]:
    """The nodes of groups of rows of C that follow each other."""
    layer = row_leaves(product, round_, first_row)
    wanted = len(product) // GROUP
    while len(layer) > wanted:
        layer = layer_above(layer)
    return layer


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()
