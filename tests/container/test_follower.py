"""Following: many small frames in few writes, nothing lost when it is cut off."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from node.container.engine import LogFrame
from node.container.follower import collect, follow
from node.container.log import LogKeeper, read_entries
from node.errors import EngineUnavailable
from tests.container.engine_double import FakeEngine

LINES = 5000


def frame(index: int) -> LogFrame:
    return LogFrame("stdout", f"2026-11-20T12:00:00.{index:09d}Z", f"{index}\n".encode())


class Flood(FakeEngine):
    """Sends a line at a time, as Docker does."""

    def __init__(self, *, break_at: int = LINES, stay: bool = False) -> None:
        super().__init__()
        self.break_at = break_at
        self.stay = stay

    async def logs(
        self, container: str, since: str | None = None, *, follow: bool = True
    ) -> AsyncIterator[Sequence[LogFrame]]:
        for index in range(LINES):
            if follow and index == self.break_at:
                raise EngineUnavailable("the connection broke")
            if since is None or frame(index).timestamp >= since:
                yield [frame(index)]
        while follow and self.stay:
            await asyncio.sleep(3600)


class CountingKeeper(LogKeeper):
    """Counts its batches; each takes a moment."""

    batches = 0

    def add(self, frames: Sequence[LogFrame]) -> None:
        self.batches += 1
        time.sleep(0.001)
        super().add(frames)


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[CountingKeeper]:
    keeper = CountingKeeper(tmp_path / "a.jsonl", 1 << 24)
    yield keeper
    keeper.close()


def kept(keeper: LogKeeper) -> list[str]:
    return [entry.log for entry in read_entries(keeper.path)]


async def test_a_flood_of_short_lines_is_written_in_few_batches(keeper: CountingKeeper) -> None:
    await follow(Flood(), "c", keeper)
    assert kept(keeper) == [f"{index}\n" for index in range(LINES)]
    assert keeper.batches < LINES / 50


async def test_a_quiet_stream_is_written_without_waiting_for_more(keeper: CountingKeeper) -> None:
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        following = group.create_task(follow(Flood(stay=True), "c", keeper))
        while len(kept(keeper)) < LINES:
            await asyncio.sleep(0.01)
        following.cancel()


async def test_a_broken_stream_keeps_what_came(keeper: CountingKeeper) -> None:
    engine = Flood(break_at=3000)
    with pytest.raises(EngineUnavailable):
        await follow(engine, "c", keeper)
    assert kept(keeper) == [f"{index}\n" for index in range(3000)]
    await collect(engine, "c", keeper)
    assert kept(keeper) == [f"{index}\n" for index in range(LINES)]


async def test_a_cancelled_follow_is_never_overtaken(keeper: CountingKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, entered = threading.Event(), threading.Event()
    add = keeper.add

    def slow(frames: Sequence[LogFrame]) -> None:
        entered.set()
        gate.wait(5)
        add(frames)

    monkeypatch.setattr(keeper, "add", slow)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        following = group.create_task(follow(Flood(stay=True), "c", keeper))
        await asyncio.to_thread(entered.wait, 5)
        following.cancel()
        await asyncio.sleep(0.05)
        assert not following.done()
        gate.set()
    await collect(Flood(), "c", keeper)
    assert kept(keeper) == [f"{index}\n" for index in range(LINES)]
