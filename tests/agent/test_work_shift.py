"""When a lane makes work proofs, and what ends them: with a prover and a clock of the test's own."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from node.agent.port import RunningAgent
from node.agent.work_room import CPU_WATTS, Bidder, WorkRoom, WorkTerms
from node.agent.work_shift import Shift, WorkShift
from node.errors import ChainError, ControlError, GpuError, GpunodeError, LaneDegraded
from node.gpu.state import GpuProcess
from node.gpu.work.challenge import WorkChallenge
from node.gpu.work.process import WorkDone, WorkOpened
from node.gpu.work.session import Anchored, Block, WorkChain, WorkMade, WorkOrder
from node.journal.journal import Journal
from node.journal.work import NO_MORE
from node.market.work_anchor import work_key
from node.records import Address, Cid, LanePhase, LaneStatus, OutboxRow, OutboxState, Signature
from node.records_proofs import PastWork, WorkOutlook
from tests.agent.doubles import GPU, MARKET, NODE
from tests.agent.test_hygiene import CLEAN, MIB
from tests.agent.world import World
from tests.api.double import LADDER

HOUR = 3600.0
SECONDS = 15.0
PORT = RunningAgent(
    version="1",
    cluster="localnet",
    started_at=1.0,
    gpu_provider="simulated",
    lanes={},
    journal=None,  # type: ignore[arg-type]
    inventory=None,  # type: ignore[arg-type]
    data=Path("/nowhere"),
    log_name=lambda operation: str(operation),
    stopping=lambda _quit: None,
)
STATUS = LaneStatus("one", NODE, MARKET, LanePhase.QUEUED, "", 0.0, gpus=(GPU,))
TERMS = WorkTerms("cuda", "there is an NVIDIA GPU", 6 * HOUR, SECONDS, 40_000.0)


class Prover:
    """Takes its time by the world's clock, and tells what became of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.orders: list[WorkOrder] = []
        self.story = world.story
        self.errors: list[GpunodeError] = []
        self.stuck_after_root = False

    async def make(
        self, order: WorkOrder, chain: WorkChain, path: Path, *, on_root: Callable[[str], Awaitable[None]]
    ) -> WorkMade:
        self.orders.append(order)
        self.story.append("begins")
        number = len(self.orders)
        root = f"{number:064x}"
        try:
            await self.world.clock.sleep(order.seconds)
            if self.errors:
                raise self.errors.pop(0)
            await on_root(root)
            row = OutboxRow(
                work_key(root), "main", "memo", OutboxState.SENDING, b"wire", Signature(f"s{number}"), 9, 1, 0.0
            )
            await self.world.journal.outbox.put(row)
            if self.stuck_after_root:
                await asyncio.Event().wait()
            await self.world.clock.sleep(13.0)  # until it is final
        except BaseException:
            await asyncio.sleep(0.01)  # as long as a kill takes
            self.story.append("gone")
            raise
        body = f"proof {number}".encode()
        await asyncio.to_thread(path.write_bytes, body)
        self.story.append("done")
        return WorkMade(
            WorkChallenge(NODE, 7, order.node, order.gpu or "cpu"),
            Block(7, NODE, 1000),
            WorkDone(root, 256, 10, order.engine, "a device", 15_000, None),
            Anchored(60, f"s{number}", 1020),
            Block(61, NODE, 1020),
            WorkOpened(path, hashlib.sha256(body).hexdigest(), len(body)),
        )


