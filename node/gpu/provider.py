"""What the agent asks of whatever knows this host's GPUs."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal, Protocol

from node.errors import GpuError
from node.gpu.meter import NewHasher
from node.gpu.nvidia import NvidiaProvider
from node.gpu.sampler import Sampler
from node.gpu.simulated import SimulatedProvider
from node.gpu.state import GpuState
from node.records import EnergyReading, Gpu

ProviderSetting = Literal["auto", "nvidia", "simulated"]


class Meter(Protocol):
    """Energy and utilisation since the meter was started."""

    async def reading(self) -> EnergyReading:
        """What was used so far; says "not available" rather than guess."""
        ...


class GpuProvider(Protocol):
    """Knows the host's GPUs."""

    @property
    def name(self) -> str:
        """`nvidia` or `simulated`."""
        ...

    async def inventory(self) -> tuple[Gpu, ...]:
        """The GPUs that are there now; raises GpuError when the driver does not answer."""
        ...

    async def states(self, uuids: tuple[str, ...]) -> tuple[GpuState, ...]:
        """What these GPUs are left with now: who uses them, what is set, what has failed. Raises GpuError."""
        ...

    async def looks(self, uuids: tuple[str, ...]) -> tuple[GpuState, ...]:
        """As `states`, less those that cannot be read; raises GpuError where none can."""
        ...

    @property
    def sampler(self) -> Sampler:
        """What looks at GPUs once a second while anybody follows them; the only one."""
        ...

    def meter(self, uuids: tuple[str, ...], samples: Path | None = None) -> AbstractAsyncContextManager[Meter]:
        """Meter these GPUs while the context is open; `samples` is a file that keeps the sample lines, and is gone on
        with where there are some of an earlier life."""
        ...

    async def aclose(self) -> None:
        """End the helper process."""
        ...


async def choose_provider(
    setting: ProviderSetting,
    cluster_name: str,
    *,
    new_hasher: NewHasher | None = None,
    lost: Path | None = None,
    simulated: int = 1,
) -> GpuProvider:
    """The provider for this host; `new_hasher` makes what hashes a meter's samples (MerkleHasher), `lost` is the file
    that makes simulated GPUs fail, `simulated` their number.

    `auto` takes NVIDIA where a driver answers with at least one GPU, else the simulated provider on a localnet.
    Raises GpuError: an invented GPU would cheat posters, so `simulated` is refused on every other cluster.
    """
    if setting == "simulated":
        return _simulated(cluster_name, "the settings ask for simulated GPUs", lost, simulated)
    nvidia = NvidiaProvider(new_hasher=new_hasher)
    try:
        gpus = await nvidia.inventory()
    except GpuError as error:
        await nvidia.aclose()
        if setting == "nvidia":
            raise
        return _simulated(cluster_name, error.message, lost, simulated)
    if gpus:
        return nvidia
    await nvidia.aclose()
    if setting == "nvidia":
        raise GpuError(
            "the NVIDIA driver answers but knows no GPU", hint="see `nvidia-smi -L`; a GPU may have fallen off the bus"
        )
    return _simulated(cluster_name, "the NVIDIA driver knows no GPU", lost, simulated)


def _simulated(cluster_name: str, reason: str, lost: Path | None, count: int) -> SimulatedProvider:
    if cluster_name != "localnet":
        raise GpuError(
            f"no GPU to offer on {cluster_name}: {reason}",
            hint="install the NVIDIA driver until `nvidia-smi` lists the GPU; simulated GPUs serve a localnet only",
        )
    return SimulatedProvider(count, lost=lost)
