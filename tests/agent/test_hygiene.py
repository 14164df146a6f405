"""A lane whose jobs leave something behind on its GPU."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from node.agent.hygiene import SHARING, LaneHygiene, Tolerance
from node.agent.lane import Lane
from node.errors import GpuError, LaneDegraded
from node.gpu.hygiene import Owner
from node.gpu.state import GpuProcess, GpuState
from node.marks import Mark, listen
from node.records import Address, LanePhase, OperationState, OperationStatus
from tests.agent.doubles import GPU
from tests.agent.world import World
from tests.e2e.fixtures import busybox_image, docker_client
from tests.gpu.test_nvidia import A, Make, device, make
from tests.gpu.test_state import FULL as DATA_CENTRE
from tests.gpu.test_state import happen

__all__ = ["busybox_image", "docker_client", "make"]

MIB = 1024**2
REAL = replace(GPU, provider="nvidia")
CLEAN = GpuState(
    GPU.uuid,
    processes=(),
    vram_used_bytes=500 * MIB,
    settings={"power_limit": 700_000},
    counters={"ecc_aggregate": 0},
    faults={"remap_pending": 0},
    epoch="one",
)
FULL = replace(CLEAN, vram_used_bytes=9000 * MIB)


def quiet(line: str) -> None:
    """Nobody looks."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.gpu_state = CLEAN
    return world


@asynccontextmanager
async def after_job(world: World, left: GpuState) -> AsyncIterator[Lane]:
    """A lane whose first job has just ended and left the GPU like that."""
    definition = world.content.offer(b"image")
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        world.chain.assign(1, definition=definition)
        await world.clock.until(lambda: bool(world.engine.running))
        kept = await world.journal.gpu_states.of("main")
        assert kept is not None
        assert set(kept.states) == {GPU.uuid}
        world.gpu_state = left
        world.engine.exit(0)
        yield lane


async def test_a_clean_job_costs_one_look_and_no_time(world: World) -> None:
    async with after_job(world, CLEAN) as lane:
        await world.phase(lane, LanePhase.QUEUED)
        assert world.looks == 2
        assert await world.journal.gpu_states.of("main") is None
        assert world.chain.sent == ["work", "finish", "work"]


async def test_memory_that_comes_back_in_time_is_waited_for(world: World) -> None:
    async with after_job(world, FULL) as lane:
        await world.clock.until(lambda: "finish" in world.chain.sent)
        await world.clock.advance(20)
        assert world.chain.sent == ["work", "finish"]
        assert "waiting for the GPUs: 8.30 GiB" in lane.status.progress
        world.gpu_state = CLEAN
        await world.phase(lane, LanePhase.QUEUED, limit=5)
        assert lane.status.progress == ""
        assert not [event for event in await world.journal.events() if event.level == "error"]


async def test_memory_that_stays_degrades_the_lane_until_it_is_back(world: World) -> None:
    async with after_job(world, FULL) as lane:
        await world.phase(lane, LanePhase.DEGRADED, limit=60)
        assert "8.30 GiB of the memory of GPU-sim-0 are still in use" in lane.status.reason
        assert "nvidia-smi" in lane.status.reason
        await world.clock.advance(300)
        assert lane.status.phase is LanePhase.DEGRADED
        assert world.chain.sent == ["work", "finish"]
        world.gpu_state = CLEAN
        await world.phase(lane, LanePhase.QUEUED, limit=100)
        texts = [event.text for event in await world.journal.events()]
        assert "the GPUs are as before the job again" in texts


async def test_a_lasting_fault_is_told_at_once_and_ends_by_the_operator_s_word(world: World) -> None:
    async with after_job(world, replace(CLEAN, counters={"ecc_aggregate": 2})) as lane:
        await world.phase(lane, LanePhase.DEGRADED)
        assert "2 new uncorrected memory errors" in lane.status.reason
        assert "gpunode resume" in lane.status.reason
        await world.clock.advance(3600)
        assert lane.status.phase is LanePhase.DEGRADED
        await lane.resume()
        await world.phase(lane, LanePhase.QUEUED, limit=5)
        texts = [event.text for event in await world.journal.events()]
        assert "the GPUs are taken as they are, as the operator asked" in texts


async def test_a_changed_setting_that_is_set_back_needs_nobody_s_word(world: World) -> None:
    async with after_job(world, replace(CLEAN, settings={"power_limit": 300_000})) as lane:
        await world.phase(lane, LanePhase.DEGRADED)
        assert "the power limit of GPU-sim-0 is 300000 mW, and was 700000 before the job" in lane.status.reason
        world.gpu_state = CLEAN
        await world.phase(lane, LanePhase.QUEUED, limit=100)


