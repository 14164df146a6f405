"""Uploads that a job does not wait for, and those that it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from node.agent.courier import GIVE_UP_AFTER, HEAD_START, Courier
from node.content.cid import file_cid
from node.errors import ContentUnavailable, StoreRejected
from node.records import Address, Cid, SettleKind, Stage
from tests.agent.test_pipeline import job
from tests.agent.world import World

JOB = Address("job")
DOCUMENTS = (b"a result", b"a receipt")
CIDS = tuple(file_cid(each) for each in DOCUMENTS)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@dataclass
class Shelf:
    """Stores that take what they like, and note when they were asked."""

    now: Callable[[], float]
    store_names: tuple[str, ...] = ("one", "two")
    refusing: set[str] = field(default_factory=set)
    has: list[tuple[str, str]] = field(default_factory=list)
    asked: list[tuple[float, str]] = field(default_factory=list)

    async def offer(self, store: str, name: str, data: bytes) -> Cid:
        self.asked.append((self.now(), store))
        if store in self.refusing:
            raise StoreRejected(f"{store} is full")
        self.has.append((store, name))
        return file_cid(data)


@asynccontextmanager
async def courier(world: World, shelf: Shelf) -> AsyncIterator[None]:
    """A life of the agent, as far as uploads go."""
    async with world.open_journal() as journal:
        task = asyncio.ensure_future(Courier(shelf, world.content, journal, world.clock).run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def owe(world: World, due: float = 0.0) -> None:
    for each in DOCUMENTS:
        await world.content.add_file("x", each)
    named = list(zip(CIDS, ("result", "receipt"), strict=True))
    await world.journal.uploads.owe(JOB, named, ("one", "two"), world.clock.time() + due)


async def test_every_store_gets_every_document(world: World) -> None:
    shelf = Shelf(world.clock.time)
    async with courier(world, shelf):
        await owe(world, due=HEAD_START)
        await world.clock.advance(HEAD_START - 1)
        assert shelf.asked == [], "the job's own upload comes first"
        await world.clock.advance(60)
        assert sorted(shelf.has) == [(store, name) for store in ("one", "two") for name in ("receipt", "result")]
        assert await world.journal.uploads.owed() == 0


@pytest.mark.long
async def test_a_store_that_refuses_is_asked_less_and_less_and_holds_up_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.agent.courier.IDLE", 120.0)  # seven hours of looking every 15 s take a minute to play
    shelf = Shelf(world.clock.time, refusing={"one"})
    async with courier(world, shelf):
        await owe(world)
        await world.clock.advance(4 * 3600)
        assert sorted(shelf.has) == [("two", "receipt"), ("two", "result")]
        tries = [at for at, store in shelf.asked if store == "one"]
        gaps = [later - earlier for earlier, later in pairwise(tries)]
        assert 10 < len(tries) < 40
        assert min(gaps[-4:]) > 500 > max(gaps[:2])
        shelf.refusing.clear()
        await world.clock.advance(3 * 3600)
        assert await world.journal.uploads.owed() == 0


async def test_a_restart_goes_on_with_what_is_owed(world: World) -> None:
    async with courier(world, Shelf(world.clock.time, refusing={"one", "two"})):
        await owe(world)
        await world.clock.advance(100)
        assert await world.journal.uploads.owed() == 4
    shelf = Shelf(world.clock.time)
    async with courier(world, shelf):
        await world.clock.advance(1800)
        assert len(shelf.has) == 4


async def test_after_a_week_it_is_given_up_and_said_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.agent.courier.IDLE", 120.0)
    async with courier(world, Shelf(world.clock.time, refusing={"one"})):
        await owe(world)
        await world.clock.advance(100)
        world.clock.now += GIVE_UP_AFTER
        await world.clock.advance(7200)
        assert await world.journal.uploads.owed() == 0
        events = [event.text for event in await world.journal.events()]
        assert len([text for text in events if "did not take it in 7 days" in text]) == 2


async def test_what_cannot_be_read_back_or_has_no_store_any_more_is_said_and_dropped(world: World) -> None:
    async with courier(world, Shelf(world.clock.time, refusing={"one", "two"})):
        await owe(world)
    del world.content.kept[CIDS[0]]
    shelf = Shelf(world.clock.time, store_names=("two",))
    async with courier(world, shelf):
        await world.clock.advance(1800)
        assert shelf.has == [("two", "receipt")]
        assert await world.journal.uploads.owed() == 0
        texts = " ".join(event.text for event in await world.journal.events())
        assert "2 documents were still to go to one" in texts
        assert "cannot be read" in texts


# --- what a job waits for ---


async def test_a_job_goes_on_when_one_store_has_its_documents(world: World) -> None:
    async with world.open_journal():
        working = asyncio.ensure_future(world.pipeline(job(world)).complete())
        await world.clock.until(lambda: bool(world.engine.running), limit=60)
        world.engine.exit()
        await world.clock.until(working.done, limit=60)
        assert working.result().kind is SettleKind.FINISH
        owed = await world.journal.uploads.next("other")
        assert owed is not None
        assert await world.journal.uploads.next("fake") is None
        assert await world.journal.uploads.owed() == 2
        assert owed.due > world.clock.time()


async def test_no_store_takes_it_and_the_run_is_there(world: World) -> None:
    async with world.open_journal():
        working = asyncio.ensure_future(world.pipeline(job(world)).complete())
        await world.clock.until(lambda: bool(world.engine.running), limit=60)
        world.content.publish_errors = [ContentUnavailable("away") for _ in range(80)]
        world.engine.exit()
        await world.clock.advance(3600)
        assert world.stages[-1] is Stage.REPORT, "whoever pays for a result must be able to read it"
        world.content.publish_errors.clear()
        await world.clock.until(working.done, limit=120)
        assert working.result().kind is SettleKind.FINISH


@pytest.mark.parametrize(("how", "kind"), [("end", SettleKind.COMPLETE), ("take_away", SettleKind.LOST)])
async def test_no_store_takes_it_and_the_run_is_gone(world: World, how: str, kind: SettleKind) -> None:
    async with world.open_journal():
        given = job(world)
        working = asyncio.ensure_future(world.pipeline(given).complete())
        await world.clock.until(lambda: bool(world.engine.running), limit=60)
        world.content.publish_errors = [ContentUnavailable("away") for _ in range(1_000)]
        world.engine.exit()
        await world.clock.until(lambda: world.stages[-1] is Stage.REPORT, limit=60)
        await world.clock.advance(300)
        getattr(world.chain, how)(given)
        await world.clock.until(working.done, limit=300)
        assert working.result().kind is kind
        assert await world.journal.uploads.owed() == 4, "they are uploaded for the record, later"
        assert len(world.content.publish_errors) > 900