class Works(World):
    """A world whose lane makes proofs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.story: list[str] = []
        self.terms = TERMS
        self.prover = Prover(self)
        self.gpu_state = CLEAN
        self.open_shift = self._open
        self.room: WorkRoom
        self.work: WorkShift

    async def _states(self, uuids: tuple[str, ...]) -> tuple[object, ...]:  # type: ignore[override]
        self.story.append("look")
        return await super()._states(uuids)

    async def open_room(self, journal: Journal) -> WorkRoom:
        room = WorkRoom(
            self.terms, journal, self.content, ("one", "two"), self.meters, self.folder / "work", self.clock,
            make=self.prover.make,
        )  # fmt: skip
        await room.open(400.0)
        return room

    async def _open(self) -> Shift:
        self.room = await self.open_room(self.journal)
        self.work = WorkShift("main", NODE, self.room, None, self.hygiene().users, self.clock)  # type: ignore[arg-type]
        return self.work.run

    async def proof(self) -> None:
        """Until one more is done."""
        done = self.story.count("done")
        await self.clock.until(lambda: self.story.count("done") > done, limit=60)
        await self.clock.settle()


@pytest.fixture
def world(tmp_path: Path) -> Works:
    return Works(tmp_path)


async def texts(world: World) -> list[str]:
    return [event.text for event in await world.journal.events()]


async def test_a_lane_that_is_queued_makes_one_and_no_other_before_its_time(world: Works) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        assert world.chain.sent == ["work"]
        await world.proof()
        (order,) = world.prover.orders
        assert (order.engine, order.gpu, order.node, order.seconds) == ("cuda", GPU.uuid, NODE, SECONDS)
        newest = await world.journal.work.newest("main")
        assert newest is not None
        assert world.content.kept[newest.reference.cid] == b"proof 1"
        assert (newest.metered, newest.joules, newest.rate) == (True, 1.0, 2 * 256**3 * 10 / 20)
        assert await world.journal.uploads.stores() == {"one", "two"}
        assert not list((world.folder / "work").iterdir())
        assert any(
            text.startswith("work proof made: cuda, size 256, 10 rounds in 15.0 s") for text in await texts(world)
        )
        await world.clock.advance(6 * HOUR - 120)
        assert len(world.prover.orders) == 1
        outlook = await world.work.outlook(lane.status)
        assert outlook.next_at is not None
        assert 0 < outlook.next_at - world.clock.time() < 120
        await world.clock.advance(180)
        assert len(world.prover.orders) == 2


async def test_a_job_ends_it_before_anything_of_the_job_begins(world: Works) -> None:
    definition = world.content.offer(b"image")
    async with world.lane() as lane:
        await world.clock.until(lambda: bool(world.prover.orders))
        await world.clock.advance(5)
        world.story.clear()
        world.chain.assign(1, definition=definition)
        await world.clock.until(lambda: bool(world.engine.running))
        # The state that the GPU must be in again after the job is looked at without the helper on it.
        assert world.story == ["gone", "look"]
        assert await world.journal.work.open() == ()
        (cut,) = await world.journal.work.past(0.0)
        assert cut == PastWork("main", GPU.uuid, cut.began, 5 * 400.0, False)
        await world.clock.advance(600)
        assert len(world.prover.orders) == 1, "none while the job runs"
        world.engine.exit(0)
        await world.phase(lane, LanePhase.QUEUED)
        await world.proof()
        assert await world.journal.work.newest("main") is not None


async def test_a_memo_that_is_on_its_way_when_a_job_comes_is_not_signed_anew(world: Works) -> None:
    world.prover.stuck_after_root = True
    async with world.lane():
        await world.clock.until(lambda: bool(world.prover.orders))
        await world.clock.advance(20)
        world.chain.assign(1, definition=world.content.offer(b"image"))
        await world.clock.until(lambda: bool(world.engine.running))
        (row,) = await world.journal.outbox.pending("main")
        assert row.attempt == NO_MORE
        assert any("given up unopened" in text for text in await texts(world))


@pytest.mark.parametrize("word", ["drain", "pause", "hindered", "quit"])
async def test_whatever_takes_the_lane_from_its_queue_ends_it(world: Works, word: str) -> None:
    async with world.lane() as lane:
        await world.clock.until(lambda: bool(world.prover.orders))
        if word == "hindered":
            world.health.put("gpu", LaneDegraded("too hot", hint="wait"))
        elif word == "quit":
            lane.quit()
        else:
            await (lane.drain() if word == "drain" else lane.pause(None))
        await world.clock.until(lambda: "stop" in world.chain.sent)
        assert world.story[-1] == "gone"
        await world.clock.advance(HOUR / 6)
        assert len(world.prover.orders) == 1


async def test_the_end_of_the_agent_ends_it(world: Works) -> None:
    async with world.lane():
        await world.clock.until(lambda: bool(world.prover.orders))
    assert world.story == ["look", "begins", "gone"]
    async with world.open_journal() as journal:
        assert await journal.work.open() == ()


async def test_not_while_somebody_uses_the_gpu(world: Works) -> None:
    world.gpu_state = replace(CLEAN, processes=(GpuProcess(42, 900 * MIB), GpuProcess(43, 8 * MIB)))
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        await world.clock.advance(300)
        assert world.prover.orders == []
        outlook: WorkOutlook = await world.work.outlook(lane.status)
        assert "process 42" in outlook.why
        world.gpu_state = replace(CLEAN, processes=(GpuProcess(43, 8 * MIB),))  # a screen
        await world.clock.advance(70)
        assert len(world.prover.orders) == 1


async def test_not_while_a_job_is_being_settled(world: Works) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        status = replace(lane.status, trailing=(Address("job"),))
        shift = WorkShift("main", NODE, world.room, None, world.hygiene().users, world.clock)  # type: ignore[arg-type]
        await lane.drain()  # ends the lane's own
        await world.clock.settle()
        await world.clock.advance(600)
        begun = len(world.prover.orders)
        queued = asyncio.Event()
        queued.set()
        now = [status]
        task = asyncio.create_task(shift.run(queued, lambda: now[0]))
        await world.clock.advance(120)
        assert len(world.prover.orders) == begun
        now[0] = lane.status
        await world.clock.advance(70)
        assert len(world.prover.orders) == begun + 1
        task.cancel()
        await asyncio.wait((task,))


async def test_what_fails_is_told_and_tried_later_and_the_lane_serves_on(world: Works) -> None:
    world.prover.errors = [ChainError("no block", hint="wait"), ChainError("no block", hint="wait")]
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        await world.clock.advance(200)
        assert any("no work proof: no block" in text for text in await texts(world))
        assert lane.status.phase is LanePhase.QUEUED
        assert len(world.prover.orders) == 1
        await world.clock.advance(300)
        assert len(world.prover.orders) == 2
        await world.clock.advance(400)
        assert len(world.prover.orders) == 2, "the wait grows"
        world.chain.assign(1, definition=world.content.offer(b"image"))
        await world.clock.until(lambda: bool(world.engine.running))


async def test_a_restart_keeps_interval_and_energy(world: Works) -> None:
    world.meters.joules = 30_000.0
    async with world.lane():
        await world.proof()
    world.chain.sent.clear()
    async with world.lane() as lane:
        await world.clock.advance(6 * HOUR - 120)
        assert len(world.prover.orders) == 1, "the interval is not over"
        await world.clock.advance(HOUR)
        assert len(world.prover.orders) == 1, "the day's energy is used up"
        outlook = await world.work.outlook(lane.status)
        assert "of the day's budget are used" in outlook.why
        await world.clock.advance(18 * HOUR)
        assert len(world.prover.orders) == 2


async def test_a_life_that_was_killed_loses_no_energy_and_its_proof_is_given_up(world: Works) -> None:
    async with world.open_journal() as journal:
        run = await journal.work.begin("main", GPU.uuid, "cuda", 2 * SECONDS * 400)
        await journal.work.rooted(run, "ab" * 32)
        row = OutboxRow(
            work_key("ab" * 32), "main", "memo", OutboxState.SENDING, b"wire", Signature("s"), 9, 1, 0.0
        )  # fmt: skip
        await journal.outbox.put(row)
    world.clock.now += 10
    async with world.open_journal() as journal:
        room = await world.open_room(journal)
        assert room.keeper.spent(world.clock.time()) == 10 * 400.0
        assert await journal.work.open() == ()
        (row,) = await journal.outbox.pending("main")
        assert row.attempt == NO_MORE
        (event,) = await journal.events()
        assert "ended with the agent and is given up" in event.text
        assert "may be on the chain" in event.text
    world.clock.now += HOUR
    async with world.open_journal() as journal:
        again = await world.open_room(journal)
        assert again.keeper.spent(world.clock.time()) == 10 * 400.0, "counted once"
        assert len(await journal.events()) == 1


async def test_lanes_share_one_day_s_energy_and_take_turns(world: Works) -> None:
    world.terms = replace(TERMS, engine="cpu", daily_joules=60 * CPU_WATTS)
    async with world.open_journal() as journal:
        room = await world.open_room(journal)
        queued = asyncio.Event()
        queued.set()
        async with asyncio.TaskGroup() as group:
            tasks = []
            for name in ("one", "two"):
                shift = WorkShift(name, NODE, room, None, world.hygiene().users, world.clock)  # type: ignore[arg-type]
                tasks.append(group.create_task(shift.run(queued, lambda: STATUS)))
            await world.clock.advance(10)
            assert len(world.prover.orders) == 1
            assert world.prover.orders[0].gpu is None
            await world.clock.advance(120)
            assert len(world.prover.orders) == 2
            assert {past.lane for past in await journal.work.past(0.0)} == {"one", "two"}
            # 28 s each at the most that a processor uses: no more today, whoever's interval is over.
            await world.clock.advance(7 * HOUR)
            assert len(world.prover.orders) == 2
            for task in tasks:
                task.cancel()


async def test_documents_that_nobody_needs_go(world: Works) -> None:
    async with world.open_journal() as journal:
        room = await world.open_room(journal)
        for _ in range(3):
            proof = await _made(world, room)
            await journal.uploads.took(proof, ("one", "two"))
            world.clock.now += 8 * 86_400
        assert len(world.content.kept) == 3
        assert await room.prune() == 2
        assert list(world.content.kept.values()) == [b"proof 3"]
        assert await room.prune() == 0


async def _made(world: Works, room: WorkRoom) -> Cid:
    task = asyncio.create_task(room.prove(Bidder("main", NODE, None, None)))  # type: ignore[arg-type]
    await world.clock.until(task.done, limit=60)
    return task.result().reference.cid


async def test_each_gpu_of_a_lane_has_its_turn(world: Works) -> None:
    world.gpus = (GPU, replace(GPU, uuid="GPU-sim-1", index=1))
    async with world.lane():
        await world.proof()
        await world.proof()
        await world.clock.advance(6 * HOUR - 300)
        assert [order.gpu for order in world.prover.orders] == [GPU.uuid, "GPU-sim-1"]
        await world.clock.advance(600)
        assert [order.gpu for order in world.prover.orders][2:] == [GPU.uuid, "GPU-sim-1"]


async def test_a_ladder_is_kept_only_while_the_lanes_rest(world: Works) -> None:
    async with world.lane() as lane:
        await world.phase(lane, LanePhase.QUEUED)
        port = replace(PORT, lanes={"main": lane}, journal=world.journal, work=world.room)
        with pytest.raises(ControlError, match="is queued: measuring would disturb"):
            await port.keep_ladder(LADDER)
        await lane.drain()
        await world.clock.until(lambda: "drained" in lane.status.reason)
        await port.require_rest()
        for wrong in (b"{}", LADDER + b" ", b"x" * 20_000, LADDER.replace(b'"fp8"', b'"fp9"')):
            with pytest.raises(GpuError, match="no precision ladder"):
                await port.keep_ladder(wrong)
        kept = await port.keep_ladder(LADDER)
        assert (await port.proofs()).ladders == (kept,)
        assert await world.journal.work.ladder_for([kept.gpu]) == hashlib.sha256(LADDER).hexdigest()
        await lane.pause(None)
        await world.phase(lane, LanePhase.PAUSED)
        await port.require_rest()
        world.room.shifts["main"] = world.work
        (outlook,) = (await port.proofs()).work
        assert outlook.engine == "cuda"