async def test_what_is_found_survives_a_restart(world: World) -> None:
    async with after_job(world, replace(CLEAN, faults={"remap_pending": 1})) as lane:
        await world.phase(lane, LanePhase.DEGRADED)
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.DEGRADED)
        assert "memory rows wait to be remapped" in lane.status.reason
        assert world.chain.sent == ["work", "finish"]
        world.gpu_state = CLEAN
        await world.phase(lane, LanePhase.QUEUED, limit=100)


async def test_a_restart_in_the_middle_of_the_job_keeps_what_was_before_it(world: World) -> None:
    definition = world.content.offer(b"image")
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        world.chain.assign(1, definition=definition)
        await world.clock.until(lambda: bool(world.engine.running))
    world.gpu_state = FULL
    async with world.lane() as lane:
        await world.clock.until(lambda: world.operations.adopted == 1)
        world.engine.exit(0)
        await world.phase(lane, LanePhase.DEGRADED, limit=60)
        assert "still in use" in lane.status.reason


class Died(BaseException):
    """The agent ends here."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("time", [1, 2])
async def test_an_agent_that_dies_at_the_journal_s_write(world: World, when: str, time: int) -> None:
    """At the first (before the job) and at the second (after it): the next life goes on as if nothing had been."""
    definition = world.content.offer(b"image")
    passed = 0

    def die(mark: Mark, at: str) -> None:
        nonlocal passed
        if mark is Mark.JOURNAL_GPU and at == when:
            passed += 1
            if passed == time:
                listen(None)
                raise Died

    async def live() -> None:
        async with world.lane() as lane:
            await world.phase(lane, LanePhase.QUEUED)
            world.chain.assign(1, definition=definition)
            listen(die)
            await world.clock.until(lambda: bool(world.engine.running))
            world.engine.exit(0)
            await world.clock.until(lambda: world.chain.sent == ["work", "finish", "work"])

    try:
        with pytest.raises((Died, BaseExceptionGroup, AssertionError)):
            await live()
    finally:
        listen(None)
    assert passed == time
    async with world.lane() as lane:
        if not world.engine.exits:
            await world.clock.until(lambda: bool(world.engine.running))
            world.engine.exit(0)
        await world.phase(lane, LanePhase.QUEUED, limit=60)
        assert world.chain.sent == ["work", "finish", "work"]
        assert await world.journal.gpu_states.of("main") is None
        assert world.engine.starts == 1


async def test_who_else_uses_the_gpu_is_said_and_does_not_hinder(world: World) -> None:
    folder = world.folder / "proc" / "812"
    folder.mkdir(parents=True)
    (folder / "comm").write_text("blen\x1bder\n")
    (folder / "cgroup").write_text("0::/user.slice\n")
    shared = replace(CLEAN, processes=(GpuProcess(812, 3072 * MIB),), vram_used_bytes=3572 * MIB)
    world.gpu_state = shared
    async with world.open_journal():
        hygiene = world.hygiene()
        (line,) = await hygiene.begin(Address("run"), (GPU.uuid,))
        assert line == "before the job, process 812 (blen?der) uses GPU-sim-0 with 3.00 GiB"
        (subject,) = hygiene.subjects
        assert (subject.subject, subject.hinders) == (SHARING, False)
        await hygiene.settle(quiet)
        assert hygiene.subjects == ()


async def test_a_stranger_that_comes_during_the_job_is_no_fault_of_it(world: World) -> None:
    folder = world.folder / "proc" / "812"
    folder.mkdir(parents=True)
    (folder / "cgroup").write_text("0::/user.slice\n")
    game = replace(CLEAN, processes=(GpuProcess(812, 6000 * MIB),), vram_used_bytes=6500 * MIB)
    async with after_job(world, game) as lane:
        await world.phase(lane, LanePhase.QUEUED)


async def test_a_process_in_a_container_of_the_job_is_its_own(world: World) -> None:
    async with world.open_journal():
        hygiene = world.hygiene()
        await hygiene.begin(Address("run"), (GPU.uuid,))
        hygiene._journal.operations = _operations  # type: ignore[method-assign,assignment]
        folder = world.folder / "proc" / "4711"
        folder.mkdir(parents=True)
        (folder / "cgroup").write_text("0::/system.slice/docker-c0ffee.scope\n")
        world.gpu_state = replace(CLEAN, processes=(GpuProcess(4711, 10),))
        hygiene._told = True  # it has waited already
        with pytest.raises(LaneDegraded, match="process 4711 of the job still uses GPU-sim-0"):
            await hygiene.settle(quiet)
        world.gpu_state = CLEAN
        await hygiene.settle(quiet)


async def _operations(run: Address) -> tuple[object, ...]:
    class State:
        container_id = "c0ffee"

    return (State(),)


async def test_a_job_that_was_never_looked_at_does_not_hide_what_an_earlier_one_left(world: World) -> None:
    async with world.open_journal():
        hygiene = world.hygiene()
        await hygiene.begin(Address("first"), (GPU.uuid,))
        world.gpu_state = FULL
        await hygiene.begin(Address("second"), (GPU.uuid,))
        hygiene._told = True
        with pytest.raises(LaneDegraded, match=r"after run second: .* still in use"):
            await hygiene.settle(quiet)


async def test_gpus_of_which_nothing_is_known_never_degrade(world: World) -> None:
    world.gpu_state = GpuState(GPU.uuid)
    definition = world.content.offer(b"image")
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        world.chain.assign(1, definition=definition)
        await world.clock.until(lambda: bool(world.engine.running))
        assert await world.journal.gpu_states.of("main") is None
        world.engine.exit(0)
        await world.phase(lane, LanePhase.QUEUED)


async def test_a_driver_that_does_not_answer_before_the_job_does_not_stop_it(world: World) -> None:
    world.state_error = GpuError("the GPU driver did not answer")
    definition = world.content.offer(b"image")
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        world.chain.assign(1, definition=definition)
        await world.clock.until(lambda: bool(world.engine.running))
        world.engine.exit(0)
        await world.phase(lane, LanePhase.QUEUED)


async def test_a_driver_that_does_not_answer_after_the_job_is_waited_for(world: World) -> None:
    async with after_job(world, CLEAN) as lane:
        world.state_error = GpuError("the GPU driver did not answer", hint="reboot")
        await world.phase(lane, LanePhase.DEGRADED)
        world.state_error = None
        await world.phase(lane, LanePhase.QUEUED, limit=100)


async def test_through_the_real_helper_process(world: World, make: Make) -> None:
    """A scripted NVML inside the helper: a job takes memory, leaves a process, breaks memory and dims the GPU."""
    provider = make(device(A, **DATA_CENTRE))
    async with world.open_journal() as journal:
        hygiene = LaneHygiene("main", provider.states, journal, world.clock, Tolerance(256 * MIB, 0.0))
        await hygiene.begin(Address("run"), (A,))
        happen(vram_used=600 * MIB)
        await hygiene.settle(quiet)
        await hygiene.begin(Address("run"), (A,))
        happen(
            vram_used=4000 * MIB,
            compute=[[4711, 1024], [2**22 + 1, 100]],
            ecc_volatile=1,
            remap_pending=1,
            power_limit=300_000,
            xids=[31, 79],
        )
        with pytest.raises(LaneDegraded) as raised:
            await hygiene.settle(quiet)
        for word in ("3.32 GiB", "power limit", "1 new uncorrected", "wait to be remapped", "Xid 79"):
            assert word in raised.value.message
        assert "Xid 31" not in raised.value.message
        await hygiene.accept()
        await hygiene.settle(quiet)


@pytest.mark.docker
async def test_whose_a_process_is_on_a_real_engine(
    world: World, docker_client: docker.APIClient, busybox_image: str
) -> None:
    made = docker_client.create_container(busybox_image, ["sleep", "300"], name=f"gpunode-test-{os.getpid()}")
    try:
        docker_client.start(made)
        pid = int(docker_client.inspect_container(made)["State"]["Pid"])
        async with world.open_journal() as journal:

            async def operations(run: Address) -> tuple[OperationState, ...]:
                return (OperationState(0, "op", "op", OperationStatus.RUNNING, container_id=made["Id"]),)

            journal.operations = operations  # type: ignore[method-assign]
            hygiene = LaneHygiene("main", world._states, journal, world.clock, Tolerance(0, 0.0))
            owner = await hygiene._owner_of(Address("run"))
            assert owner(pid) is Owner.JOB
            assert owner(os.getpid()) is Owner.OTHER
            assert owner(2**22 + 1) is Owner.GONE
    finally:
        docker_client.remove_container(made, force=True)


async def test_a_kept_state_that_cannot_be_read_is_dropped(world: World) -> None:
    async with world.open_journal() as journal:
        await journal.gpu_states.put("main", Address("run"), {GPU.uuid: "{}"})
        await world.hygiene().settle(quiet)
        assert await journal.gpu_states.of("main") is None
