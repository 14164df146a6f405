"""Whose turn it is: lanes one after the other, and what takes long keeps nobody out."""

from __future__ import annotations

import asyncio

from node.turns import LONG, MOST, Turns, current_lane


class StillClock:
    """Stands until it is moved; who sleeps on it wakes then."""

    def __init__(self) -> None:
        self.now = 0.0
        self._moved = asyncio.Event()

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            await self._moved.wait()

    async def move(self, seconds: float) -> None:
        self.now += seconds
        self._moved.set()
        self._moved = asyncio.Event()
        await settled()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Scene:
    def __init__(self, places: int) -> None:
        self.clock = StillClock()
        self.turns = Turns(places, self.clock)
        self.order: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, name: str, lane: str) -> None:
        self.ends[name] = asyncio.Event()

        async def hold() -> None:
            current_lane.set(lane)
            async with self.turns.turn():
                self.order.append(name)
                await self.ends[name].wait()

        self.tasks.append(asyncio.create_task(hold()))
        await settled()

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await settled()

    async def over(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_lanes_take_turns() -> None:
    scene = Scene(2)
    for name, lane in (("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b")):
        await scene.ask(name, lane)
    assert scene.order == ["a1", "a2"]
    await scene.end("a1")
    # a3 has waited longer, and its lane has one under way.
    assert scene.order == ["a1", "a2", "b1"]
    await scene.end("b1")
    assert scene.order[-1] == "a3"
    await scene.over()


async def test_a_long_one_keeps_nobody_out_and_there_is_an_end_to_it() -> None:
    scene = Scene(1)
    for number in range(MOST + 1):
        await scene.ask(str(number), str(number))
    for number in range(MOST):
        assert len(scene.order) == number + 1
        await scene.clock.move(LONG + 1)
    assert len(scene.order) == MOST
    await scene.end("2")
    assert len(scene.order) == MOST + 1
    await scene.over()


async def test_one_that_gives_up_waiting_holds_nobody_up() -> None:
    scene = Scene(1)
    for name in "abc":
        await scene.ask(name, name)
    scene.tasks[1].cancel()
    await settled()
    await scene.end("a")
    assert scene.order == ["a", "c"]
    await scene.over()
