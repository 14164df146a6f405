"""Space is promised before a job is admitted, and to one job only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from node.container.disk import DiskUsage
from node.container.space import UNPACKED, SpaceLedger, SpaceTerms
from node.errors import EngineUnavailable
from node.records import Address
from tests.container.engine_double import FakeEngine

ONE, TWO = Address("one"), Address("two")
TERMS = SpaceTerms(floor=10, job=5, image=50)


class World:
    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.free = 1000
        self.removable = 0
        self.asked: list[tuple[int, frozenset[str]]] = []
        self.told: dict[str, int | None] = {}
        self.work: dict[Address, Sequence[str]] = {ONE: (), TWO: ()}
        self.ledger = self.life()

    def life(self) -> SpaceLedger:
        async def open_work() -> dict[Address, Sequence[str]]:
            return dict(self.work)

        return SpaceLedger(self.engine, self, self, self, open_work, TERMS)  # type: ignore[arg-type]

    async def usage(self) -> DiskUsage:
        return DiskUsage(total=2000, free=self.free)

    async def make_room(self, size: int, keep: frozenset[str]) -> tuple[str, ...]:
        self.asked.append((size, keep))
        freed = min(size, self.removable)
        self.free += freed
        return ("old:1",) if freed else ()

    async def compressed_bytes(self, reference: str, login: object = None) -> int | None:
        return self.told.get(reference)


async def test_what_a_job_needs_is_its_image_and_what_it_writes() -> None:
    world = World()
    world.told["a:1"] = 20
    world.free = 10 + 5 + 20 * UNPACKED
    assert await world.ledger.reserve(ONE, ["a:1"]) == ""
    world.free -= 1
    reason = await world.ledger.reserve(ONE, ["a:1"])
    assert "too few" in reason
    assert world.asked == [(1, frozenset({"a:1"}))]
    world.removable = 1
    assert await world.ledger.reserve(ONE, ["a:1"]) == ""


async def test_an_image_that_is_there_takes_nothing_and_an_unknown_one_what_the_setting_says() -> None:
    world = World()
    world.free = 15
    assert await world.ledger.reserve(ONE, ["image"]) == ""
    assert "too few" in await world.ledger.reserve(ONE, ["a:1"])
    world.free = 65
    assert await world.ledger.reserve(ONE, ["a:1"]) == ""


async def test_lanes_do_not_count_on_the_same_bytes() -> None:
    world = World()
    world.told = {"a:1": 10, "b:1": 10}
    world.free = 10 + 5 + 30 + 5 + 30 - 1
    first, second = await asyncio.gather(world.ledger.reserve(ONE, ["a:1"]), world.ledger.reserve(TWO, ["b:1"]))
    assert (first, bool(second)) == ("", True)
    world.told["b:1"] = 0
    assert await world.ledger.reserve(TWO, ["b:1"]) == ""


async def test_one_image_of_two_lanes_is_counted_once() -> None:
    world = World()
    world.told["a:1"] = 10
    world.free = 10 + 2 * 5 + 30
    assert await world.ledger.reserve(ONE, ["a:1"]) == ""
    assert await world.ledger.reserve(TWO, ["a:1"]) == ""


async def test_a_job_that_is_over_gives_its_space_back() -> None:
    world = World()
    world.free = 10 + 5 + 50
    assert await world.ledger.reserve(ONE, ["a:1"]) == ""
    assert await world.ledger.reserve(TWO, ["b:1"])
    del world.work[ONE]
    assert await world.ledger.reserve(TWO, ["b:1"]) == ""


async def test_a_restart_remembers_what_was_promised() -> None:
    world = World()
    world.free = 10 + 5 + 50 + 5
    world.work[ONE] = ("a:1",)
    assert await world.life().reserve(TWO, ["image"]) == ""
    world.free -= 1
    assert await world.life().reserve(TWO, ["image"])
    world.engine.images["a:1"] = world.engine.images["image"]  # by now it is here, and out of what is free
    assert await world.life().reserve(TWO, ["image"]) == ""


async def test_an_engine_that_does_not_answer_is_no_reason() -> None:
    world = World()
    world.engine.down = True
    assert await world.ledger.reserve(ONE, ["a:1"]) == ""
    world.engine.down = False

    async def away() -> DiskUsage:
        raise EngineUnavailable("away")

    world.usage = away  # type: ignore[method-assign]
    assert await world.ledger.reserve(ONE, ["image"]) == ""


async def test_a_disk_that_cannot_be_read_is_one() -> None:
    world = World()

    async def broken() -> DiskUsage:
        raise OSError(5, "Input/output error")

    world.usage = broken  # type: ignore[method-assign]
    assert "cannot be told" in await world.ledger.reserve(ONE, ["image"])


@pytest.mark.parametrize("names", [[], ["image", "image"]])
async def test_odd_plans(names: list[str]) -> None:
    assert await World().ledger.reserve(ONE, names) == ""


async def test_what_is_given_is_what_all_jobs_may_still_take() -> None:
    world = World()
    assert await world.ledger.given() == 0
    world.told["a:1"] = 20
    assert await world.ledger.reserve(ONE, ["a:1", "image"]) == ""
    assert await world.ledger.given() == 5 + 20 * UNPACKED
    world.work = {TWO: ["image"]}
    assert await world.ledger.given() == 5


async def test_other_caches_give_way_after_the_images() -> None:
    world = World()
    asked: list[int] = []

    async def give_way(short: int) -> None:
        asked.append(short)
        world.free += 40

    world.ledger.add_cache(give_way)
    world.ledger.add_cache(give_way)
    world.removable, world.free = 3, 30
    assert await world.ledger.reserve(ONE, ["a:1"]) == ""
    assert asked == [32], "what the images left short, and nobody else once it fits"
