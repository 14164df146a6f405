"""The lane's states, in a world of doubles with a real journal and a clock that tests move."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import FilterError, FundsMissing, GpuError, JournalError, LaneDegraded, RpcUnavailable
from node.journal.database import Database
from node.records import LanePhase, SettleKind, Signature, Stage
from tests.agent.doubles import NODE
from tests.agent.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_job_is_worked_on_and_the_lane_joins_again(world: World) -> None:
    definition = world.content.offer(b"image")
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        assert lane.status.position == 1
        a = world.chain.assign(1, definition=definition)
        await world.clock.until(lambda: bool(world.engine.running))
        assert lane.status.phase is LanePhase.WORKING
        assert (lane.status.job, lane.status.stage) == (a.job.address, Stage.RUN)
        world.engine.exit(0)
        await world.clock.until(lambda: lane.status.phase is LanePhase.QUEUED)
        assert world.chain.sent == ["work", "finish", "work"]
        (summary,) = await world.journal.jobs()
        assert summary.settlement is not None
        assert (summary.settlement.kind, summary.settlement.pay) == (SettleKind.FINISH, 120)
        assert [t.stage for t in summary.stages] == list(Stage)
        (memo,) = world.market.memos
        assert memo == f"gpunode/1 r={summary.receipt_cid}"
        texts = [event.text for event in await world.journal.events()]
        assert any("settled (finish, paid 0.000120 NOS)" in text for text in texts)
    assert len(world.market.registered) == 1


async def test_a_run_given_up_as_lost_that_a_fork_brings_back_is_settled(world: World) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        a = world.chain.assign(1, definition=world.content.offer(b"image"))
        await world.clock.until(lambda: bool(world.engine.running))
        world.chain.take_away(a)
        world.engine.exit(0)
        await world.phase(lane, LanePhase.QUEUED, limit=60)
        (lost,) = await world.journal.jobs()
        assert lost.settlement is not None
        assert lost.settlement.kind is SettleKind.LOST
        # The very transaction that a fork had dropped has landed again, and the queue place is gone with it.
        world.chain.queue.clear()
        world.chain.runs[a.run.address] = a
        world.chain.change()
        await world.clock.until(lambda: "finish" in world.chain.sent, limit=120)
        await world.phase(lane, LanePhase.QUEUED, limit=60)
        (found,) = await world.journal.jobs()
        assert found.settlement is not None
        assert (found.settlement.kind, found.result_cid) == (SettleKind.FINISH, lost.result_cid)
        assert world.engine.starts == 1


async def test_a_waiting_job_is_taken_by_joining(world: World) -> None:
    a = world.chain.assign(1, definition=world.content.offer(b"image"))
    world.chain.runs.clear()
    world.chain.waiting.append(a)
    async with world.lane():
        await world.clock.until(lambda: bool(world.engine.running))
        world.engine.exit(0)
        await world.clock.until(lambda: world.chain.sent == ["work", "finish", "work"])


async def test_missing_funds_degrade_the_lane_until_they_are_there(world: World) -> None:
    error = FundsMissing("wallet lacks 0.5 SOL", hint="send it SOL")
    world.market.failures["prepare"] = [error, error]
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.DEGRADED)
        assert lane.status.reason == "wallet lacks 0.5 SOL (send it SOL)"
        await world.phase(lane, LanePhase.QUEUED, limit=100)
        events = [event for event in await world.journal.events() if event.level == "error"]
        assert len(events) >= 1


async def test_no_queue_without_the_packet_filter(world: World) -> None:
    """Looked at before each join: what was there at the start may be gone after a job."""
    world.fence_error = FilterError("the packet filter is gone", hint="gpunode firewall install")
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.DEGRADED)
        assert lane.status.reason == "the packet filter is gone (gpunode firewall install)"
        assert NODE not in world.chain.queue
        world.fence_error = None
        await world.phase(lane, LanePhase.QUEUED, limit=100)


async def test_resume_looks_again_at_once(world: World) -> None:
    world.gpu_error = GpuError("the GPU has fallen off the bus", hint="reboot")
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.DEGRADED)
        world.gpu_error = None
        await lane.resume()
        await world.phase(lane, LanePhase.QUEUED)


async def test_an_outage_is_not_a_failure(world: World) -> None:
    world.market.failures["standing"] = [RpcUnavailable("no endpoint answers")] * 3
    async with world.lane() as lane:
        await world.clock.until(lambda: "no endpoint" in lane.status.reason)
        assert lane.status.phase is LanePhase.CHECKING
        await world.phase(lane, LanePhase.QUEUED, limit=20)


async def test_drain_finishes_the_job_and_stays_out(world: World) -> None:
    definition = world.content.offer(b"image")
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        world.chain.assign(1, definition=definition)
        await world.clock.until(lambda: bool(world.engine.running))
        await lane.drain()
        assert lane.status.phase is LanePhase.DRAINING
        assert lane.status.job is not None
        world.engine.exit(0)
        await world.clock.until(lambda: "drained" in lane.status.reason)
        assert world.chain.sent == ["work", "finish"]
    async with world.lane() as lane:
        await world.clock.until(lambda: "drained" in lane.status.reason)
        await lane.resume()
        await world.phase(lane, LanePhase.QUEUED)


async def test_drain_leaves_the_queue(world: World) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        await lane.drain()
        await world.clock.until(lambda: "drained" in lane.status.reason)
        assert world.chain.queue == []
        assert world.chain.sent == ["work", "stop"]


async def test_a_job_that_comes_while_leaving_is_ours(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job may be what took a node out of the queue: `stop` then has nothing left to do, and says it is done."""
    definition = world.content.offer(b"image")
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        leave = lane._market.leave

        async def overtaken() -> Signature | None:
            left = await leave()
            if left is not None:
                world.chain.assign(1, definition=definition)
            return left

        monkeypatch.setattr(lane._market, "leave", overtaken)
        await lane.drain()
        await world.clock.until(lambda: bool(world.engine.running))
        world.engine.exit(0)
        await world.clock.until(lambda: "drained" in lane.status.reason)
        assert world.chain.sent == ["work", "stop", "finish"]


