"""Many lanes at one endpoint: whose turn it is, and looks that are put together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from node.chain.bucket import Rate
from node.chain.gathering import Accounts, Gathering
from node.chain.line import Line, pressing
from node.chain.replies import Seen
from node.chain.standing import Limits, Standing
from node.errors import RpcBehind
from node.records import Address
from node.turns import current_lane
from tests.test_turns import StillClock, settled


class Scene:
    def __init__(self) -> None:
        self.clock = StillClock()
        self.line = Line(Standing(Limits(total=Rate(1.0, 1), method=Rate(1.0, 1))), self.clock)
        self.order: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, lane: str, *, urgently: bool = False) -> None:
        async def go() -> None:
            current_lane.set(lane)
            if urgently:
                with pressing():
                    await self.line.turn("getSlot")
            else:
                await self.line.turn("getSlot")
            self.order.append(lane)

        self.tasks.append(asyncio.create_task(go()))
        await settled()


async def test_a_lane_in_trouble_does_not_eat_what_others_may_ask() -> None:
    scene = Scene()
    for lane in ("a", "a", "a", "a", "b", "c"):
        await scene.ask(lane)
    for _ in range(3):
        await scene.clock.move(1.1)
    assert scene.order == ["a", "a", "b", "c"] or scene.order == ["a", "b", "c", "a"]
    for _ in range(2):
        await scene.clock.move(1.1)
    assert sorted(scene.order) == ["a", "a", "a", "a", "b", "c"]


async def test_settling_goes_first() -> None:
    scene = Scene()
    for lane in ("a", "b", "c"):
        await scene.ask(lane)
    await scene.ask("z", urgently=True)
    await scene.clock.move(1.1)
    assert scene.order == ["a", "z"]
    for _ in range(2):
        await scene.clock.move(1.1)
    assert scene.order == ["a", "z", "b", "c"]


async def test_many_that_wait_do_not_go_at_once() -> None:
    scene = Scene()
    for number in range(10):
        await scene.ask(str(number))
    await scene.clock.move(3.3)
    # A burst of one, and what does not fit is not saved up.
    assert len(scene.order) == 2
    for task in scene.tasks:
        task.cancel()
    await asyncio.gather(*scene.tasks, return_exceptions=True)


class Chain:
    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], int | None]] = []
        self.newest = 100

    async def read(self, addresses: Sequence[Address], least: int | None) -> Accounts:
        self.asked.append((tuple(addresses), least))
        if least is not None and least > self.newest:
            raise RpcBehind("behind")
        return Seen(tuple(None for _ in addresses), self.newest)


async def test_looks_of_many_lanes_are_one_request() -> None:
    clock, chain = StillClock(), Chain()
    gathering = Gathering(chain.read, clock, 0.5)
    looks = [
        asyncio.create_task(gathering.accounts([Address("market"), Address(f"run{number % 40}")], number))
        for number in range(64)
    ]
    await settled()
    looks[0].cancel()
    await clock.move(0.6)
    seen = await asyncio.gather(*looks[1:])
    assert {each.slot for each in seen} == {100}
    ((addresses, least),) = chain.asked
    assert (len(addresses), least) == (41, 63)


async def test_one_that_wants_a_later_view_fails_alone() -> None:
    clock, chain = StillClock(), Chain()
    gathering = Gathering(chain.read, clock, 0.5)
    early = asyncio.create_task(gathering.accounts([Address("a")], 50))
    late = asyncio.create_task(gathering.accounts([Address("b")], 101))
    await settled()
    await clock.move(0.6)
    assert (await early).slot == 100
    with pytest.raises(RpcBehind):
        await late


async def test_one_lane_does_not_wait() -> None:
    chain = Chain()
    assert (await Gathering(chain.read, StillClock(), 0.0).accounts([Address("a")], None)).slot == 100


async def test_a_request_has_its_bound() -> None:
    clock, chain = StillClock(), Chain()
    gathering = Gathering(chain.read, clock, 0.5)
    looks = [asyncio.create_task(gathering.accounts([Address(f"{n}"), Address(f"r{n}")], None)) for n in range(64)]
    await settled()
    await clock.move(0.6)
    await asyncio.gather(*looks)
    assert [len(addresses) for addresses, _ in chain.asked] == [100, 28]
