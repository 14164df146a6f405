"""A job's stages: each way a job can go, and going on after a death at any point."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node.agent.monitor import LAST_LOOK
from node.agent.stages.fetch import DEFINITION_LIMIT
from node.agent.stages.settle import SETTLE_RETRY
from node.agent.waiting import patiently
from node.errors import (
    ContentMismatch,
    ContentTooLarge,
    ContentUnavailable,
    DefinitionInvalid,
    GpuError,
    GpunodeError,
    JobError,
    JobRefused,
    LaneDegraded,
    RpcUnavailable,
    StoreRejected,
    Violation,
)
from node.records import (
    Assignment,
    Cid,
    EndCause,
    JobSummary,
    Outcome,
    Plan,
    Refusal,
    SettleKind,
    Settlement,
    Stage,
)
from tests.agent.clock import FakeClock
from tests.agent.doubles import GPU
from tests.agent.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@asynccontextmanager
async def working(world: World, a: Assignment) -> AsyncIterator[asyncio.Task[Settlement]]:
    """A pipeline at work on a job; leaving kills it where it is."""
    async with world.open_journal():
        task = asyncio.create_task(world.pipeline(a).complete())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait({task})


async def done(world: World, a: Assignment, limit: float = 0.0) -> tuple[Settlement, JobSummary]:
    """Work on a job to its end, moving time by at most `limit` seconds."""
    async with working(world, a) as task:
        await world.clock.until(task.done, limit=limit)
        (summary,) = await world.journal.job(a.run.address)
        return task.result(), summary


def job(world: World, timeout: int = 3600) -> Assignment:
    """A job with a definition that can be had."""
    return world.chain.assign(1, timeout=timeout, definition=world.content.offer(b"image"))


async def running(world: World) -> None:
    await world.clock.until(lambda: bool(world.engine.running))


# --- the ways a job can go ----------------------------------------------------------------------------------


async def test_the_work_is_done(world: World) -> None:
    a = job(world)
    async with working(world, a) as task:
        await running(world)
        await world.clock.advance(100)
        world.engine.exit(0)
        await world.clock.until(task.done)
        outcome = await world.journal.stage_record(a.run.address, Stage.RUN)
        assert isinstance(outcome, Outcome)
        assert outcome.cause is EndCause.COMPLETED
        assert outcome.ended_ms - outcome.started_ms == 100_000
        assert (outcome.end_slot, outcome.end_blockhash) == (77, "headhash")
        assert outcome.energy is not None
        plan = await world.journal.stage_record(a.run.address, Stage.ADMIT)
        assert isinstance(plan, Plan)
        assert plan.gpus == (GPU,)
    assert world.stages == [Stage.FETCH, Stage.ADMIT, Stage.RUN, Stage.REPORT, Stage.SETTLE]
    assert task.result().kind is SettleKind.FINISH
    assert world.content.published == [f"{a.job.address}.json", f"{a.job.address}.receipt.json"]


async def test_a_failing_command_is_a_result_too(world: World) -> None:
    a = job(world)
    async with working(world, a) as task:
        await running(world)
        world.engine.exit(3)
        await world.clock.until(task.done)
        (state,) = await world.journal.operations(a.run.address)
        assert state.exit_code == 3
    assert world.chain.sent == ["finish"]


async def test_the_deadline_stops_the_work(world: World) -> None:
    a = job(world, timeout=600)
    async with working(world, a) as task:
        await running(world)
        await world.clock.advance(599)
        assert world.engine.running
        await world.clock.advance(1)
        await world.clock.until(task.done)
        assert world.engine.stops == [EndCause.EXPIRED]
        (summary,) = await world.journal.jobs()
        assert summary.cause is EndCause.EXPIRED
    assert world.chain.sent == ["finish"]


async def test_a_deadline_years_away_does_not_overflow(world: World) -> None:
    a = job(world, timeout=2**62)
    async with working(world, a) as task:
        await running(world)
        await world.clock.advance(30 * 3600)
        assert world.engine.running
        world.engine.exit(0)
        await world.clock.until(task.done)
        assert task.result().kind is SettleKind.FINISH


async def test_an_extension_moves_the_deadline(world: World) -> None:
    a = job(world, timeout=600)
    async with working(world, a) as task:
        await running(world)
        await world.clock.advance(500)
        world.chain.extend(a, 1200)
        await world.clock.advance(600)
        assert world.engine.running
        (summary,) = await world.journal.jobs()
        assert summary.timeout == 1200
        await world.clock.advance(100)
        await world.clock.until(task.done)
        assert world.engine.stops == [EndCause.EXPIRED]


async def test_an_extension_is_kept_over_a_restart(world: World) -> None:
    a = job(world, timeout=600)
    async with working(world, a):
        await running(world)
        world.chain.extend(a, 1200)
        await world.clock.settle()
    world.market.failures["watch_job"] = [RpcUnavailable("away")] * 1000
    async with working(world, a):
        await world.clock.advance(1100)
        assert world.engine.running
        await world.clock.advance(100)
        assert world.engine.stops == [EndCause.EXPIRED]


async def test_an_extension_while_the_agent_was_down_is_not_cut_short(world: World) -> None:
    """The old deadline has passed at the start; what still runs is within its paid time."""
    a = job(world, timeout=600)
    async with working(world, a):
        await running(world)
    world.chain.extend(a, 1200)
    world.clock.now += 700
    world.market.failures["watch_job"] = [RpcUnavailable("away")] * 1000
    async with working(world, a) as task:
        await world.clock.advance(400)
        assert world.engine.running
        assert (await world.journal.jobs())[0].timeout == 1200
        await world.clock.advance(100)
        await world.clock.until(task.done)
        assert world.engine.stops == [EndCause.EXPIRED]


async def test_a_job_extended_while_the_agent_was_down_is_begun(world: World) -> None:
    a = job(world, timeout=60)
    async with working(world, a):
        pass
    world.chain.extend(a, 3600)
    world.clock.now += 61
    async with working(world, a) as task:
        await running(world)
        world.engine.exit(0)
        await world.clock.until(task.done)
    assert world.chain.sent == ["finish"]


async def test_at_the_deadline_the_chain_is_asked_for_a_last_extension(world: World) -> None:
    """It came seconds before the end, and no push has told of it; an endpoint is away for a moment, too."""
    a = job(world, timeout=600)
    world.market.failures["watch_job"] = [RpcUnavailable("away")] * 1000
    async with working(world, a) as task:
        await running(world)
        await world.clock.advance(599)
        world.chain.extend(a, 900)
        world.market.failures["timeout_of"] = [RpcUnavailable("away")] * 3
        await world.clock.advance(200)
        assert world.engine.running
        await world.clock.advance(101)
        await world.clock.until(task.done)


async def test_a_deadline_holds_where_no_endpoint_answers(world: World) -> None:
    a = job(world, timeout=600)
    for name in ("watch_job", "timeout_of"):
        world.market.failures[name] = [RpcUnavailable("away")] * 1000
    async with working(world, a):
        await running(world)
        await world.clock.advance(600 + LAST_LOOK)
        assert world.engine.stops == [EndCause.EXPIRED]


async def test_work_that_was_done_when_the_operator_quits_is_settled(world: World) -> None:
    a = job(world)
    world.engine.drain = 20.0
    async with world.open_journal():
        pipeline = world.pipeline(a)
        task = asyncio.create_task(pipeline.complete())
        await running(world)
        await world.clock.advance(50)
        world.engine.exit(0)
        await world.clock.advance(5)
        pipeline.quit("maintenance")
        await world.clock.until(task.done, limit=60)
        assert (await world.journal.jobs())[0].cause is EndCause.COMPLETED
    assert world.chain.sent == ["finish"]


async def test_a_job_that_its_poster_ended_is_completed_though_the_operator_quits(world: World) -> None:
    a = job(world)
    world.engine.drain = 20.0
    async with world.open_journal():
        pipeline = world.pipeline(a)
        task = asyncio.create_task(pipeline.complete())
        await running(world)
        await world.clock.advance(50)
        world.chain.end(a)
        await world.clock.advance(5)
        pipeline.quit("maintenance")
        await world.clock.until(task.done, limit=60)
    assert world.chain.sent == ["complete"]


async def test_an_end_by_the_poster_stops_the_work_and_is_completed(world: World) -> None:
    a = job(world)
    async with working(world, a) as task:
        await running(world)
        world.chain.end(a)
        await world.clock.until(task.done)
        (summary,) = await world.journal.jobs()
        assert summary.cause is EndCause.STOPPED
        assert summary.result_cid == world.chain.jobs[a.job.address].result_cid
    assert world.engine.stops == [EndCause.STOPPED]
    assert world.chain.sent == ["complete"]


async def test_an_end_while_the_definition_is_awaited_is_completed(world: World) -> None:
    a = world.chain.assign(1, definition=Cid("QmNLei78zWmzUdbeRB3CiUfAizWUrbeeZh5K1rhAQKCh51"))
    async with working(world, a) as task:
        await world.clock.advance(10)
        world.chain.end(a)
        await world.clock.until(task.done, limit=30)
        assert task.result().kind is SettleKind.COMPLETE
    assert world.engine.starts == 0


async def test_a_run_taken_away_is_lost_and_said_so(world: World) -> None:
    a = job(world)
    async with working(world, a) as task:
        await running(world)
        world.chain.take_away(a)
        await world.clock.until(task.done)
        assert task.result().kind is SettleKind.LOST
        (summary,) = await world.journal.jobs()
        assert summary.settlement is not None
        assert "administrator" in summary.settlement.reason
    assert world.engine.stops == [EndCause.HOST]
    assert world.chain.sent == []


async def test_the_operator_quits(world: World) -> None:
    a = job(world)
    async with world.open_journal():
        pipeline = world.pipeline(a)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(pipeline.complete())
            await running(world)
            pipeline.quit("maintenance")
            await world.clock.until(task.done)
        (summary,) = await world.journal.jobs()
        assert summary.refusal == "maintenance"
    assert world.chain.sent == ["quit"]


# --- definitions that cannot be had or are wrong ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ContentUnavailable("no gateway answers"), "cannot be had: no gateway answers"),
        (ContentMismatch("other bytes"), "do not match its CID: other bytes"),
        (ContentTooLarge("too large"), f"more than {DEFINITION_LIMIT:,} bytes"),
    ],
)
async def test_bytes_that_cannot_be_had_are_quit_and_never_billed(world: World, error: GpunodeError, said: str) -> None:
    a = job(world)
    world.content.fetch_errors = [error] * 10_000
    settlement, summary = await done(world, a, limit=400)
    assert settlement.kind is SettleKind.QUIT
    assert said in summary.refusal
    assert world.chain.sent == ["quit"]


async def test_sources_that_have_a_bad_minute_are_asked_again(world: World) -> None:
    a = job(world)
    world.content.fetch_errors = [ContentUnavailable("bad minute"), ContentMismatch("wrong bytes")]
    async with working(world, a):
        await world.clock.until(lambda: bool(world.engine.running), limit=60)


async def test_a_definition_that_comes_too_late_is_quit(world: World) -> None:
    a = world.chain.assign(1, timeout=20, definition=Cid("QmNLei78zWmzUdbeRB3CiUfAizWUrbeeZh5K1rhAQKCh51"))
    settlement, summary = await done(world, a, limit=30)
    assert settlement.kind is SettleKind.QUIT
    assert "time was over" in summary.refusal


async def test_an_invalid_definition_is_settled_as_such(world: World) -> None:
    a = job(world)
    world.desk.refuse = DefinitionInvalid("wrong", violations=[Violation("$input.ops", "Array", 5)])
    settlement, summary = await done(world, a)
    assert settlement.kind is SettleKind.FINISH
    assert summary.cause is EndCause.INVALID
    assert summary.result_cid is not None
    violations = json.loads(world.content.files[summary.result_cid])["violations"]
    assert violations == [{"path": "$input.ops", "expected": "Array", "value": 5}]
    assert world.engine.starts == 0


async def test_bytes_that_are_no_document_are_quit_and_never_billed(world: World) -> None:
    a = job(world)
    world.desk.refuse = JobError("the definition is not JSON")
    settlement, summary = await done(world, a)
    assert (settlement.kind, summary.refusal) == (SettleKind.QUIT, "the definition is not JSON")
    assert world.chain.sent == ["quit"]


async def test_a_refusal_by_policy_is_quit_with_its_reason(world: World) -> None:
    a = job(world)
    world.desk.refuse = JobRefused("the image is denied")
    settlement, summary = await done(world, a)
    assert (settlement.kind, summary.refusal) == (SettleKind.QUIT, "the image is denied")


async def test_a_full_disk_is_quit(world: World) -> None:
    a = job(world)
    world.disk_free = 2**62
    settlement, summary = await done(world, a)
    assert settlement.kind is SettleKind.QUIT
    assert "GiB free" in summary.refusal


async def test_a_job_that_gets_no_space_is_quit(world: World) -> None:
    a = job(world)
    world.no_space = "3 GiB too few"
    settlement, summary = await done(world, a)
    assert (settlement.kind, summary.refusal) == (SettleKind.QUIT, "3 GiB too few")
    assert list(world.reserved) == [a.run.address]


async def test_a_lost_gpu_is_quit(world: World) -> None:
    a = job(world)
    world.gpu_error = GpuError("fell off the bus")
    settlement, summary = await done(world, a)
    assert settlement.kind is SettleKind.QUIT
    assert "fell off the bus" in summary.refusal


async def test_a_job_whose_time_is_over_before_it_starts_is_quit(world: World) -> None:
    a = job(world, timeout=60)
    async with working(world, a):
        pass
    world.clock.now += 61
    settlement, summary = await done(world, a)
    assert settlement.kind is SettleKind.QUIT
    assert "time was over" in summary.refusal
    assert world.engine.starts == 0


# --- trouble on the way to the chain -----------------------------------------------------------------------------


async def test_trouble_on_the_way_is_waited_out(world: World) -> None:
    a = job(world)
    world.market.failures = {
        "head": [RpcUnavailable("away")] * 5,
        "settle": [RpcUnavailable("away"), LaneDegraded("no account order fits"), RpcUnavailable("away")],
    }
    world.content.publish_errors = [StoreRejected("full"), ContentUnavailable("away")]
    async with working(world, a) as task:
        await running(world)
        world.engine.exit(0)
        await world.clock.until(task.done, limit=600)
        assert task.result().kind is SettleKind.FINISH
    assert world.chain.sent == ["finish"]
    assert [stage for stage, _ in world.troubles] == [Stage.REPORT] * 7 + [Stage.SETTLE] * 3


async def test_settling_is_never_given_up() -> None:
    class Instant(FakeClock):
        async def sleep(self, seconds: float) -> None:
            self.now += seconds

    failures = [RpcUnavailable("away")] * 3000

    async def settle() -> str:
        if failures:
            raise failures.pop()
        return "landed"

    clock = Instant()
    started = clock.now
    answer = await patiently(
        settle, on=(RpcUnavailable,), waits=SETTLE_RETRY, clock=clock, on_trouble=lambda error: None
    )
    assert answer == "landed"
    assert 3000 * 30 < clock.now - started <= 3000 * 60


async def test_a_watch_that_fails_does_not_stop_the_work(world: World) -> None:
    a = job(world)
    world.market.failures["watch_job"] = [RpcUnavailable("away")] * 3
    async with working(world, a) as task:
        await running(world)
        await world.clock.advance(60)
        world.chain.end(a)
        await world.clock.until(task.done, limit=60)
        assert task.result().kind is SettleKind.COMPLETE


# --- deaths ------------------------------------------------------------------------------------------------------


class Death(BaseException):
    """kill -9, as far as the journal can tell: nothing after this line happens."""


def die_at(world: World, name: str, when: Callable[..., bool]) -> list[str]:
    """Make the journal die right after a write of that kind for which `when` holds; the list fills once."""
    original = getattr(world.journal, name)
    fired: list[str] = []

    async def dying(*args: object, **keywords: object) -> object:
        value = await original(*args, **keywords)
        if not fired and when(*args):
            fired.append(name)
            raise Death
        return value

    setattr(world.journal, name, dying)
    return fired


async def life(world: World, a: Assignment, name: str, when: Callable[..., bool]) -> bool:
    """A life of the agent that ends at a write, or with the job settled; whether it died."""
    async with world.open_journal():
        fired = die_at(world, name, when)
        try:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(world.pipeline(a).complete())
                ended = 0
                while not task.done() and ended < 60:
                    await world.clock.advance(1)
                    ended += 1
                    if world.engine.running and ended > 2:
                        world.engine.exit(0)
        except* Death:
            pass
        return bool(fired)


POINTS = {
    "begun": ("begin_job", lambda *_: True),
    "fetched": ("finish_stage", lambda _run, stage, *_: stage is Stage.FETCH),
    "admitted": ("finish_stage", lambda _run, stage, *_: stage is Stage.ADMIT),
    "container starting": ("save_operation", lambda _run, state: state.starts == 1),
    "container ended": ("save_operation", lambda _run, state: state.ended_ms is not None),
    "outcome": ("finish_stage", lambda _run, stage, *_: stage is Stage.RUN),
    "receipt linked": ("link_receipt", lambda *_: True),
    "reported": ("finish_stage", lambda _run, stage, *_: stage is Stage.REPORT),
    "settled": ("settle", lambda *_: True),
}


@pytest.mark.parametrize("point", POINTS)
async def test_a_death_after_any_write_loses_nothing(world: World, point: str) -> None:
    a = job(world)
    name, when = POINTS[point]
    assert await life(world, a, name, when), "the point was not reached"
    world.clock.journal = None
    for _ in range(3):
        await life(world, a, "begin_job", lambda *_: False)
    assert world.chain.sent == ["finish"], "settled other than exactly once"
    assert world.engine.starts == 1
    async with world.open_journal() as journal:
        (summary,) = await journal.jobs()
        assert summary.stage is Stage.DONE
        assert summary.settlement is not None
        assert summary.settlement.kind is SettleKind.FINISH
        assert world.chain.jobs[a.job.address].result_cid == summary.result_cid
        assert [link.seq for link in await journal.receipts("main")] == [1]


async def test_a_death_between_landing_and_writing_is_found_on_chain(world: World) -> None:
    a = job(world)
    async with working(world, a):
        await running(world)
        world.engine.exit(0)
        world.market.failures["settled"] = [Death()]  # type: ignore[list-item]
        await world.clock.settle()
    assert world.chain.sent == ["finish"]
    settlement, summary = await done(world, a)
    assert settlement.kind is SettleKind.ALREADY
    assert world.chain.sent == ["finish"]
    assert summary.result_cid == world.chain.jobs[a.job.address].result_cid


@pytest.mark.parametrize(("samples_kept", "joules"), [(True, 1.0), (False, None)])
async def test_a_restart_adopts_what_runs_and_states_no_less_energy_than_was_used(
    world: World, samples_kept: bool, joules: float | None
) -> None:
    a = job(world)
    async with working(world, a):
        await running(world)
    assert world.engine.running, "detaching must not stop a container"
    await world.clock.advance(60)
    if not samples_kept:
        (world.folder / "samples" / f"{a.run.address}.jsonl").unlink()
    async with working(world, a) as task:
        await world.clock.settle()
        assert world.operations.adopted == 1
        world.engine.exit(0)
        await world.clock.until(task.done)
        outcome = await world.journal.stage_record(a.run.address, Stage.RUN)
        assert isinstance(outcome, Outcome)
        assert outcome.energy is not None
        assert outcome.energy.joules == joules
    assert world.engine.starts == 1


async def test_a_deadline_that_passed_while_the_agent_was_down_stops_what_runs(world: World) -> None:
    a = job(world, timeout=600)
    async with working(world, a):
        await running(world)
    world.clock.now += 10_000
    settlement, summary = await done(world, a)
    assert settlement.kind is SettleKind.FINISH
    assert summary.cause is EndCause.EXPIRED
    assert world.engine.stops == [EndCause.EXPIRED]


async def test_a_refusal_is_taken_up_after_a_restart(world: World) -> None:
    a = job(world)
    world.desk.refuse = JobRefused("denied")
    world.market.failures["quit"] = [RpcUnavailable("away")] * 100
    async with working(world, a):
        await world.clock.until(lambda: bool(world.troubles))
        assert isinstance(await world.journal.stage_record(a.run.address, Stage.ADMIT), Refusal)
    world.market.failures.clear()
    world.desk.refuse = None
    settlement, _ = await done(world, a)
    assert settlement.kind is SettleKind.QUIT
    assert world.engine.starts == 0


async def test_the_receipt_names_the_one_before(world: World) -> None:
    first = job(world)
    async with working(world, first) as task:
        await running(world)
        world.engine.exit(0)
        await world.clock.until(task.done)
    world.engine.exits.clear()
    second = world.chain.assign(2, definition=first.job.definition_cid)
    async with working(world, second) as task:
        await running(world)
        world.engine.exit(0)
        await world.clock.until(task.done)
        one, two = await world.journal.receipts("main")
        assert one.settle_signature is not None
        receipt = json.loads(world.content.files[two.receipt_cid])
        assert receipt["previous"] == [one.receipt_cid, one.settle_signature]
        assert receipt["end"] == [77, "headhash"]


async def test_papers_are_made_once(world: World) -> None:
    """A restart between making and uploading uploads the same bytes, even if they would now come out otherwise."""
    a = job(world)
    world.content.publish_errors = [ContentUnavailable("away")] * 1000
    async with working(world, a):
        await running(world)
        world.engine.exit(0)
        await world.clock.settle()
        link = await world.journal.receipt(a.run.address)
        assert link is not None
    world.content.publish_errors.clear()
    world.desk.receipt = lambda facts: b"another"  # type: ignore[method-assign]
    _, summary = await done(world, a)
    assert (summary.result_cid, summary.receipt_cid) == (link.result_cid, link.receipt_cid)
    assert link.receipt_cid in world.content.files
