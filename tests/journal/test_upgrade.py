"""Journals as older versions wrote them, opened by today's code: everything is read, and a job under way is gone on
with. The texts in `old/` were written by the code of their time (`old/write.py`)."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from node.errors import JournalError
from node.journal import schema
from node.journal.journal import Journal
from node.journal.reader import JournalReader
from node.records import Assignment, LanePhase, OperationState, OperationStatus, Plan, SettleKind, Stage
from tests.agent.world import World

OLD = Path(__file__).parent / "old"
WRITTEN = {int(path.stem.removeprefix("schema_")): path for path in OLD.glob("schema_*.sql")}
VERSIONS = range(1, len(schema.MIGRATIONS) + 1)


def journal_of(version: int, folder: Path) -> Path:
    """A journal of this schema: as its own code wrote it, or the newest older one that is kept, migrated so far."""
    source = max(number for number in WRITTEN if number <= version)
    path = folder / "journal.sqlite"
    with sqlite3.connect(path) as file:
        file.executescript(WRITTEN[source].read_text())
        assert schema.version_of(file) == source
        schema.migrate(file, schema.MIGRATIONS[:version])
        assert schema.version_of(file) == version
    file.close()
    path.chmod(0o600)
    return path


def test_the_first_is_kept_and_none_is_of_the_future() -> None:
    assert 1 in WRITTEN
    assert max(WRITTEN) <= len(schema.MIGRATIONS)


def shape(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The tables with their columns."""
    with sqlite3.connect(path) as file:
        names = [row[0] for row in file.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        found = {name: file.execute(f"PRAGMA table_info({name})").fetchall() for name in names}
    file.close()
    return found


@pytest.mark.parametrize("version", VERSIONS)
async def test_it_becomes_what_a_new_one_is(version: int, tmp_path: Path) -> None:
    path = journal_of(version, tmp_path)
    await (await Journal.open(path)).close()
    (tmp_path / "new").mkdir()
    await (await Journal.open(tmp_path / "new" / "journal.sqlite")).close()
    assert shape(path) == shape(tmp_path / "new" / "journal.sqlite")
    with sqlite3.connect(path) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert file.execute("PRAGMA foreign_key_check").fetchall() == []
    file.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_reader_reads_it(version: int, tmp_path: Path) -> None:
    path = journal_of(version, tmp_path)
    await (await Journal.open(path)).close()
    async with await JournalReader.open_readonly(path) as reader:
        newest, settled = await reader.jobs()
        assert (newest.stage, newest.settlement) == (Stage.RUN, None)
        assert settled.stage is Stage.DONE
        assert settled.settlement is not None
        assert (settled.settlement.kind, settled.settlement.pay) == (SettleKind.FINISH, 120)
        for run in (newest.run, settled.run):
            assert isinstance(await reader.assignment(run), Assignment)
            assert all(isinstance(state, OperationState) for state in await reader.operations(run))
            for stage in Stage:
                await reader.stage_record(run, stage)
        (link,) = await reader.receipts("main")
        assert link.receipt_cid == settled.receipt_cid
        assert await reader.previous_receipt(newest.run, "main") == (link.receipt_cid, link.settle_signature)
        known = {
            **{"run": settled.run, "address": settled.job, "lane": "main", "name": "main", "node": newest.node},
            **{"apart_from": newest.run, "since": 0.0, "until": 2e9, "key": "genesis_hash", "stage": Stage.RUN},
        }
        for name, read in inspect.getmembers(reader, inspect.iscoroutinefunction):
            needs = [each for each in inspect.signature(read).parameters.values() if each.default is each.empty]
            if name.startswith("_") or name in ("close", "open_readonly"):
                continue
            # A reader that is new asks for something that this test must be told.
            assert {each.name for each in needs} <= known.keys(), name
            by_name = {each.name: known[each.name] for each in needs}
            await read(**by_name)


@pytest.mark.parametrize("version", VERSIONS)
async def test_its_job_under_way_is_gone_on_with(version: int, tmp_path: Path) -> None:
    path = journal_of(version, tmp_path)
    world = World(tmp_path)
    definition = world.content.offer(b"image")
    async with await Journal.open(path) as journal:
        newest, _ = await journal.jobs()
        a = await journal.assignment(newest.run)
        (state,) = await journal.operations(newest.run)
        plan = await journal.stage_record(newest.run, Stage.ADMIT)
    assert isinstance(plan, Plan)
    assert a.job.definition_cid == definition
    assert state.status is OperationStatus.RUNNING
    # What outlives an agent: the chain and the engine.
    world.chain.jobs[a.job.address], world.chain.runs[a.run.address] = a.job, a
    (operation,) = plan.operations
    world.engine.running[operation.spec.name] = asyncio.Event()
    async with world.lane() as lane:
        await world.clock.until(lambda: lane.status.stage is Stage.RUN)
        await world.clock.until(lambda: world.operations.adopted == 1)
        assert (lane.status.phase, world.engine.starts) == (LanePhase.WORKING, 0)
        world.engine.exit(0)
        await world.clock.until(lambda: lane.status.phase is LanePhase.QUEUED, limit=60)
        (done,) = [job for job in await world.journal.jobs() if job.run == newest.run]
        assert done.settlement is not None
        assert (done.settlement.kind, done.stage) == (SettleKind.FINISH, Stage.DONE)
        assert [link.seq for link in await world.journal.receipts("main")] == [1, 2]


async def test_a_newer_one_is_refused_with_what_to_do_and_left_alone(tmp_path: Path) -> None:
    path = journal_of(len(schema.MIGRATIONS), tmp_path)
    with sqlite3.connect(path) as file:
        file.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    file.close()
    shutil.copy(path, tmp_path / "before")
    for open_it in (Journal.open, JournalReader.open_readonly):
        with pytest.raises(JournalError) as caught:
            await open_it(path)
        assert f"schema {len(schema.MIGRATIONS) + 1}" in caught.value.message
        assert "update gpunode" in caught.value.hint
    assert path.read_bytes() == (tmp_path / "before").read_bytes()


@pytest.mark.parametrize("version", VERSIONS[:-1])
async def test_who_only_reads_does_not_change_an_older_one(version: int, tmp_path: Path) -> None:
    path = journal_of(version, tmp_path)
    before = path.read_bytes()
    with pytest.raises(JournalError, match="older schema"):
        await JournalReader.open_readonly(path)
    assert path.read_bytes() == before
