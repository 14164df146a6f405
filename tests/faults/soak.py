"""`python -m tests.faults.soak --jobs 300 --seed N`: jobs by the hundred, each with something that goes wrong.

What goes wrong with which job is drawn from the seed, which is printed; `--first I --jobs 1` plays job I alone.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from node.errors import LocalnetError
from node.localnet.slots import Commitment
from tests.e2e import images
from tests.faults.crash import Case, Outcome
from tests.faults.keeper import Loss
from tests.faults.scenes import SCENES, Told
from tests.faults.shop import Shop
from tests.faults.starts import counted
from tests.faults.troubles import TROUBLES
from tests.faults.verdict import examine
from tests.faults.workers import Ground, Report, worked

SPREAD = 6.0
"""Seconds after a job's posting within which something happens to it."""
MOST_DEEDS = 3


def main() -> None:
    """Play so many jobs; exits with 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    parser.add_argument("--workers", type=int, default=3)
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    try:
        images.connect().close()
    except images.NoEngine as error:
        print(f"skipped: {error}")
        return
    with tempfile.TemporaryDirectory(prefix="gpf-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        engine = images.connect()
        stack.callback(engine.close)
        starts = stack.enter_context(counted(engine))
        ground = Ground(Path(folder), engine, starts, images.busybox_image(engine))
        jobs = range(asked.first, asked.first + asked.jobs)
        report = asyncio.run(soaked(ground, jobs, asked.seed, workers=asked.workers))
    print(f"\n{report} (seed {asked.seed})")
    sys.exit(1 if report.losses else 0)


async def soaked(ground: Ground, jobs: range, seed: int, *, workers: int) -> Report:
    """Play these jobs; what happens to each depends on the seed and its number alone."""
    cases = [Case(str(number), str(random.Random(f"{seed} {number}").getrandbits(64))) for number in jobs]
    return await worked(ground, "soak", cases, _play, workers=workers, proxied=True)


async def _play(shop: Shop, case: Case) -> Outcome:
    draw = random.Random(case.what)
    scene = draw.choice(SCENES)
    deeds = [_deed(draw) for _ in range(draw.randrange(MOST_DEEDS + 1))]
    named = Case(f"{case.scene} {scene.name}", ", ".join(name for name, _ in deeds) or "nothing")
    began, loss, extra = time.monotonic(), "", 0
    doing = [asyncio.ensure_future(_later(draw.uniform(0, SPREAD), deed, shop)) for _, deed in deeds]
    try:
        jobs = await scene.play(shop)
        await asyncio.wait_for(asyncio.gather(*doing), 60)
        await shop.rest()
        for told in jobs:
            extra += (await examine(shop, _allowed(told))).extra
    except Loss as error:
        loss = str(error)
    finally:
        for each in doing:
            each.cancel()
    return Outcome(named, time.monotonic() - began, True, loss, extra)


async def _later(seconds: float, deed: Callable[[Shop], Awaitable[None]], shop: Shop) -> None:
    await asyncio.sleep(seconds)
    await deed(shop)


def _deed(draw: random.Random) -> tuple[str, Callable[[Shop], Awaitable[None]]]:
    """One thing that goes wrong."""
    kind = draw.choice(("kill", "kill", "trouble", "trouble", "fork"))
    if kind == "kill":
        return "kill", _kill
    if kind == "fork":
        again = draw.choice((None, 3, 20))
        return f"fork, again {again}", lambda shop: _fork(shop, again)
    trouble, seconds = draw.choice(TROUBLES), draw.uniform(0.3, 4.0)

    async def hold(shop: Shop) -> None:
        with trouble.begin(shop):
            await asyncio.sleep(seconds)

    return f"{trouble.name} for {seconds:.1f} s", hold


async def _kill(shop: Shop) -> None:
    shop.keeper.kill()


async def _fork(shop: Shop, again: int | None) -> None:
    """Take back what the chain has done in the last second or two, but never the poster's own words."""
    net = shop.localnet
    assert net is not None
    slots = net.validator.slots
    theirs = [each.slot for each in net.validator.ledger.records() if str(each.accounts[0]) != shop.node]
    floor = max(theirs[-1] if theirs else 0, slots.at(Commitment.FINALIZED).slot)
    if floor < slots.head.slot:
        with suppress(LocalnetError):
            net.faults.set({"kind": "fork", "slot": floor, **({} if again is None else {"again": again})})


def _allowed(told: Told) -> Told:
    """What may come of a job that was disturbed anyhow: its own end, or given back; a container is started thrice."""
    settles = (*told.expected.settles, "quit") if told.expected.settles else ()
    if "complete" in settles:
        settles = (*settles, "finish")
    return replace(told, expected=replace(told.expected, settles=settles, lines=None, most_starts=3))


if __name__ == "__main__":
    main()