async def test_pause_ends_by_itself_also_after_a_restart(world: World) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        await lane.pause(7200)
        await world.phase(lane, LanePhase.PAUSED)
        assert world.chain.queue == []
        await world.clock.advance(3500)
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.PAUSED)
        await world.clock.advance(3600)
        assert lane.status.phase is LanePhase.PAUSED
        await world.phase(lane, LanePhase.QUEUED, limit=200)


async def test_a_pause_without_end_waits_for_resume(world: World) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        await lane.pause(None)
        await world.phase(lane, LanePhase.PAUSED)
        await world.clock.advance(10**7)
        assert lane.status.phase is LanePhase.PAUSED
        await lane.resume()
        await world.phase(lane, LanePhase.QUEUED)


async def test_a_detached_agent_keeps_its_place(world: World) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
    assert world.chain.queue == [NODE]
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        assert world.chain.sent == ["work"]


async def test_a_job_given_while_the_agent_was_down_is_ours(world: World) -> None:
    definition = world.content.offer(b"image")
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
    world.chain.assign(1, definition=definition)
    async with world.lane():
        await world.clock.until(lambda: bool(world.engine.running))


async def test_a_place_that_we_did_not_ask_for_degrades_until_adopted(world: World) -> None:
    world.chain.queue.append(NODE)
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.DEGRADED)
        assert "resume --adopt" in lane.status.reason
        await lane.resume()
        await world.clock.settle()
        assert lane.status.phase is LanePhase.DEGRADED
        await lane.adopt()
        await world.phase(lane, LanePhase.QUEUED)
        assert world.chain.sent == []


