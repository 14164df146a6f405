"""A GPU that is not there, for trying things out on a localnet. It says so everywhere and measures nothing."""

from __future__ import annotations

import hashlib
import platform
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from node.gpu.helper import DriverSilent
from node.gpu.sampler import Sampler
from node.gpu.samples import Failure, Round
from node.gpu.scenario import Scenario, read_scenario
from node.gpu.state import GpuState
from node.records import EnergyReading, Gpu
from node.retry import Clock, SystemClock

SIMULATED_UUID_PREFIX = "GPU-simulated-"
"""No real UUID looks like this, so a simulated device can never be taken for one or asked of an engine."""

_MACHINE_ID = Path("/etc/machine-id")


class SimulatedProvider:
    """`count` GPUs with UUIDs that stay the same on one machine."""

    name = "simulated"

    def __init__(
        self,
        count: int = 1,
        machine_id: Path = _MACHINE_ID,
        lost: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`lost`: a file that makes them fail, or measure something; see node.gpu.scenario."""
        self._uuids = tuple(simulated_uuid(_seed(machine_id), index) for index in range(count))
        self._lost = lost
        self._clock = clock or SystemClock()
        self.sampler = Sampler(self._sample, self._clock)
        """The one look a second at all GPUs that are followed."""

    async def inventory(self) -> tuple[Gpu, ...]:
        """The simulated GPUs; everything a real one would measure is "not available"."""
        scenario = self._scenario()
        return tuple(
            Gpu(
                provider=self.name,
                index=index,
                uuid=uuid,
                name="Simulated GPU",
                vram_bytes=None,
                driver=None,
                cuda=None,
                compute_capability=None,
            )
            for index, uuid in enumerate(self._uuids)
            if not scenario.is_lost(index)
        )

    async def states(self, uuids: tuple[str, ...]) -> tuple[GpuState, ...]:
        """What the scenario says; nothing is known of what is not there."""
        scenario = self._scenario()
        known = {uuid: index for index, uuid in enumerate(self._uuids)}
        return tuple(scenario.state(known[uuid], uuid) if uuid in known else GpuState(uuid) for uuid in uuids)

    async def looks(self, uuids: tuple[str, ...]) -> tuple[GpuState, ...]:
        """As `states`, less those that are lost."""
        return await self.states(self._there(uuids, self._scenario()))

    def _scenario(self) -> Scenario:
        scenario = read_scenario(self._lost)
        if scenario.is_hanging:
            raise DriverSilent("the GPU driver did not answer (simulated)", hint=f"remove {self._lost}")
        return scenario

    def _there(self, uuids: tuple[str, ...], scenario: Scenario) -> tuple[str, ...]:
        lost = {uuid for index, uuid in enumerate(self._uuids) if scenario.is_lost(index)}
        return tuple(uuid for uuid in uuids if uuid not in lost)

    async def _sample(self, uuids: tuple[str, ...]) -> Round:
        scenario = self._scenario()
        at, time_ms = self._clock.monotonic(), round(self._clock.time() * 1000)
        known = {uuid: index for index, uuid in enumerate(self._uuids)}
        there = self._there(uuids, scenario)
        samples = tuple(scenario.sample(known[uuid], uuid, at, time_ms) for uuid in there if uuid in known)
        return Round(samples, tuple(Failure(uuid, time_ms, "GPU is lost") for uuid in uuids if uuid not in there))

    @asynccontextmanager
    async def meter(self, uuids: tuple[str, ...], samples: Path | None = None) -> AsyncIterator[SimulatedMeter]:  # noqa: ARG002
        """A meter that has nothing to say."""
        yield SimulatedMeter()

    async def aclose(self) -> None:
        """Nothing is held."""


class SimulatedMeter:
    """Energy of a device that is not there: none, and no pretending."""

    async def reading(self) -> EnergyReading:
        """Always "not available"."""
        return EnergyReading(joules=None, source="none")


def _seed(machine_id: Path) -> str:
    try:
        return machine_id.read_text().strip() or platform.node()
    except OSError:
        return platform.node()


def simulated_uuid(seed: str, index: int) -> str:
    """The UUID of the index-th simulated GPU of a machine; does not give the machine's id away."""
    digest = hashlib.sha256(f"gpunode simulated gpu\n{seed}\n{index}".encode()).digest()
    return f"{SIMULATED_UUID_PREFIX}{uuid.UUID(bytes=digest[:16])}"
