"""kill -9 at a position of a scenario, and what must hold afterwards."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.faults.keeper import Loss
from tests.faults.order import Position
from tests.faults.scenes import Scene
from tests.faults.shop import Shop
from tests.faults.verdict import examine


@dataclass(frozen=True, slots=True)
class Case:
    """One run of a matrix: which scenario, and what is done to it."""

    scene: str
    what: str
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. `hit`: whether it was done at all; `extra`: transactions of ours that landed with an error."""

    case: Case
    seconds: float
    hit: bool
    loss: str = ""
    extra: int = 0

    def __str__(self) -> str:
        state = f"LOSS {self.loss}" if self.loss else "ok" if self.hit else "not reached"
        return f"{self.case.scene:<14} {self.case.what:<34} {self.seconds:5.1f} s  {state}"


async def traced(shop: Shop, scene: Scene) -> list[Position]:
    """Play a scenario undisturbed; the positions it passes, from an agent at rest to an agent at rest."""
    since = shop.keeper.post.length
    await played(shop, scene)
    return shop.keeper.post.passed(since)


async def played(shop: Shop, scene: Scene) -> int:
    """Play a scenario and check what it came to; how many transactions landed with an error. Raises Loss."""
    told = await scene.play(shop)
    await shop.rest()
    return sum([(await examine(shop, each)).extra for each in told])


async def killed(shop: Shop, scene: Scene, position: Position) -> Outcome:
    """Play it with a kill at the position."""
    case, began, deaths, loss, extra = (
        Case(scene.name, str(position), position),
        time.monotonic(),
        shop.keeper.deaths,
        "",
        0,
    )
    shop.keeper.post.give(position)
    try:
        extra = await played(shop, scene)
    except Loss as error:
        loss = str(error)
    finally:
        missed = shop.keeper.post.take_back()
    hit = not missed and shop.keeper.deaths == deaths + 1
    return Outcome(case, time.monotonic() - began, hit, loss, extra)


def chosen(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """So many cases, of as many marks as can be, the same ones for a seed."""
    draw = random.Random(seed)
    by_mark: dict[str, list[Case]] = {}
    for case in draw.sample(list(cases), len(cases)):
        by_mark.setdefault(case.what.split("#")[0], []).append(case)
    groups = list(by_mark.values())
    draw.shuffle(groups)
    found: list[Case] = []
    while len(found) < count and groups:
        found += [group.pop() for group in groups]
        groups = [group for group in groups if group]
    return found[:count]
