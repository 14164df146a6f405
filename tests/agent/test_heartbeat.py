"""Signs of life: given while the agent moves by itself, whatever the chain does, and not when a lane stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from node.agent.heartbeat import STILL, Heartbeat, MovingClock, keep_quiet, summary
from node.agent.logs import current_lane
from node.agent.notify import ServiceManager
from node.records import LanePhase, LaneStatus, Stage
from tests.agent.clock import FakeClock
from tests.journal.samples import address


@dataclass
class Lane:
    """A lane that does nothing but show a state."""

    status: LaneStatus


@dataclass(frozen=True)
class Heard(ServiceManager):
    """Keeps what it is told."""

    words: list[str] = field(default_factory=list)

    def _tell(self, *lines: str) -> None:
        self.words.append(lines[0].removesuffix("=1") if len(lines) > 1 else lines[0])


def lane(phase: LanePhase, name: str = "main") -> Lane:
    return Lane(LaneStatus(lane=name, node=address(2), market=address(1), phase=phase, reason="so", since=0.0))


class Scene:
    """A lane, a clock, and the beats."""

    def __init__(self, phase: LanePhase = LanePhase.QUEUED) -> None:
        self.fake = FakeClock()
        self.clock = MovingClock(self.fake)
        self.lane = lane(phase)
        self.manager = Heard(patience=40.0)
        self.stuck: list[str] = []
        self.beat = Heartbeat(self.manager, {"main": self.lane}, self.clock, self.stuck.append)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.TaskGroup]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.beat.run())]
            yield group
            for task in tasks:
                task.cancel()

    async def go(self, nap: float) -> None:
        """A lane's own task, going round in naps."""
        current_lane.set("main")
        while True:
            await self.clock.sleep(nap)

    async def aside(self) -> None:
        current_lane.set("main")
        keep_quiet()
        while True:
            await self.clock.sleep(1.0)

    def alive(self) -> int:
        return self.manager.words.count("WATCHDOG")


@pytest.mark.long
async def test_a_lane_that_naps_is_alive() -> None:
    scene = Scene()
    async with scene.running() as group:
        task = group.create_task(scene.go(30.0))
        await scene.fake.advance(2 * STILL)
        task.cancel()
    assert scene.manager.words[0] == "READY"
    assert scene.alive() >= 2 * STILL / 5
    assert scene.stuck == []


@pytest.mark.long
async def test_a_lane_that_stands_still_gets_no_sign_of_life_until_it_moves() -> None:
    scene = Scene(LanePhase.WORKING)
    async with scene.running() as group:
        # What goes round beside the lane is no sign of it.
        beside = group.create_task(scene.aside())
        await scene.fake.advance(STILL)
        before = scene.alive()
        await scene.fake.advance(STILL)
        assert scene.alive() - before <= 2
        assert scene.stuck == ["main"]
        assert scene.manager.words[-1] == "STATUS=stuck: main"
        task = group.create_task(scene.go(1.0))
        await scene.fake.advance(20.0)
        assert scene.manager.words[-1] == "WATCHDOG"
        task.cancel()
        beside.cancel()


@pytest.mark.long
async def test_who_waits_for_the_operator_may_wait_and_has_its_time_afterwards() -> None:
    scene = Scene(LanePhase.PAUSED)
    async with scene.running():
        await scene.fake.advance(10 * STILL)
        assert scene.stuck == []
        scene.lane.status = replace(scene.lane.status, phase=LanePhase.JOINING)
        await scene.fake.advance(STILL - 10)
        assert scene.stuck == []
        await scene.fake.advance(30)
        assert scene.stuck == ["main"]


async def test_a_loop_that_is_blocked_gives_none() -> None:
    """The word is given by a task of the same loop, and by nothing else."""
    scene = Scene()
    async with scene.running():
        await scene.fake.settle()
        before = len(scene.manager.words)
        scene.fake.now += 1000.0  # time passes, no task runs
        assert len(scene.manager.words) == before


def test_what_is_said_of_the_lanes() -> None:
    queued = lane(LanePhase.QUEUED)
    queued.status = replace(queued.status, position=3, queue_length=40)
    working = lane(LanePhase.WORKING)
    working.status = replace(working.status, job=address(7), stage=Stage.RUN)
    paused = lane(LanePhase.PAUSED)
    said = summary({"a": queued, "b": working, "c": paused})
    assert said == f"a queued, place 3 of 40; b working on {address(7)} (run); c paused: so"
    many = {str(number): (queued if number % 2 else paused) for number in range(64)}
    assert summary(many) == "64 lanes: 32 paused, 32 queued"
