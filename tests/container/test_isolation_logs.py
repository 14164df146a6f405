"""Floods of output: they end at the job's budget, cost the agent little, and what is missing is said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from node.container import attendance, follower
from node.container.docker import DockerEngine
from node.container.engine import LogFrame
from node.container.follower import collect
from node.container.log import LOST_NOTE, LogEntry, LogKeeper, read_entries
from node.container.runner import OperationRunner
from node.container.stop import StopSignal
from node.job.result import flow_state
from node.records import Address, EndCause, OperationState, OperationStatus, Outcome
from tests.container.engine_double import FakeEngine
from tests.container.operations import LIMITS, operation

MIB = 1024**2


def frame(index: int, text: bytes = b"x\n") -> LogFrame:
    return LogFrame("stdout", f"2026-11-20T12:00:{index:02d}.000000000Z", text)


def kept(path: Path) -> list[LogEntry]:
    return list(read_entries(path, last=None))


# --- the keeper -------------------------------------------------------------------------------------------------


def test_a_cut_says_why_and_stands(tmp_path: Path) -> None:
    keeper = LogKeeper(tmp_path / "log", MIB)
    keeper.add([frame(1)])
    keeper.cut("too slow.")
    keeper.cut("again.")
    keeper.add([frame(2)])
    assert keeper.digest("log").truncated
    keeper.close()
    assert [(entry.type, entry.log) for entry in kept(tmp_path / "log")] == [
        ("stdout", "x\n"),
        ("nodeerr", "The log was cut here: too slow.\n"),
    ]
    again = LogKeeper(tmp_path / "log", MIB)
    assert again.truncated
    again.close()


@pytest.mark.parametrize("whole", [True, False], ids=["read whole", "by time"])
@pytest.mark.parametrize("thrown_away", [0, 3, 6])
def test_what_the_engine_threw_away_is_said(tmp_path: Path, whole: bool, thrown_away: int) -> None:
    """Taken up again after six entries, of which (and of what came behind them) the engine has lost the first."""
    path = tmp_path / "log"
    keeper = LogKeeper(path, MIB)
    keeper.add([frame(index, f"{index}\n".encode()) for index in range(6)])
    keeper.close()
    again = LogKeeper(path, MIB)
    again.is_of_one_container = whole
    since = again.resume()
    assert (since is None) == whole
    left = [frame(index, f"{index}\n".encode()) for index in range(thrown_away + (thrown_away == 6), 10)]
    again.add([each for each in left if since is None or each.timestamp >= since])
    again.close()
    # By its times alone, a log whose last kept entries are still there has lost nothing.
    is_lost = thrown_away > 0 if whole else thrown_away == 6
    assert again.truncated == is_lost
    text = [entry.log for entry in kept(path)]
    assert text[:6] == [f"{index}\n" for index in range(6)]
    assert text[6:] == ([LOST_NOTE] if is_lost else [f"{index}\n" for index in range(6, 10)])


class Endless(FakeEngine):
    """Its record of a log never ends."""

    async def logs(
        self, container: str, since: str | None = None, *, follow: bool = True
    ) -> AsyncIterator[Sequence[LogFrame]]:
        while True:
            yield [frame(1)]
            await asyncio.sleep(0.001)


async def test_collecting_ends(tmp_path: Path) -> None:
    keeper = LogKeeper(tmp_path / "log", 1 << 30)
    await collect(Endless(), "container", keeper, seconds=0.3)
    keeper.close()
    assert keeper.truncated
    entries = kept(tmp_path / "log")
    assert len(entries) > 1
    assert entries[-1].type == "nodeerr"
    assert "could not be read within 0.3 s" in entries[-1].log


# --- real floods ------------------------------------------------------------------------------------------------


class Watch:
    """The agent's own process meanwhile."""

    def __init__(self) -> None:
        self.lag = 0.0
        self.grown = 0

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        before = resident()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._watch(before))
            try:
                yield
            finally:
                task.cancel()

    async def _watch(self, before: int) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.05)
            self.lag = max(self.lag, time.monotonic() - began - 0.05)
            self.grown = max(self.grown, resident() - before)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


