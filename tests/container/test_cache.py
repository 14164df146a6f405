"""Images that were pulled for jobs: the longest unused goes first, and never one that somebody has or wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.container.cache import ImageCache
from node.container.disk import EngineDisk
from node.container.engine import ImageInfo
from node.errors import EngineRejected, ImagePullFailed
from node.journal.journal import Journal
from node.retry import Retry
from tests.container.engine_double import FakeEngine
from tests.container.operations import operation
from tests.container.test_runner import QuickClock


class Bench:
    def __init__(self, journal: Journal, clock: QuickClock, folder: Path) -> None:
        self.engine = FakeEngine()
        self.engine.images.clear()
        self.journal = journal
        self.clock = clock
        self.folder = folder
        self.wanted: set[str] = set()
        self.cache = self.life(budget=100)

    def life(self, budget: int | None) -> ImageCache:
        async def wanted() -> frozenset[str]:
            return frozenset(self.wanted)

        return ImageCache(
            self.engine,
            self.journal.images,
            wanted,
            EngineDisk(self.engine, self.folder),
            budget=budget,
            retry=Retry(attempts=1, total=0.0),
            clock=self.clock,
        )

    async def pull(self, name: str, size: int) -> None:
        self.clock.now += 1
        self.engine.image_sizes[name] = size
        await self.cache.pull(name, lambda _line: None)

    async def booked(self) -> dict[str, str]:
        return {row.reference: row.id for row in await self.journal.images.all()}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    clock = QuickClock()
    async with await Journal.open(tmp_path / "journal.sqlite", clock.time) as journal:
        yield Bench(journal, clock, tmp_path)


async def test_the_longest_unused_goes_first_and_use_counts(bench: Bench) -> None:
    for name in ("a:1", "b:1", "c:1"):
        await bench.pull(name, 40)
    bench.clock.now += 1
    assert await bench.cache.present("a:1") is not None
    assert await bench.cache.tidy() == ("b:1",)
    assert set(bench.engine.images) == {"a:1", "c:1"}
    assert set(await bench.booked()) == {"a:1", "c:1"}
    assert await bench.cache.tidy() == ()


async def test_room_is_made_before_the_pull_that_needs_it(bench: Bench) -> None:
    await bench.pull("a:1", 80)
    await bench.pull("b:1", 80)
    await bench.pull("c:1", 1)
    assert set(bench.engine.images) == {"b:1", "c:1"}


async def test_what_the_host_had_is_never_ours(bench: Bench) -> None:
    bench.engine.images["theirs:1"] = ImageInfo("sha256:theirs", (), 10_000, ("theirs:1",))
    assert await bench.cache.present("theirs:1") is not None
    # Pulled under another name, it is what they had: the engine shows one image with two names.
    bench.engine.images["x"] = ImageInfo("sha256:alias:1", (), 10_000, ())
    await bench.pull("alias:1", 10_000)
    assert await bench.booked() == {}
    assert await bench.cache.tidy() == ()
    assert await bench.cache.make_room(1 << 60, frozenset()) == ()


@pytest.mark.parametrize(
    "hold", ["wanted", "named otherwise", "container", "container by id", "tag", "repository", "kept"]
)
async def test_an_image_that_somebody_has_or_wants_stays(bench: Bench, hold: str) -> None:
    await bench.pull("docker.io/library/a:1", 500)
    image = bench.engine.images["docker.io/library/a:1"]
    keep: frozenset[str] = frozenset()
    match hold:
        case "wanted":
            bench.wanted.add("docker.io/library/a:1")
        case "named otherwise":
            bench.wanted.add("a:1")
        case "container":
            await bench.engine.create(operation("a:1", "anybody", "true").container)
        case "container by id":
            bench.engine.foreign_use.add(image.id)
        case "tag":
            bench.engine.images["docker.io/library/a:1"] = replace(image, tags=("a:1", "precious:1"))
        case "repository":
            bench.engine.images["docker.io/library/a:1"] = replace(image, repo_digests=("mirror/a@sha256:0",))
        case "kept":
            keep = frozenset({"a:1"})
    if not keep:
        assert await bench.cache.tidy() == ()
    assert await bench.cache.make_room(1, keep) == ()
    assert "remove_image" not in bench.engine.calls
    assert len(await bench.booked()) == 1


async def test_room_is_made_only_as_far_as_it_is_needed(bench: Bench) -> None:
    for name in ("a:1", "b:1", "c:1"):
        await bench.pull(name, 30)
    assert await bench.cache.make_room(31, frozenset()) == ("a:1", "b:1")
    assert set(bench.engine.images) == {"c:1"}


async def test_an_image_that_is_gone_is_forgotten(bench: Bench) -> None:
    await bench.pull("a:1", 30)
    bench.engine.images.clear()
    await bench.cache.tidy()
    assert await bench.booked() == {}


async def test_a_failed_pull_leaves_nothing(bench: Bench) -> None:
    bench.engine.pull_errors = [ImagePullFailed("no such image", status=404)]
    with pytest.raises(ImagePullFailed):
        await bench.pull("a:1", 30)
    await bench.cache.tidy()
    assert await bench.booked() == {}


@pytest.mark.parametrize("came", [False, True])
async def test_a_pull_that_was_cut_off_is_settled_by_the_next_life(bench: Bench, came: bool) -> None:
    bench.engine.pull_gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        pulling = group.create_task(bench.pull("a:1", 500))
        while not bench.engine.pulls:
            await asyncio.sleep(0.001)
        assert await bench.booked() == {"a:1": ""}, "durable before the pull"
        assert await bench.cache.tidy() == (), "under way: left alone"
        pulling.cancel()
    if came:
        bench.engine.images["a:1"] = ImageInfo("sha256:a", (), 500, ("a:1",))
    assert await bench.life(budget=1000).tidy() == ()
    assert await bench.booked() == ({"a:1": "sha256:a"} if came else {})
    assert await bench.life(budget=100).tidy() == (("a:1",) if came else ())
    assert bench.engine.images == {}


async def test_trouble_with_tidying_fails_no_job(bench: Bench) -> None:
    await bench.pull("a:1", 500)
    bench.engine.fail["images"] = [EngineRejected("broken", status=500)]
    await bench.pull("b:1", 5)
    assert set(bench.engine.images) == {"a:1", "b:1"}
    bench.engine.fail["remove_image"] = [EngineRejected("broken", status=500)]
    assert await bench.cache.tidy() == ("b:1",), "what stays does not keep the next one"
    assert await bench.cache.tidy() == ("a:1",)


async def test_two_lanes_pull_one_image_once(bench: Bench) -> None:
    bench.engine.pull_gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(bench.pull("a:1", 5))
        while not bench.engine.pulls:
            await asyncio.sleep(0.001)
        bench.engine.pull_gate.set()
    assert bench.engine.pulls == ["a:1"]


async def test_the_budget_is_half_of_the_disk_and_at_most_100_gib(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = bench.life(budget=None)
    for total, size, removed in ((1000, 501, True), (1000, 500, False), (1 << 50, 100 * 1024**3 + 1, True)):
        monkeypatch.setattr("shutil.disk_usage", lambda _path, total=total: _Usage(total))
        bench.engine.images.clear()
        await cache.tidy()
        bench.engine.image_sizes["a:1"] = size
        await cache.pull("a:1", lambda _line: None)
        assert bool(await cache.tidy()) is removed, (total, size)


class _Usage:
    def __init__(self, total: int) -> None:
        self.total = self.free = total
