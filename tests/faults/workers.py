"""Several shops side by side, each with a chain and an agent of its own, that work through a list of cases."""

from __future__ import annotations

import asyncio
import functools
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import docker

from tests.faults.crash import Case, Outcome
from tests.faults.keeper import Loss
from tests.faults.shop import Shop, real_shop, shop
from tests.faults.starts import Starts

LIFETIME = 25
"""Cases of one shop; then a fresh one, so that no journal grows beyond what an agent's first days bring."""
CASE_SECONDS = 300.0

print_at_once = functools.partial(print, flush=True)

Play = Callable[[Shop, Case], Awaitable[Outcome]]


@dataclass
class Report:
    """What came of many cases."""

    name: str
    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def losses(self) -> list[Outcome]:
        """Those that must not be."""
        return [each for each in self.outcomes if each.loss]

    @property
    def missed(self) -> list[Outcome]:
        """Those in which nothing was done because the position was not reached."""
        return [each for each in self.outcomes if not each.hit and not each.loss]

    def __str__(self) -> str:
        extra = sum(each.extra for each in self.outcomes)
        return (
            f"{self.name}: {len(self.outcomes)} runs in {self.seconds:.0f} s, {len(self.losses)} losses, "
            f"{len(self.missed)} not reached, {extra} transactions landed with an error"
        )


@dataclass(frozen=True)
class Ground:
    """What all shops stand on. `say` is told of each outcome."""

    folder: Path
    engine: docker.APIClient
    starts: Starts
    image: str
    real: bool = False
    """Whether the chains are real nodes."""
    say: Callable[[str], None] = print_at_once


async def worked(
    ground: Ground, name: str, cases: Sequence[Case], play: Play, *, workers: int, proxied: bool = False
) -> Report:
    """Play all cases; one that goes wrong costs its shop, and the others go on in a fresh one."""
    report, left, began = Report(name), list(reversed(cases)), time.monotonic()

    async def work(number: int) -> None:
        generation = 0
        while left:
            generation += 1
            folder = ground.folder / f"{name}-{number}-{generation}"
            async with _open(ground, folder, proxied=proxied) as made:
                sound = await _serve(made, left, play, report, ground.say)
            if sound:
                shutil.rmtree(folder, ignore_errors=True)

    async with asyncio.TaskGroup() as group:
        for number in range(min(workers, len(cases))):
            group.create_task(work(number))
    report.seconds = time.monotonic() - began
    return report


def _open(ground: Ground, folder: Path, *, proxied: bool) -> AbstractAsyncContextManager[Shop]:
    if ground.real:
        return real_shop(folder, ground.engine, ground.starts, ground.image)
    return shop(folder, ground.engine, ground.starts, ground.image, proxied=proxied)


async def _serve(made: Shop, left: list[Case], play: Play, report: Report, say: Callable[[str], None]) -> bool:
    """Play cases in one shop; False when one of them went wrong."""
    for _ in range(LIFETIME):
        if not left:
            return True
        case = left.pop()
        began = time.monotonic()
        try:
            async with asyncio.timeout(CASE_SECONDS):
                outcome = await play(made, case)
        except Exception as error:  # the harness must say which case it was
            text = f"{type(error).__name__}: {error}" if not isinstance(error, Loss) else str(error)
            outcome = Outcome(case, time.monotonic() - began, hit=True, loss=text)
        report.outcomes.append(outcome)
        say(str(outcome))
        if outcome.loss:
            return False
    return True
