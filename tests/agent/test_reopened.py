"""A fork takes back what settled a job: it is settled again, and paid once."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.records import Assignment, LanePhase, SettleKind
from tests.agent.doubles import NODE
from tests.agent.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def settled(world: World) -> Assignment:
    """A job of the lane, done and paid; the lane waits for the next one."""
    given = world.chain.assign(1, definition=world.content.offer(b"image"))
    await world.clock.until(lambda: bool(world.engine.running))
    world.engine.exit(0)
    await world.clock.until(lambda: world.chain.sent == ["work", "finish", "work"])
    return given


def fork(world: World, given: Assignment) -> None:
    """The job is as it was before `finish`."""
    world.chain.runs[given.run.address] = given
    world.chain.jobs[given.job.address] = given.job


async def test_a_lane_that_waits_for_a_job_settles_it_at_once(world: World) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        given = await settled(world)
        fork(world, given)
        assert await world.journal.reopen(given.run.address, "a fork")
        world.chain.reopened.set()
        await world.clock.until(lambda: world.chain.sent.count("finish") == 2)
        await world.clock.until(lambda: lane.status.phase is LanePhase.QUEUED)
        assert await world.journal.open_jobs("main") == ()
        (summary,) = await world.journal.job(given.run.address)
        assert summary.settlement is not None
        assert (summary.settlement.kind, summary.settlement.pay) == (SettleKind.FINISH, 120)
        assert world.chain.sent == ["work", "finish", "work", "finish"], "it keeps its place in the queue"
        assert world.content.published == [f"{given.job.address}.json", f"{given.job.address}.receipt.json"]


async def test_what_landed_again_by_itself_is_only_read(world: World) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        given = await settled(world)
        assert await world.journal.reopen(given.run.address, "a fork")
        world.chain.reopened.set()
        for _ in range(20):
            await world.clock.settle()
            if not await world.journal.open_jobs("main"):
                break
        (summary,) = await world.journal.job(given.run.address)
        assert summary.settlement is not None
        assert summary.settlement.kind is SettleKind.ALREADY
        assert world.chain.sent.count("finish") == 1


async def test_a_restart_settles_it(world: World) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        given = await settled(world)
    fork(world, given)
    async with world.open_journal() as journal:
        assert await journal.reopen(given.run.address, "a fork")
    async with world.lane() as lane:
        await world.clock.until(lambda: world.chain.sent.count("finish") == 2)
        await world.phase(lane, LanePhase.QUEUED)
        assert await world.journal.open_jobs("main") == ()


async def test_a_fork_that_takes_back_the_leaving_gives_nobody_elses_job(world: World) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        await lane.pause(None)
        await world.phase(lane, LanePhase.PAUSED)
        world.chain.leaving = True
        world.chain.queue.append(NODE)
        world.chain.assign(1, definition=world.content.offer(b"image"))
        await lane.pause(None)  # looks again
        await world.clock.until(lambda: bool(world.engine.running))


async def test_a_fork_that_takes_back_the_job_leaves_the_key_where_it_asked_to_be(world: World) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        await lane.drain()
        given = world.chain.assign(1, definition=world.content.offer(b"image"))
        await world.clock.until(lambda: bool(world.engine.running))
        # Neither the poster's `list` nor the run is there any more, and nobody ended anything.
        world.chain.queue.append(NODE)
        world.chain.take_away(given)
        await world.clock.until(lambda: world.chain.sent == ["work", "stop"])
        await world.phase(lane, LanePhase.DRAINING)
        (summary,) = await world.journal.job(given.run.address)
        assert summary.settlement is not None
        assert summary.settlement.kind is SettleKind.LOST
        row = await world.journal.lane("main")
        assert row is not None
        assert row.queued_since is None
