"""`python -m tests.faults.matrix`: kill -9 at every mark, every fault at every stage, every fork.

--only crash|birth|troubles|forks   one of the matrices; again for several
--mark journal.stage                crash positions of this mark only; again for several
--scene finish                      crash positions of this scenario only; again for several
--sample N --seed S                 N cases of each matrix, drawn from a seed that is printed
--slice                             a minute of everything: few cases, kills in one of the scenarios
--workers N                         chains and agents side by side
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors

from node.marks import Mark
from tests.e2e import images
from tests.e2e.registry import registry
from tests.faults import birth, crash, forks, troubles
from tests.faults.coverage import ELSEWHERE
from tests.faults.crash import Case, Outcome
from tests.faults.order import Position
from tests.faults.scenes import Scene, scenes
from tests.faults.shop import Shop, shop
from tests.faults.starts import counted
from tests.faults.workers import Ground, Report, worked

MATRICES = ("crash", "birth", "troubles", "forks")
SLICE = 1
"""Cases of each matrix in a slice, twice as many kills, and scenarios."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for."""

    only: tuple[str, ...] = MATRICES
    marks: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()
    sample: int | None = None
    seed: int = 0
    workers: int = 3
    real: bool = False
    case: str = ""


def main() -> None:
    """Run what is asked for, print it, and exit with 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=MATRICES, default=[])
    parser.add_argument("--mark", action="append", choices=[each.value for each in Mark], default=[])
    parser.add_argument("--scene", action="append", default=[])
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--case", default="")
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--slice", action="store_true")
    asked = parser.parse_args()
    only = ("crash",) if asked.mark or asked.scene or asked.real else MATRICES
    if asked.slice:
        asked.sample = SLICE
        asked.scene = random.Random(asked.seed).sample([each.name for each in scenes(None)], SLICE)
    # A store whose client was killed says so at length.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    wanted = Wanted(
        only=tuple(asked.only) or only,
        marks=tuple(asked.mark),
        scenes=tuple(asked.scene),
        sample=asked.sample,
        seed=asked.seed,
        workers=asked.workers,
        real=asked.real,
        case=asked.case,
    )
    try:
        images.connect().close()
    except images.NoEngine as error:
        print(f"skipped: {error}")
        return
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gpf-", ignore_cleanup_errors=True) as folder:
        reports = asyncio.run(run(Path(folder), wanted))
        lost = [outcome for report in reports for outcome in report.losses]
        if lost:
            kept = Path(tempfile.mkdtemp(prefix="gpf-lost-"))
            Path(folder).rename(kept / "files")
            print(f"files of what went wrong: {kept}")
            Path(folder).mkdir()
    print()
    for report in reports:
        print(report)
    runs = sum(len(report.outcomes) for report in reports)
    print(f"{len(Mark)} marks, {runs} runs, {len(lost)} losses, {time.monotonic() - began:.0f} s (seed {wanted.seed})")
    sys.exit(1 if lost else 0)


async def run(folder: Path, wanted: Wanted) -> list[Report]:
    """Every matrix that is wanted, one after the other."""
    with ExitStack() as stack:
        engine = images.connect()
        stack.callback(engine.close)
        ground = Ground(folder, engine, stack.enter_context(counted(engine)), images.busybox_image(engine), wanted.real)
        pulled = _pullable(engine, folder, stack)
        played = {each.name: each for each in scenes(pulled)}
        reports = []
        if "crash" in wanted.only:
            reports.append(await crashes(ground, wanted, played))
        if "birth" in wanted.only:
            reports.append(await births(ground, wanted))
        if "troubles" in wanted.only:
            reports.append(await all_troubles(ground, wanted, played["finish"]))
        if "forks" in wanted.only:
            drawn = _drawn(forks.cases(), wanted)
            reports.append(await worked(ground, "forks", drawn, forks.forked, workers=wanted.workers))
        return reports


async def crashes(ground: Ground, wanted: Wanted, played: dict[str, Scene]) -> Report:
    """Trace each scenario once; then a run for each position of each."""
    names = [name for name in played if not wanted.scenes or name in wanted.scenes]
    traces = await _traces(ground, [played[name] for name in names], wanted.workers)
    found = [
        Case(name, str(position), position)
        for name in names
        for position in traces[name]
        if not wanted.marks or position.mark in wanted.marks
    ]
    passed = {position.mark for trace in traces.values() for position in trace}
    ground.say(f"{len(passed)} marks, {len(found)} positions: " + ", ".join(f"{k} {len(traces[k])}" for k in names))
    forgotten = set(Mark) - passed - set(ELSEWHERE)
    if forgotten and not wanted.scenes:
        raise AssertionError(f"no scenario passes these marks: {sorted(forgotten)}")

    async def play(shop: Shop, case: Case) -> Outcome:
        assert case.position is not None
        return await crash.killed(shop, played[case.scene], case.position)

    drawn = _drawn(found, wanted, times=2)
    return await worked(ground, "crash", drawn, play, workers=wanted.workers)


async def _traces(ground: Ground, played: list[Scene], workers: int) -> dict[str, list[Position]]:
    traces: dict[str, list[Position]] = {}

    async def play(shop: Shop, case: Case) -> Outcome:
        scene = next(each for each in played if each.name == case.scene)
        began = time.monotonic()
        traces[scene.name] = await crash.traced(shop, scene)
        counts = Counter(str(each.mark) for each in traces[scene.name] if each.when == "before")
        ground.say(f"{scene.name}: " + ", ".join(f"{mark} {count}" for mark, count in sorted(counts.items())))
        return Outcome(case, time.monotonic() - began, hit=True)

    report = await worked(ground, "trace", [Case(each.name, "undisturbed") for each in played], play, workers=workers)
    if report.losses:
        raise AssertionError(f"undisturbed scenarios went wrong: {[str(each) for each in report.losses]}")
    return traces


async def births(ground: Ground, wanted: Wanted) -> Report:
    """A kill at each position of an agent's first start, on fresh keys and data."""
    async with shop(ground.folder / "first", ground.engine, ground.starts, ground.image) as made:
        first = made.keeper.post.passed()
    found = [Case("birth", str(each), each) for each in first if not wanted.marks or each.mark in wanted.marks]
    return await birth.births(ground, _drawn(found, wanted), workers=wanted.workers)


