"""What makes the products: one interface, a CPU behind it or a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from node.errors import GpuError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GROUP = 16
"""Rows whose common node is kept of each round; to open one of them, the products of all are made again."""


@dataclass(frozen=True, slots=True)
class RoundKept:
    """What is left of one round."""

    root: bytes
    groups: bytes
    """The layer of the tree with one node for `GROUP` rows, 32 bytes each."""


class Engine(Protocol):
    """Makes rounds of one proof after another; not to be used by two threads at once."""

    @property
    def name(self) -> str:
        """`cpu` or `cuda`, as the proof names it."""
        ...

    @property
    def device(self) -> str:
        """What it runs on, in words."""
        ...

    @property
    def default_size(self) -> int:
        """Rows of the matrices that suit it."""
        ...

    def begin(self, key_b: bytes, state: bytes, size: int) -> None:
        """Make B, and stand before the first round. Raises GpuError."""
        ...

    def advance(self, rounds: int) -> list[RoundKept]:
        """Make so many more rounds. Raises GpuError."""
        ...

    def products(self, rows: NDArray[np.int8]) -> NDArray[np.int32]:
        """Rows of A (any number) times B. Raises GpuError."""
        ...

    def close(self) -> None:
        """Give its memory back."""
        ...


def pick_engine(setting: str, *, provider: str, localnet: bool) -> tuple[str | None, str]:
    """Which engine the setting `work_proof.engine` means here, None for none; and why, for a person.

    `provider`: of the host's GPUs, `nvidia` or `simulated`; `localnet`: whether the chain is one.
    """
    if setting == "off":
        return None, "work_proof.engine is off"
    if setting in ("cuda", "cpu"):
        return setting, f"work_proof.engine is {setting}"
    if provider == "nvidia":
        if not has_cuda():
            return None, "pip install 'gpunode[cuda]' is needed to prove work of this GPU"
        return "cuda", "there is an NVIDIA GPU"
    if localnet:
        return "cpu", "there is no NVIDIA GPU, and this is a localnet"
    return None, "there is no NVIDIA GPU"


def has_cuda() -> bool:
    """Whether the extra `cuda` is installed."""
    try:
        return find_spec("cuda.bindings.nvrtc") is not None
    except ImportError:  # not even its outer package
        return False


def choose_engine(name: str, gpu: str | None) -> Engine:
    """The engine of that name: `cpu`, or `cuda` on the GPU with that UUID. Raises GpuError where it cannot be had."""
    if name == "cpu":
        from node.gpu.work.cpu import CpuEngine

        return CpuEngine()
    if name == "cuda":
        from node.gpu.cuda import CudaDevice
        from node.gpu.work.cuda import CudaEngine

        return CudaEngine(CudaDevice(gpu))
    raise GpuError(f"there is no work engine {name!r}", hint="cpu or cuda")
