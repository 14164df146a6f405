"""A job's telemetry from the sampler to the journal, over a restart of the agent in the middle of it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from node.agent.stages.run import LATE_MS
from node.content.merkle import MerkleHasher
from node.gpu.meter import SamplingMeter, metering
from node.gpu.sampler import Sampler
from node.gpu.samples import NotAvailable, Round, Sample
from node.records import EnergyReading, Outcome, Stage
from tests.agent.test_pipeline import job, running, working
from tests.agent.world import World

WATTS = 300


class CountingGpus:
    """GPUs that use 300 W, and whose driver may have been loaded anew."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._clock = world.clock
        self.loaded_at = 0.0
        self.has_counter = True

    def meter(self, uuids: tuple[str, ...], samples: Path | None = None) -> AbstractAsyncContextManager[SamplingMeter]:
        """As a provider's, with a sampler of this life of the agent."""
        return metering(Sampler(self._take, self._clock), uuids, samples, MerkleHasher())

    async def _take(self, uuids: tuple[str, ...]) -> Round:
        now, time_ms = self._clock.monotonic(), round(self._clock.time() * 1000)
        spent = round((now - self.loaded_at) * WATTS * 1000)
        energy = spent if self.has_counter else NotAvailable("none")
        return Round(
            tuple(Sample(uuid, now, time_ms, energy, WATTS * 1000, 90, 1 << 30, 70, 1500, 0x40, 0, 0) for uuid in uuids)
        )


async def restarted(world: World, gpus: CountingGpus, down: float = 60, reload: bool = False) -> EnergyReading:
    """A job that runs for 20 s before the agent is killed and for 20 s after it is there again."""
    world.meters = gpus  # type: ignore[assignment]
    a = job(world)
    async with working(world, a):
        await running(world)
        await world.clock.advance(20)
    await world.clock.advance(down)
    if reload:
        gpus.loaded_at = world.clock.monotonic()
    async with working(world, a) as task:
        await world.clock.settle()
        await world.clock.advance(20)
        world.engine.exit(0)
        await world.clock.until(task.done)
        outcome = await world.journal.stage_record(a.run.address, Stage.RUN)
    assert isinstance(outcome, Outcome)
    assert outcome.energy is not None
    file = world.folder / "samples" / f"{a.run.address}.jsonl"
    hasher = MerkleHasher()
    hasher.update(file.read_bytes())
    assert outcome.energy.samples_root == hasher.root()
    assert outcome.energy.samples == len(file.read_bytes().splitlines())
    assert outcome.energy.first_ms is not None
    assert outcome.energy.first_ms <= outcome.started_ms + LATE_MS
    return outcome.energy


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_counter_leaves_nothing_out(world: World) -> None:
    reading = await restarted(world, CountingGpus(world))
    (told,) = reading.gpus
    assert reading.source == told.source == "counter"
    assert reading.joules is not None
    assert reading.joules == pytest.approx(WATTS * told.seconds)
    assert told.seconds >= 100
    assert 55 <= told.gap_seconds <= 62
    assert told.throttled == (("hardware_thermal", pytest.approx(told.seconds - told.gap_seconds)),)
    assert (told.utilisation_mean, told.memory_most, told.temperature_most) == (0.9, 1 << 30, 70)


async def test_power_has_a_gap_and_is_not_stated(world: World) -> None:
    gpus = CountingGpus(world)
    gpus.has_counter = False
    reading = await restarted(world, gpus)
    assert (reading.joules, reading.source, reading.gpus[0].joules) == (None, "none", None)
    assert reading.gpus[0].power_most == WATTS


async def test_power_over_a_short_restart_is_whole(world: World) -> None:
    gpus = CountingGpus(world)
    gpus.has_counter = False
    reading = await restarted(world, gpus, down=3)
    assert reading.source == "power"
    assert reading.joules == pytest.approx(WATTS * reading.gpus[0].seconds)


async def test_a_counter_that_began_anew_says_nothing(world: World) -> None:
    reading = await restarted(world, CountingGpus(world), reload=True)
    assert (reading.joules, reading.source) == (None, "none")
