"""A GPU that is not there, for trying things out on a localnet. It says so everywhere and measures nothing."""

from __future__ import annotations

import hashlib
import platform
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from node.errors import GpuError
from node.gpu.sampler import Sampler
from node.gpu.samples import Round, Sample
from node.gpu.state import GpuState
from node.records import EnergyReading, Gpu
from node.retry import Clock, SystemClock

SIMULATED_UUID_PREFIX = "GPU-simulated-"
"""No real UUID looks like this, so a simulated device can never be taken for one or asked of an engine."""

_MACHINE_ID = Path("/etc/machine-id")


LOST_NAME = "simulated-gpus-lost"


class SimulatedProvider:
    """`count` GPUs with UUIDs that stay the same on one machine."""

    name = "simulated"

    def __init__(
        self, count: int = 1, machine_id: Path = _MACHINE_ID, lost: Path | None = None, clock: Clock | None = None
    ) -> None:
        """`lost`: a file; as long as it names the index of a GPU, that GPU has fallen off the bus, and the word
        `hang` in it makes the driver one that does not answer."""
        self._count = count
        self._machine_id = machine_id
        self._lost = lost
        self._clock = clock or SystemClock()
        self.sampler = Sampler(self._sample, self._clock)
        """The one look a second at all GPUs that are followed."""

    async def inventory(self) -> tuple[Gpu, ...]:
        """The simulated GPUs; everything a real one would measure is "not available"."""
        seed = self._seed()
        lost = self._words()
        if "hang" in lost:
            raise GpuError("the GPU driver did not answer (simulated)", hint=f"remove {self._lost}")
        return tuple(
            Gpu(
                provider=self.name,
                index=index,
                uuid=simulated_uuid(seed, index),
                name="Simulated GPU",
                vram_bytes=None,
                driver=None,
                cuda=None,
                compute_capability=None,
            )
            for index in range(self._count)
            if str(index) not in lost
        )

    def _words(self) -> frozenset[str]:
        try:
            return frozenset() if self._lost is None else frozenset(self._lost.read_text("utf-8").split())
        except (OSError, ValueError):
            return frozenset()

    async def states(self, uuids: tuple[str, ...]) -> tuple[GpuState, ...]:
        """Nothing is known of what is not there."""
        return tuple(GpuState(uuid) for uuid in uuids)

    async def looks(self, uuids: tuple[str, ...]) -> tuple[GpuState, ...]:
        """As `states`."""
        return await self.states(uuids)

    async def _sample(self, uuids: tuple[str, ...]) -> Round:
        at, time_ms = self._clock.monotonic(), round(self._clock.time() * 1000)
        return Round(tuple(Sample(uuid, at, time_ms) for uuid in uuids))

    @asynccontextmanager
    async def meter(self, uuids: tuple[str, ...], samples: Path | None = None) -> AsyncIterator[SimulatedMeter]:  # noqa: ARG002
        """A meter that has nothing to say."""
        yield SimulatedMeter()

    async def aclose(self) -> None:
        """Nothing is held."""

    def _seed(self) -> str:
        try:
            return self._machine_id.read_text().strip() or platform.node()
        except OSError:
            return platform.node()


class SimulatedMeter:
    """Energy of a device that is not there: none, and no pretending."""

    async def reading(self) -> EnergyReading:
        """Always "not available"."""
        return EnergyReading(joules=None, source="none")


def simulated_uuid(seed: str, index: int) -> str:
    """The UUID of the index-th simulated GPU of a machine; does not give the machine's id away."""
    digest = hashlib.sha256(f"gpunode simulated gpu\n{seed}\n{index}".encode()).digest()
    return f"{SIMULATED_UUID_PREFIX}{uuid.UUID(bytes=digest[:16])}"