async def test_a_run_that_we_did_not_ask_for_degrades_until_adopted(world: World) -> None:
    world.chain.assign(1, definition=world.content.offer(b"image"))
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.DEGRADED)
        assert not world.engine.running
        await lane.adopt()
        await world.clock.until(lambda: bool(world.engine.running))


async def test_quit_gives_the_job_back_and_ends_the_lane(world: World) -> None:
    definition = world.content.offer(b"image")
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        world.chain.assign(1, definition=definition)
        await world.clock.until(lambda: bool(world.engine.running))
        lane.quit()
        await world.phase(lane, LanePhase.STOPPED)
        assert world.chain.sent == ["work", "quit"]
        assert not world.engine.running
        (summary,) = await world.journal.jobs()
        assert "gave its jobs back" in summary.refusal


async def test_quit_leaves_the_queue(world: World) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        lane.quit()
        await world.phase(lane, LanePhase.STOPPED)
        assert world.chain.sent == ["work", "stop"]


async def test_after_a_refusal_the_host_is_checked_before_it_joins(world: World) -> None:
    definition = world.content.offer(b"image")
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        world.gpu_error = GpuError("the GPU has fallen off the bus")
        world.chain.assign(1, definition=definition)
        await world.phase(lane, LanePhase.DEGRADED)
        assert world.chain.sent == ["work", "quit"]
        world.gpu_error = None
        await world.phase(lane, LanePhase.QUEUED, limit=60)


async def test_a_settled_run_that_a_lagging_endpoint_still_shows_is_passed_over(world: World) -> None:
    definition = world.content.offer(b"image")
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        a = world.chain.assign(1, definition=definition)
        await world.clock.until(lambda: bool(world.engine.running))
        world.chain.stale = a
        world.engine.exit(0)
        await world.clock.until(lambda: world.chain.sent == ["work", "finish", "work"])
        assert lane.status.phase is not LanePhase.DEGRADED
        world.chain.stale = None
        world.chain.change()
        await world.phase(lane, LanePhase.QUEUED)
        texts = [event.text for event in await world.journal.events() if "settled" in event.text]
        assert len(texts) == 1


async def test_a_finish_that_no_account_order_fits_degrades_and_is_tried_on(world: World) -> None:
    definition = world.content.offer(b"image")
    trouble = LaneDegraded("no account order of finish is accepted", hint="upgrade gpunode")
    world.market.failures["settle"] = [trouble] * 4
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        world.chain.assign(1, definition=definition)
        await world.clock.until(lambda: bool(world.engine.running))
        world.engine.exit(0)
        await world.phase(lane, LanePhase.DEGRADED)
        assert "no account order" in lane.status.reason
        assert "upgrade gpunode" in lane.status.reason
        assert lane.status.stage is Stage.SETTLE
        assert world.chain.sent == ["work"]
        await world.phase(lane, LanePhase.QUEUED, limit=200)
        assert world.chain.sent == ["work", "finish", "work"]


async def test_a_bug_in_one_turn_does_not_end_the_lane(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.market.failures["standing"] = [ValueError("surprise")]  # type: ignore[list-item]
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.DEGRADED)
        assert "internal error" in lane.status.reason
        assert "surprise" in caplog.text
        await world.phase(lane, LanePhase.QUEUED, limit=60)


async def test_a_journal_that_cannot_be_written_for_a_while_ends_no_lane(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(self: Database, mark: object, work: object) -> None:
        raise JournalError("the disk is full")

    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        with monkeypatch.context() as patch:
            patch.setattr(Database, "write", full)
            world.chain.assign(1, definition=world.content.offer(b"image"))
            await world.phase(lane, LanePhase.DEGRADED)
            assert "the disk is full" in lane.status.reason
            await world.clock.advance(120)
            assert lane.status.phase is LanePhase.DEGRADED
        await world.clock.until(lambda: bool(world.engine.running), limit=60)
        world.engine.exit(0)
        await world.clock.until(lambda: world.chain.sent == ["work", "finish", "work"], limit=60)
    assert "the journal cannot keep that" in caplog.text
