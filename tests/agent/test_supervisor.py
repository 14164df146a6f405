"""Lanes side by side, and how an agent ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node.agent.lane import Lane, LaneServices
from node.agent.port import RunningAgent
from node.agent.supervisor import HARD_EXIT, Supervisor
from node.errors import ControlError
from node.records import LanePhase
from tests.agent.doubles import GPU, MARKET, NODE
from tests.agent.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def make_lane(world: World) -> Lane:
    return Lane(
        "main",
        MARKET,
        LaneServices(
            jobs=world.services(), check=world._check, gpus=world._gpus, health=world.health, fence=world._fence
        ),
    )


@asynccontextmanager
async def supervised(world: World, *, leave_on_stop: bool = False) -> AsyncIterator[Supervisor]:
    """A supervisor at work; the block must end it."""
    async with world.open_journal():
        supervisor = Supervisor([make_lane(world)], leave_on_stop=leave_on_stop)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(supervisor.run())
            yield supervisor
            await world.clock.until(task.done)


def port_of(world: World, supervisor: Supervisor) -> RunningAgent:
    return RunningAgent(
        version="1",
        cluster="localnet",
        started_at=1.0,
        gpu_provider="simulated",
        lanes=supervisor.lanes,
        journal=world.journal,
        inventory=_Inventory(),
        data=world.folder,
        log_name=lambda operation: f"logs/{operation.container.name}.jsonl",
        stopping=supervisor.stop,
    )


class _Inventory:
    async def inventory(self) -> tuple[object, ...]:
        return (GPU,)


async def queued(world: World, supervisor: Supervisor) -> Lane:
    lane = supervisor.lanes["main"]
    await world.phase(lane, LanePhase.QUEUED)
    return lane


async def test_stopping_detaches_and_keeps_the_place(world: World) -> None:
    async with supervised(world) as supervisor:
        await queued(world, supervisor)
        supervisor.stop()
    assert world.chain.queue == [NODE]


async def test_stopping_may_leave_the_queue(world: World) -> None:
    async with supervised(world, leave_on_stop=True) as supervisor:
        await queued(world, supervisor)
        supervisor.stop()
    assert world.chain.queue == []


async def test_quitting_gives_jobs_back_and_leaves(world: World) -> None:
    async with supervised(world) as supervisor:
        await queued(world, supervisor)
        world.chain.assign(1, definition=world.content.offer(b"image"))
        await world.clock.until(lambda: bool(world.engine.running))
        await port_of(world, supervisor).stop_and_quit()
    assert world.chain.sent == ["work", "quit"]
    assert world.chain.queue == []


async def test_a_signal_stops(world: World) -> None:
    async with supervised(world) as supervisor:
        await queued(world, supervisor)
        with supervisor.signals():
            os.kill(os.getpid(), signal.SIGTERM)
            await world.clock.settle()
    assert world.chain.queue == [NODE]


SECOND_SIGNAL = """
import asyncio, os, signal
from node.agent.supervisor import Supervisor

async def main():
    supervisor = Supervisor([])
    with supervisor.signals():
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.05)
        print("still here", flush=True)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(30)

asyncio.run(main())
"""


def test_a_second_signal_exits_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SECOND_SIGNAL], capture_output=True, timeout=20, cwd=Path(__file__).parents[2]
    )
    assert (done.returncode, done.stdout) == (HARD_EXIT, b"still here\n")


async def test_a_journal_that_cannot_be_written_is_said_and_does_not_end_the_agent(world: World) -> None:
    async with world.open_journal() as journal:
        supervisor = Supervisor([make_lane(world)])
        task = asyncio.create_task(supervisor.run())
        await queued(world, supervisor)
        await journal.close()
        world.clock.journal = None
        world.chain.assign(1, definition=world.content.offer(b"image"))
        (lane,) = supervisor.lanes.values()
        await world.clock.until(lambda: lane.status.phase is LanePhase.DEGRADED)
        assert "journal is closed" in lane.status.reason
        await world.clock.advance(100)
        supervisor.stop()
        await asyncio.wait_for(task, 10)


async def test_the_port_answers(world: World) -> None:
    async with supervised(world) as supervisor:
        await queued(world, supervisor)
        port = port_of(world, supervisor)
        status = await port.status()
        assert (status.gpus, status.pid) == ((GPU,), os.getpid())
        assert status.lanes[0].phase is LanePhase.QUEUED
        assert await port.log_paths("unknown") == ()
        a = world.chain.assign(1, definition=world.content.offer(b"image"))
        await world.clock.until(lambda: bool(world.engine.running))
        assert await port.log_paths(a.job.address) == (world.folder / f"logs/{a.job.address}-0.jsonl",)
        assert (await port.jobs())[0].job == a.job.address
        assert (await port.job(a.run.address)) == (await port.jobs())
        assert (await port.operations(a.run.address))[0].starts == 1
        assert await port.gpus() == (GPU,)
        events = await port.events()
        assert events[0].text.startswith("checking")
        (told,) = await port.drain("main")
        assert told.phase is LanePhase.DRAINING
        with pytest.raises(ControlError, match="no lane 'other'") as raised:
            await port.pause("other", 5)
        assert "main" in raised.value.hint
        await port.resume()
        await port.stop()