async def all_troubles(ground: Ground, wanted: Wanted, finish: Scene) -> Report:
    """Each fault at each stage."""

    async def play(shop: Shop, case: Case) -> Outcome:
        return await troubles.troubled(shop, finish, case)

    drawn = _drawn(troubles.cases(), wanted)
    return await worked(ground, "troubles", drawn, play, workers=wanted.workers, proxied=True)


def _drawn(cases: list[Case], wanted: Wanted, *, times: int = 1) -> list[Case]:
    found = [each for each in cases if wanted.case in f"{each.scene} {each.what}"]
    return found if wanted.sample is None else crash.chosen(found, times * wanted.sample, wanted.seed)


def _pullable(engine: docker.APIClient, folder: Path, stack: ExitStack) -> str | None:
    """Name of the image in a registry of our own; None where there is none to run."""
    try:
        (folder / "registry").mkdir()
        host = stack.enter_context(registry(folder / "registry"))
    except images.NoEngine as error:
        print(f"no scenario that pulls: {error}")
        return None
    # One that this engine does not have: what was there before the agent pulled it is not the agent's to remove.
    made, name = images.image_of({"pulled": os.urandom(16)}, client=engine, name="pulled"), f"{host}/faults/busybox"
    engine.tag(made, name, "1")
    engine.push(f"{name}:1")
    engine.remove_image(f"{name}:1")
    engine.remove_image(made)
    stack.callback(_forget, engine, f"{name}:1")
    return f"{name}:1"


def _forget(engine: docker.APIClient, image: str) -> None:
    with suppress(docker.errors.ImageNotFound):
        engine.remove_image(image, force=True)


if __name__ == "__main__":
    main()