FLOODS = {
    "short lines on stderr": "yes >&2",
    "one line without end": "tr '\\0' x < /dev/zero",
    "rubbish": "cat /dev/urandom",
    "both streams": "yes & yes >&2",
}


@pytest.mark.docker
@pytest.mark.parametrize(
    "flood", [each if each == "rubbish" else pytest.param(each, marks=pytest.mark.long) for each in FLOODS]
)
async def test_a_flood_is_cut_and_the_agent_stays_small_and_quick(
    docker_engine: DockerEngine,
    docker_client: docker.APIClient,
    busybox_image: str,
    node_address: str,
    tmp_path: Path,
    flood: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attendance, "DRAIN_SECONDS", 2.0)
    budget = 8 * MIB
    op = operation(busybox_image, node_address, FLOODS[flood], limits=replace(LIMITS, log_bytes=budget))
    stop = StopSignal()
    seen: list[int] = []

    async def on_change(state: OperationState) -> None:
        if state.ended_ms is not None and state.container_id is not None:
            record = Path(docker_client.inspect_container(state.container_id)["LogPath"])
            if record.parent.exists():
                seen.extend(path.stat().st_size for path in record.parent.glob("*-json.log*"))

    async def end_later(path: Path) -> None:
        while not path.exists() or b'"type":"nodeerr"' not in path.read_bytes()[-500:]:
            await asyncio.sleep(0.3)
        await asyncio.sleep(3)
        stop.request(EndCause.EXPIRED)

    runner = OperationRunner(docker_engine, tmp_path, stop_grace=1.0)
    watch = Watch()
    async with watch.watching(), asyncio.TaskGroup() as group:
        group.create_task(end_later(tmp_path / runner.log_name(op)))
        state = await runner.run_operation(op, None, on_change=on_change, stop=stop)
    assert state.status is OperationStatus.SUCCESS  # its time was over
    assert state.log is not None
    assert state.log.truncated
    assert state.log.length <= budget
    assert watch.grown < 100 * MIB
    assert watch.lag < 5
    if seen:  # where this user can see the engine's record
        assert sum(seen) <= 2 * (budget + 2 * MIB)
    # The result says so too: its last entry.
    outcome = Outcome(Address("job"), EndCause.EXPIRED, 0, 1, (state,))
    document = flow_state(outcome, None, {0: read_entries(tmp_path / state.log.path)})
    last = document["opStates"][0]["logs"][-1]
    assert last["type"] == "nodeerr"
    assert "limited to" in last["log"]


@pytest.mark.long
@pytest.mark.docker
async def test_a_flood_that_is_not_read_to_its_end_in_time_holds_nobody(
    docker_engine: DockerEngine,
    busybox_image: str,
    node_address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under a budget that is far from used up, the engine holds more than can be read in the time there is."""
    monkeypatch.setattr(attendance, "DRAIN_SECONDS", 0.5)
    monkeypatch.setattr(follower.collect, "__defaults__", (0.5,))
    op = operation(busybox_image, node_address, "yes | head -c 40000000; yes >&2", limits=replace(
        LIMITS, log_bytes=2048 * MIB))  # fmt: skip
    stop = StopSignal()

    async def on_change(state: OperationState) -> None:
        pass

    async def end_later() -> None:
        await asyncio.sleep(8)
        stop.request(EndCause.EXPIRED)

    runner = OperationRunner(docker_engine, tmp_path, stop_grace=0.5)
    async with asyncio.TaskGroup() as group:
        group.create_task(end_later())
        began = time.monotonic()
        state = await runner.run_operation(op, None, on_change=on_change, stop=stop)
    assert time.monotonic() - began < 60
    assert state.log is not None
    assert state.log.truncated
    last = kept(tmp_path / state.log.path)[-1]
    assert (last.type, "could not be read" in last.log) == ("nodeerr", True)
