"""kill -9 during an agent's first start: journal, registration, first place in the queue; then a job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions
from node.records import Address
from tests.faults import scenes
from tests.faults.crash import Case, Outcome, played
from tests.faults.keeper import Loss
from tests.faults.scenes import Scene
from tests.faults.shop import SLOT_MS, opened
from tests.faults.workers import Ground, Report

FINISH = Scene("finish", scenes.finish)


async def births(ground: Ground, cases: Sequence[Case], *, workers: int) -> Report:
    """A fresh key and fresh data for each case."""
    report, left, began = Report("birth"), list(reversed(cases)), time.monotonic()

    async def work(number: int) -> None:
        while left:
            case = left.pop()
            outcome = await born(ground, ground.folder / f"birth-{number}-{len(left)}", case)
            report.outcomes.append(outcome)
            ground.say(str(outcome))

    async with asyncio.TaskGroup() as group:
        for number in range(min(workers, len(cases))):
            group.create_task(work(number))
    report.seconds = time.monotonic() - began
    return report


async def born(ground: Ground, folder: Path, case: Case) -> Outcome:
    """One first start with a kill, and one job."""
    began, loss, extra, hit = time.monotonic(), "", 0, False
    folder.mkdir()
    options = LocalnetOptions(rpc_port=0, content_port=0, keys=folder / "keys", slot_ms=SLOT_MS, endpoints=2)
    async with Localnet.start(options) as net:

        async def give(address: Address, sol: float, nos: float) -> None:
            net.endow(address, sol=sol, nos=nos)

        async with opened(folder, net, give, ground.engine, ground.starts, ground.image, localnet=net) as made:
            assert case.position is not None
            made.keeper.post.give(case.position)
            made.keeper.start()
            try:
                await made.rest()
                hit = made.keeper.deaths == 1
                extra = await played(made, FINISH)
            except Loss as error:
                loss = str(error)
    return Outcome(case, time.monotonic() - began, hit, loss, extra)
