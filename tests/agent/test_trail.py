"""What a lane does not wait for, what it refuses to go on with, and jobs that bring the agent down."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from node.agent.pipeline import MOST_DEATHS
from node.agent.trail import MOST_TRAILING, TRAILING_AFTER
from node.errors import ContentUnavailable, LaneDegraded, RpcUnavailable
from node.records import Assignment, LanePhase, SettleKind, Stage
from tests.agent.doubles import NODE
from tests.agent.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def away(times: int) -> list[ContentUnavailable]:
    return [ContentUnavailable("the store is away") for _ in range(times)]


async def work(world: World, number: int) -> Assignment:
    """A job that runs to its end."""
    a = world.chain.assign(number, definition=world.content.offer(b"image"))
    await world.clock.until(lambda: bool(world.engine.running))
    world.engine.exit(0)
    return a


# --- pay that is on its way ----------------------------------------------------------------------------------


async def test_a_lane_goes_on_while_the_pay_of_a_job_is_on_its_way(world: World) -> None:
    world.market.failures["settle"] = [RpcUnavailable("no endpoint")] * 8
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        first = await work(world, 1)
        await world.phase(lane, LanePhase.QUEUED, limit=TRAILING_AFTER + 30)
        assert lane.status.trailing == (first.job.address,)
        assert world.chain.sent == ["work", "work"]
        assert first.run.address in world.chain.runs
        second = await work(world, 2)
        await world.clock.until(lambda: world.chain.sent.count("finish") == 2, limit=600)
        await world.phase(lane, LanePhase.QUEUED, limit=60)
        assert lane.status.trailing == ()
        jobs = {job.job: job for job in await world.journal.jobs()}
        for a in (first, second):
            settlement = jobs[a.job.address].settlement
            assert settlement is not None
            assert settlement.kind is SettleKind.FINISH
        assert world.engine.starts == 2


async def test_what_trails_is_taken_up_again_by_the_next_life(world: World) -> None:
    world.market.failures["settle"] = [RpcUnavailable("no endpoint")] * 400
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        await work(world, 1)
        await world.phase(lane, LanePhase.QUEUED, limit=TRAILING_AFTER + 30)
        assert lane.status.trailing
    world.market.failures.clear()
    async with world.lane() as lane:
        await world.clock.until(lambda: world.chain.sent.count("finish") == 1, limit=60)
        await world.phase(lane, LanePhase.QUEUED, limit=60)
        assert lane.status.trailing == ()
    assert world.engine.starts == 1


@pytest.mark.long
async def test_a_lane_leaves_no_more_than_a_few_jobs_behind(world: World) -> None:
    world.market.failures["settle"] = [RpcUnavailable("no endpoint")] * 2_000
    async with world.lane() as lane:
        for number in range(1, MOST_TRAILING + 1):
            await world.phase(lane, LanePhase.QUEUED, limit=TRAILING_AFTER + 60)
            await work(world, number)
        await world.phase(lane, LanePhase.QUEUED, limit=TRAILING_AFTER + 60)
        assert len(lane.status.trailing) == MOST_TRAILING
        await work(world, MOST_TRAILING + 1)
        await world.clock.until(lambda: lane.status.stage is Stage.SETTLE)
        await world.clock.advance(10 * TRAILING_AFTER)
        assert lane.status.phase is LanePhase.WORKING


@pytest.mark.long
async def test_quitting_waits_for_pay_on_its_way_and_not_for_ever(world: World) -> None:
    world.market.failures["settle"] = [RpcUnavailable("no endpoint")] * 2_000
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        await work(world, 1)
        await world.phase(lane, LanePhase.QUEUED, limit=TRAILING_AFTER + 60)
        lane.quit()
        await world.phase(lane, LanePhase.STOPPED, limit=120)
        assert world.chain.sent[-1] == "stop"
        (job,) = await world.journal.open_jobs("main")
        assert job.stage is Stage.SETTLE


# --- what nobody here asked for ------------------------------------------------------------------------------


async def test_a_second_run_beside_ours_degrades_until_adopted(world: World) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
    for number in (1, 2):
        world.chain.assign(number, definition=world.content.offer(b"image"))
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.DEGRADED)
        assert "2 jobs at once" in lane.status.reason
        assert not world.engine.running
        await lane.adopt()
        for number in (1, 2):
            await world.clock.until(lambda: bool(world.engine.running), limit=60)
            world.engine.exit(0)
            await world.clock.until(lambda n=number: world.chain.sent.count("finish") == n, limit=60)  # type: ignore[misc]


# --- a host that cannot serve --------------------------------------------------------------------------------


async def test_a_hindrance_takes_the_lane_out_of_the_queue_and_its_end_brings_it_back(world: World) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        world.health.put("disk", LaneDegraded("the disk is full", hint="free some space"))
        await world.phase(lane, LanePhase.DEGRADED)
        assert lane.status.reason == "the disk is full (free some space)"
        assert world.chain.sent == ["work", "stop"]
        await world.clock.advance(300)
        assert lane.status.phase is LanePhase.DEGRADED
        world.health.put("disk", None)
        await world.phase(lane, LanePhase.QUEUED, limit=60)
        assert world.chain.sent == ["work", "stop", "work"]


async def test_a_hindrance_ends_no_work_at_hand(world: World) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        world.chain.assign(1, definition=world.content.offer(b"image"))
        await world.clock.until(lambda: bool(world.engine.running))
        world.health.put("gpu", LaneDegraded("the GPU is gone"))
        await world.clock.advance(300)
        assert lane.status.phase is LanePhase.WORKING
        world.engine.exit(0)
        await world.phase(lane, LanePhase.DEGRADED, limit=60)
        assert world.chain.sent == ["work", "finish"]
        assert NODE not in world.chain.queue


async def test_a_hindrance_before_joining_keeps_the_lane_out(world: World) -> None:
    world.health.put("engine", LaneDegraded("the engine is away"))
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.DEGRADED)
        assert world.chain.sent == []
        await lane.drain()
        await world.phase(lane, LanePhase.DRAINING)


# --- jobs that bring the agent down --------------------------------------------------------------------------


async def _die(world: World) -> None:
    """A life of the agent that ends in the middle of a job, without a word: its end is not written down."""
    async with world.open_journal() as journal:
        lives: list[float] = []

        async def no_word(run: str) -> None:
            lives.append(world.clock.time())

        journal.end_life = no_word  # type: ignore[method-assign]
        pipeline = world.pipeline(world.job)
        task = asyncio.ensure_future(pipeline.complete())
        await world.clock.until(lambda: bool(world.engine.running))
        await world.clock.advance(5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_job_that_twice_brought_the_agent_down_is_given_back_with_evidence(world: World) -> None:
    world.job = world.chain.assign(1, definition=world.content.offer(b"image"))
    for _ in range(MOST_DEATHS):
        await _die(world)
    assert world.engine.starts == 1
    async with world.open_journal() as journal:
        settlement = await world.pipeline(world.job).complete()
        assert settlement.kind is SettleKind.QUIT
        assert "the agent died 2 times while it worked on this job" in settlement.reason
        assert any("the agent died 2 times" in event.text for event in await journal.events())
        # Its container was stopped, and nothing of it is tried again.
        assert not world.engine.running
        assert world.engine.starts == 1
        assert await journal.open_jobs("main") == ()
    assert world.chain.sent == ["quit"]


async def test_a_job_that_cannot_even_be_given_back_in_order_is_only_quit(world: World) -> None:
    world.job = world.chain.assign(1, definition=world.content.offer(b"image"))
    for _ in range(MOST_DEATHS):
        await _die(world)
    async with world.open_journal() as journal:
        for _ in range(2):
            await journal.begin_life(world.job.run.address)
        settlement = await world.pipeline(world.job).complete()
    assert settlement.kind is SettleKind.QUIT
    assert world.chain.sent == ["quit"]


async def test_detaching_is_no_death(world: World) -> None:
    world.job = world.chain.assign(1, definition=world.content.offer(b"image"))
    async with world.lane() as lane:
        await lane.adopt()
        await world.clock.until(lambda: bool(world.engine.running))
    for _ in range(5):
        async with world.lane():
            await world.clock.advance(5)
    async with world.lane():
        world.engine.exit(0)
        await world.clock.until(lambda: "finish" in world.chain.sent)
    assert world.engine.starts == 1


async def test_deaths_after_the_work_never_cost_its_pay(world: World) -> None:
    world.job = world.chain.assign(1, definition=world.content.offer(b"image"))
    world.market.failures["settle"] = [RpcUnavailable("no endpoint")] * 1_000
    for life in range(MOST_DEATHS + 3):
        async with world.open_journal():
            task = asyncio.ensure_future(world.pipeline(world.job).complete())
            if life == 0:
                await world.clock.until(lambda: bool(world.engine.running))
                world.engine.exit(0)
            await world.clock.until(lambda: world.stages[-1:] == [Stage.SETTLE])
            await world.clock.advance(5)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    world.market.failures.clear()
    async with world.open_journal():
        settlement = await world.pipeline(world.job).complete()
    assert settlement.kind is SettleKind.FINISH
