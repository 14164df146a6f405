"""The chain takes back what a host had confirmed: each kind of transaction is brought about again, once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest
import pytest_asyncio

from node.localnet.app import Localnet
from node.market import register
from node.market.context import MarketContext
from node.market.effects import is_queued
from node.market.join import join, leave, standing
from node.market.poster import Poster
from node.market.settle import Settler, settled_run
from node.records import Assignment, JobState, NodeProfile, OutboxRow, SettleKind
from tests.market.conftest import Town
from tests.market.test_settle import MEMO, RESULT, assigned, balance, final, ready


@dataclass
class Scene:
    """A host and a poster on the embedded chain."""

    town: Town
    net: Localnet
    host: MarketContext
    poster: MarketContext
    undone: list[str] = field(default_factory=list)

    async def fork(self, slot: int) -> None:
        """Everything from this slot on is lost, and does not come again by itself."""
        assert self.net.faults.set({"kind": "fork", "slot": slot - 1}).hits == 1

    async def seen_through(self) -> None:
        """As `tend`, until nothing of the host's is left that a fork could undo."""
        async with asyncio.timeout(60):
            while await self.host.outbox._store.pending("main"):
                await self.host.outbox.tidy("main")
                await asyncio.sleep(0.05)

    async def row(self, kind: str) -> OutboxRow:
        rows = await self.host.outbox._store.pending("main")
        return next(row for row in rows if row.kind == kind)

    async def job(self, given: Assignment) -> JobState:
        job = await self.host.ledger.job(given.job.address)
        assert job is not None
        return job.state

    async def queued(self) -> int:
        market = await self.host.ledger.market(self.town.market)
        return market.queue.count(self.host.node) if is_queued(market, self.host.node) else 0


@pytest.fixture
def either_chain(localnet: Localnet) -> Localnet:
    """A real node does not fork on demand."""
    return localnet


@pytest_asyncio.fixture
async def scene(localnet: Localnet, town: Town) -> Scene:
    scene = Scene(town, localnet, await ready(town), await town.person(sol=1, nos=10))
    await scene.seen_through()

    async def undone(row: OutboxRow) -> None:
        scene.undone.append(row.key)

    scene.host.outbox._upkeep._undone = undone
    return scene


async def test_work_is_not_made_twice(scene: Scene) -> None:
    await join(scene.host, scene.town.market)
    first = await scene.row("work")
    await scene.fork(first.slot or 0)
    assert await standing(scene.host, scene.town.market) is None or await scene.queued() == 0
    await join(scene.host, scene.town.market)
    await scene.seen_through()
    assert await scene.queued() == 1
    given = await scene.town.post(scene.poster)
    assert given.run is not None, "the place is good for a job"
    assert await scene.queued() == 0, "and for one only"


async def test_stop(scene: Scene) -> None:
    await join(scene.host, scene.town.market)
    await scene.seen_through()
    await leave(scene.host, scene.town.market)
    await scene.fork((await scene.row("stop")).slot or 0)
    assert await scene.queued() == 1
    await scene.seen_through()
    assert await scene.queued() == 0


async def test_finish_is_paid_once(scene: Scene) -> None:
    given = await assigned(scene.town, scene.host, scene.poster)
    await asyncio.sleep(1.5)  # paid by the second
    settled = await Settler(scene.host).settle(given, RESULT, MEMO)
    await scene.fork(settled.slot or 0)
    assert await scene.job(given) is not JobState.DONE
    await scene.seen_through()
    assert await scene.job(given) is JobState.DONE
    again = await Settler(scene.host).settle(given, RESULT, MEMO)
    assert again.kind is SettleKind.ALREADY
    assert again.pay == await balance(scene.town, scene.host.node) > 0
    told = f"finish:{given.run.address}"
    assert scene.undone in ([], [told]), "told once, where it is another signature or another block"
    assert ((again.signature, again.slot) != (settled.signature, settled.slot)) == bool(scene.undone)


async def test_a_finish_that_the_poster_comes_before_becomes_a_complete(scene: Scene) -> None:
    given = await assigned(scene.town, scene.host, scene.poster)
    settled = await Settler(scene.host).settle(given, RESULT, MEMO)
    row = await scene.row("finish")
    assert settled_run(row) == given.run.address
    await scene.fork(settled.slot or 0)
    await Poster(scene.poster).stop(given.job.address)
    await scene.seen_through()
    assert scene.undone == [row.key], "the chain has finalized that finish cannot be"
    again = await Settler(scene.host).settle(given, RESULT, MEMO)
    assert again.kind is SettleKind.COMPLETE
    assert again.pay == await balance(scene.town, scene.host.node)


async def test_complete(scene: Scene) -> None:
    given = await assigned(scene.town, scene.host, scene.poster)
    await Poster(scene.poster).stop(given.job.address)
    settled = await Settler(scene.host).settle(given, RESULT, MEMO)
    assert settled.kind is SettleKind.COMPLETE
    await scene.fork(settled.slot or 0)
    await scene.seen_through()
    job = await scene.host.ledger.job(given.job.address)
    assert job is not None
    assert job.result_cid == RESULT


async def test_quit(scene: Scene) -> None:
    given = await assigned(scene.town, scene.host, scene.poster)
    settled = await Settler(scene.host).quit(given, "no")
    await scene.fork(settled.slot or 0)
    assert await scene.host.ledger.run(given.run.address) is not None
    await scene.seen_through()
    assert await scene.host.ledger.run(given.run.address) is None
    again = await final(lambda: Settler(scene.host).quit(given, "no"))
    assert again.kind is SettleKind.QUIT
    assert await balance(scene.town, scene.host.node) == 0


@pytest.mark.long
@pytest.mark.parametrize("kind", ["register", "update"])
async def test_the_node_account(scene: Scene, kind: str) -> None:
    first = NodeProfile(0, 528, 8, 1, 32, 100, 500, "", "", "1.0")
    if kind == "update":
        await register.ensure(scene.host, first, None)
        await scene.seen_through()
    wanted = replace(first, memory=64)
    await register.ensure(scene.host, wanted, None)
    await scene.fork((await scene.row(kind)).slot or 0)
    found = await register.read(scene.host, scene.host.node)
    assert found is None if kind == "register" else found is not None and found.profile == first
    await scene.seen_through()
    found = await register.read(scene.host, scene.host.node)
    assert found is not None
    assert found.profile == wanted
