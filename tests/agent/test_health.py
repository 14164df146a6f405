"""What the agent depends on, looked at: probes, the watch, and what lanes make of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from node.agent.health.ballast import Ballast
from node.agent.health.board import GPU as GPU_SUBJECT
from node.agent.health.board import HealthBoard, LaneHealth
from node.agent.health.chain_clock import ChainClock, ChainMoment
from node.agent.health.probes import ClockProbe, DiskProbe, EngineProbe, GpuProbe, RpcProbe
from node.agent.health.verdict import FAILING, OK, UNKNOWN, WELL, Look, Patience
from node.agent.health.watch import HealthWatch, Watched
from node.errors import EngineRejected, EngineUnavailable, GpuError, JournalError, LaneDegraded, RpcUnavailable
from node.gpu.simulated import SimulatedProvider
from node.records import LanePhase, SettleKind
from tests.agent.clock import FakeClock
from tests.agent.doubles import GPU, NODE
from tests.agent.world import World

OTHER = replace(GPU, uuid="GPU-sim-1", index=1)


class Scripted:
    """A probe that sees what it is told."""

    def __init__(self, look: Look = WELL) -> None:
        self.now = look
        self.looks = 0
        self.hangs = False
        self.error: Exception | None = None

    async def look(self) -> Look:
        self.looks += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return self.now


@asynccontextmanager
async def watching(
    clock: FakeClock, board: HealthBoard, *watched: Watched
) -> AsyncIterator[tuple[HealthWatch, list[str]]]:
    told: list[str] = []

    async def tell(text: str, lane: str, level: str) -> None:
        told.append(f"{level} {lane}: {text}")

    watch = HealthWatch(board, watched, clock, tell)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        await clock.settle()
        try:
            yield watch, told
        finally:
            task.cancel()


# --- the board -----------------------------------------------------------------------------------------------


async def test_a_lane_sees_the_hosts_hindrances_and_its_own() -> None:
    board = HealthBoard()
    first, second = LaneHealth(board, "first"), LaneHealth(board, "second")
    waiting = [asyncio.ensure_future(each.hindered()) for each in (first, second)]
    board.put("gpu", LaneDegraded("gone"), lane="first")
    await asyncio.sleep(0.01)
    assert [each.done() for each in waiting] == [True, False]
    assert first.hindrance() is not None
    assert second.hindrance() is None
    board.put("disk", LaneDegraded("full"))
    await waiting[1]
    assert str(second.hindrance()) == "full"
    assert str(first.hindrance()) == "gone"  # what came first
    board.put("disk", None)
    assert second.hindrance() is None


async def test_a_loss_concerns_the_lane_that_has_it() -> None:
    board = HealthBoard()
    first, second = (asyncio.ensure_future(LaneHealth(board, name).lost()) for name in ("first", "second"))
    board.put_lost(LaneDegraded("gone"), lane="first")
    assert str(await first) == "gone"
    await asyncio.sleep(0.01)
    assert not second.done()
    second.cancel()


# --- the watch -----------------------------------------------------------------------------------------------


async def test_a_subject_that_fails_hinders_says_so_once_and_is_well_again() -> None:
    clock, board, probe = FakeClock(), HealthBoard(), Scripted()
    async with watching(clock, board, Watched("disk", probe, Patience())) as (watch, told):
        assert watch.subjects[0].state is OK
        assert told == []
        probe.now = Look(FAILING, "full", "free some")
        await clock.advance(5)
        assert board.hindrance() is None
        await clock.advance(60)
        hindrance = board.hindrance()
        assert hindrance is not None
        assert hindrance.line == "disk: full (free some)"
        (seen,) = watch.subjects
        assert (seen.subject, seen.state, seen.reason, seen.hint, seen.hinders) == (
            "disk",
            FAILING,
            "full",
            "free some",
            True,
        )
        assert 1_700_000_010 <= seen.since <= 1_700_000_015
        assert told == ["error : health: disk is failing: full; no job is taken until that is over"]
        probe.now = WELL
        await clock.advance(30)
        assert board.hindrance() is None
        assert told[1:] == ["info : health: disk is ok"]


@pytest.mark.parametrize("trouble", ["hangs", "bug", "own error"])
async def test_a_look_that_fails_itself_is_unknown_and_ends_no_other(trouble: str) -> None:
    clock, board, sick, well = FakeClock(), HealthBoard(), Scripted(), Scripted()
    limits = Patience(unknown_limit=60.0)
    async with watching(clock, board, Watched("engine", sick, limits), Watched("disk", well, limits)) as (watch, _):
        sick.hangs = trouble == "hangs"
        sick.error = {"bug": ValueError("?"), "own error": JournalError("?")}.get(trouble)
        await clock.advance(55)
        assert board.hindrance() is None
        assert [seen.state for seen in watch.subjects] == [UNKNOWN, OK]
        await clock.advance(40)
        assert str(board.hindrance()).startswith("engine: ")
        assert well.looks > 15
        sick.hangs, sick.error = False, None
        await clock.advance(40)
        assert board.hindrance() is None


async def test_a_journal_that_cannot_keep_the_news_stops_no_look() -> None:
    clock, board, probe = FakeClock(), HealthBoard(), Scripted(Look(FAILING, "full"))

    async def tell(text: str, lane: str, level: str) -> None:
        raise JournalError("the disk is full")

    watch = HealthWatch(board, [Watched("disk", probe, Patience())], clock, tell)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        await clock.advance(120)
        assert board.hindrance() is not None
        assert probe.looks > 20
        task.cancel()


# --- probes --------------------------------------------------------------------------------------------------


async def test_an_engine_that_does_not_answer_is_unknown_and_one_that_refuses_fails() -> None:
    class Engine:
        error: Exception | None = None

        async def ping(self) -> None:
            if self.error is not None:
                raise self.error

    engine = Engine()
    assert await EngineProbe(engine).look() == WELL
    engine.error = EngineUnavailable("away", hint="start it")
    assert await EngineProbe(engine).look() == Look(UNKNOWN, "away", "start it")
    engine.error = EngineRejected("broken", status=500)
    assert (await EngineProbe(engine).look()).state is FAILING


async def test_endpoints_that_answer_anyway_are_not_asked_by_the_probe() -> None:
    class Endpoints:
        answered_at = 0.0
        asked = 0
        error: Exception | None = None

        async def get_slot(self) -> int:
            self.asked += 1
            if self.error is not None:
                raise self.error
            return 1

    rpc, clock = Endpoints(), FakeClock()
    probe = RpcProbe(rpc, clock)
    assert await probe.look() == WELL
    assert rpc.asked == 0
    clock.now += 100
    assert await probe.look() == WELL
    assert rpc.asked == 1
    rpc.error = RpcUnavailable("away")
    assert (await probe.look()).state is UNKNOWN


async def test_a_gpu_that_was_there_is_missed_also_where_all_are_offered(tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    provider = SimulatedProvider(2, lost=lost)
    first, second = [gpu.uuid for gpu in await provider.inventory()]
    everything = GpuProbe(provider.inventory, "all")
    one = GpuProbe(provider.inventory, (first,))
    assert (await everything.look(), await one.look()) == (WELL, WELL)
    lost.write_text("1\n")
    seen = await everything.look()
    assert seen.state is FAILING
    assert second in seen.reason
    assert seen.hint
    assert await one.look() == WELL
    lost.write_text("0 1")
    assert (await one.look()).state is FAILING
    lost.write_text("hang")
    assert (await one.look()).state is UNKNOWN
    lost.unlink()
    assert (await everything.look(), await one.look()) == (WELL, WELL)


async def test_a_driver_that_hangs_says_nothing_of_the_gpus() -> None:
    async def inventory() -> tuple[()]:
        raise GpuError("the driver did not answer", hint="dmesg")

    assert await GpuProbe(inventory, "all").look() == Look(UNKNOWN, "the driver did not answer", "dmesg")


async def test_too_little_disk_and_a_reserve_that_is_not_there(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 64 * 1024)
    assert await DiskProbe(tmp_path, 0, ballast).look() == WELL
    assert ballast.is_whole
    seen = await DiskProbe(tmp_path, 2**62, ballast).look()
    assert seen.state is FAILING
    assert "limits.disk_free" in seen.hint
    seen = await DiskProbe(tmp_path, 0, Ballast(tmp_path / "large", 2**60)).look()
    assert seen.state is FAILING
    assert "health.ballast" in seen.hint
    assert (await DiskProbe(tmp_path / "gone", 0, Ballast(tmp_path / "none", 0)).look()).state is UNKNOWN


async def test_what_was_given_up_is_filled_up_again(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 64 * 1024)
    probe = DiskProbe(tmp_path, 0, ballast)
    await probe.look()
    assert ballast.relieve()
    assert not ballast.is_whole
    assert await probe.look() == WELL
    assert ballast.is_whole


async def test_clocks_that_part_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    error: list[RpcUnavailable] = []

    async def read() -> ChainMoment:
        if error:
            raise error[0]
        return ChainMoment(int(clock.now * 2.5), int(clock.now))

    probe = ClockProbe(ChainClock(read, clock, boot=lambda: None), clock, limit=60.0)
    assert await probe.look() == WELL
    clock.now += 20
    clock.skew = 3600.0
    with caplog.at_level(logging.WARNING):
        seen = await probe.look()
    assert seen.state is FAILING
    assert seen.reason == "this host's clock is 3600 s ahead of the chain's"
    assert "was set 3600 s ahead of where it was" in caplog.text
    clock.skew = -7200.0
    assert "7200 s behind" in (await probe.look()).reason
    error.append(RpcUnavailable("away"))
    assert (await probe.look()).state is UNKNOWN


# --- lanes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_an_engine_out_of_sight_for_a_minute_takes_the_lane_out_of_the_queue(world: World) -> None:
    probe = Scripted()
    async with (
        world.lane() as lane,
        watching(world.clock, world.health, Watched("engine", probe, Patience(unknown_limit=60.0))),
    ):
        await world.phase(lane, LanePhase.QUEUED)
        probe.now = Look(UNKNOWN, "the engine does not answer", "start it")
        await world.clock.advance(55)
        await world.phase(lane, LanePhase.QUEUED)
        await world.clock.advance(20)
        await world.phase(lane, LanePhase.DEGRADED)
        assert lane.status.reason == "engine: the engine does not answer (start it)"
        assert NODE not in world.chain.queue
        probe.now = WELL
        await world.phase(lane, LanePhase.QUEUED, limit=120)
        assert world.chain.sent == ["work", "stop", "work"]


async def test_an_engine_out_of_sight_ends_no_work(world: World) -> None:
    probe = Scripted()
    async with (
        world.lane() as lane,
        watching(world.clock, world.health, Watched("engine", probe, Patience(unknown_limit=60.0))),
    ):
        await world.phase(lane, LanePhase.QUEUED)
        world.chain.assign(1, definition=world.content.offer(b"image"))
        await world.clock.until(lambda: bool(world.engine.running))
        probe.now = Look(UNKNOWN, "the engine does not answer")
        await world.clock.advance(900)
        assert lane.status.phase is LanePhase.WORKING
        world.engine.exit(0)
        await world.phase(lane, LanePhase.DEGRADED, limit=60)
        assert world.chain.sent == ["work", "finish"]


async def test_a_gpu_lost_under_a_job_gives_it_back_and_keeps_the_lane_out_until_it_is_there(
    world: World, tmp_path: Path
) -> None:
    lost = tmp_path / "lost"
    provider = SimulatedProvider(1, lost=lost)
    world.gpus = await provider.inventory()
    watched = Watched(GPU_SUBJECT, GpuProbe(provider.inventory, "all"), Patience(), ends_work=True)
    async with world.lane() as lane, watching(world.clock, world.health, watched):
        await world.phase(lane, LanePhase.QUEUED)
        a = world.chain.assign(1, definition=world.content.offer(b"image"))
        await world.clock.until(lambda: bool(world.engine.running))
        lost.write_text("0")
        await world.clock.advance(5)
        assert world.engine.running, "one look is no verdict"
        await world.clock.until(lambda: not world.engine.running, limit=30)
        await world.phase(lane, LanePhase.DEGRADED, limit=60)
        (run,) = await world.journal.job(a.run.address)
        assert run.settlement is not None
        assert run.settlement.kind is SettleKind.QUIT
        assert "is gone" in run.refusal
        assert world.chain.sent == ["work", "quit"]
        lost.unlink()
        await world.phase(lane, LanePhase.QUEUED, limit=120)


async def test_a_driver_that_hangs_under_a_job_ends_no_work(world: World, tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    provider = SimulatedProvider(1, lost=lost)
    watched = Watched(GPU_SUBJECT, GpuProbe(provider.inventory, "all"), Patience(), ends_work=True)
    async with world.lane() as lane, watching(world.clock, world.health, watched):
        await world.phase(lane, LanePhase.QUEUED)
        world.chain.assign(1, definition=world.content.offer(b"image"))
        await world.clock.until(lambda: bool(world.engine.running))
        lost.write_text("hang")
        await world.clock.advance(600)
        assert world.engine.running
        assert world.health.hindrance() is not None
        world.engine.exit(0)
        await world.phase(lane, LanePhase.DEGRADED, limit=60)
        assert world.chain.sent == ["work", "finish"]


async def test_no_endpoint_for_ten_minutes_ends_no_work_and_loses_no_pay(world: World) -> None:
    away = [RpcUnavailable("no endpoint answers")] * 100_000
    calls = ("standing", "watch", "watch_job", "timeout_of", "head", "settle", "clock", "assignment", "is_gone")
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        a = world.chain.assign(1, timeout=3600, definition=world.content.offer(b"image"))
        await world.clock.until(lambda: bool(world.engine.running))
        for name in calls:
            world.market.failures[name] = list(away)
        world.chain.change()
        await world.clock.advance(300)
        assert world.engine.running
        world.engine.exit(0)
        await world.clock.advance(300)
        assert world.chain.sent == ["work"]
        for name in calls:
            world.market.failures[name].clear()
        await world.phase(lane, LanePhase.QUEUED, limit=60)
        await world.clock.until(lambda: "finish" in world.chain.sent, limit=60)
        (run,) = await world.journal.job(a.run.address)
        assert run.settlement is not None
        assert run.settlement.pay
    assert sorted(world.chain.sent) == ["finish", "work", "work"]
