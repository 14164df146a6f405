"""Moments that a job's way leaves behind: through the stages, over a restart, and from the logs that are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.agent.moments import first_output, milliseconds
from node.journal.latency import Moment, legs_of
from tests.agent.test_pipeline import done, job, running, working
from tests.agent.world import World

SEEN = {
    Moment.ASSIGNED, Moment.PICKED_UP, Moment.STARTED, Moment.EXITED, Moment.UPLOADED, Moment.SETTLED,
}  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_job_leaves_its_moments_in_order(world: World) -> None:
    a = job(world)
    async with working(world, a) as task:
        await running(world)
        await world.clock.advance(100)
        world.engine.exit(0)
        await world.clock.until(task.done)
        found = await world.journal.latency.of(a.run.address)
    assert found.keys() == SEEN
    assert legs_of(found)["run"] == 100_000
    ordered = [found[moment] for moment in Moment if moment in found]
    assert ordered == sorted(ordered)


async def test_a_restart_moves_no_moment(world: World) -> None:
    a = job(world)
    async with working(world, a):
        await running(world)
        before = await world.journal.latency.of(a.run.address)
    await world.clock.advance(30)
    await done(world, a, limit=3600)
    async with world.open_journal() as journal:
        after = await journal.latency.of(a.run.address)
    assert Moment.PICKED_UP in before
    assert all(after.get(moment, at) == at for moment, at in before.items())
    assert Moment.SETTLED in after


def entry(kind: str, timestamp: str) -> str:
    return json.dumps({"type": kind, "log": "x\n", "timestamp": timestamp}) + "\n"


def test_the_first_output_is_the_first_line_of_a_container(tmp_path: Path) -> None:
    one, two, none = tmp_path / "1", tmp_path / "2", tmp_path / "none"
    one.write_text("broken\n" + entry("nodeerr", "2026-01-01T00:00:00Z") + entry("stdout", "2026-01-01T00:00:09.25Z"))
    two.write_text(entry("stderr", "2026-01-01T00:00:08.125000000Z") + entry("stdout", "2026-01-01T00:00:01Z"))
    assert first_output([one, two, none]) == 1_767_225_608_125
    assert first_output([none]) is None
    one.write_bytes(b"\xff" * 100_000)
    assert first_output([one]) is None


@pytest.mark.parametrize("text", ["", "soon", "0001-01-01T00:00:00Z", "9999-99-99T00:00:00Z"])
def test_a_time_that_is_none(text: str) -> None:
    assert milliseconds(text) is None
