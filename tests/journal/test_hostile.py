"""A journal that somebody else wrote, or that is damaged: an error of ours with a hint, never anything else."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import JournalError
from node.journal import codec
from node.journal.journal import Journal
from node.journal.reader import JournalReader
from node.records import OperationState, OperationStatus, Refusal
from tests.journal.samples import address, assignment, booking, lane_status, outbox_row

GOOD = json.loads(codec.encode(Refusal(address(1), "no")))


def changed(**members: Any) -> str:
    return json.dumps({**GOOD, **members})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "[" * 100_000,
        '{"a":' * 100_000,
        "\ud800",
        changed(record=["Refusal"]),
        changed(record={}),
        changed(record="dict"),
        changed(record="__class__"),
        changed(version=True),
        changed(version=[1]),
        changed(version=10**39),
        changed(value=None),
        changed(value=[]),
        changed(value={"job": 5, "reason": "x"}),
        changed(value={"job": "x", "reason": "x", "more": 1}),
        changed(extra=1),
        codec.encode(Refusal(address(1), "no")).replace('"no"', "NaN"),
        codec.encode(Refusal(address(1), "no")).replace('"reason":"no"', '"reason":"no","reason":"yes"'),
        codec.encode(Refusal(address(1), "no")).replace('"no"', '"\\ud800"'),
        codec.encode(Refusal(address(1), "no")).replace('"no"', "1" * 10_000),
    ],
)
def test_hostile_records(text: str) -> None:
    with pytest.raises(JournalError) as caught:
        codec.decode_any(text)
    assert caught.value.hint
    assert len(caught.value.message) < 300


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["job", "reason", "x"]), inner),
    max_leaves=10,
)


@given(st.sampled_from(sorted(codec.KNOWN)), values)
def test_any_value_under_any_name(name: str, value: Any) -> None:
    with suppress(JournalError):
        codec.decode_any(json.dumps({"record": name, "value": value, "version": codec.VERSION}))


async def filled(path: Path) -> None:
    journal = await Journal.open(path)
    await journal.begin_job(assignment(1))
    await journal.begin_life(assignment(1).run.address)
    await journal.images.begin("busybox", ["sha256:1"])
    await journal.outbox.put(outbox_row())
    await journal.save_lane(lane_status())
    await journal.save_operation(assignment(1).run.address, OperationState(0, "op", "group", OperationStatus.RUNNING))
    await journal.outbox.book(booking("x", 5, lane="main"))
    await journal.add_event("hello")
    await journal.close()


async def read_all(path: Path) -> None:
    run = assignment(1).run.address
    journal = await Journal.open(path)
    try:
        await journal.images.all()
        await journal.lanes()
        await journal.jobs()
        await journal.open_jobs("main")
        await journal.assignment(run)
        await journal.operations(run)
        await journal.outbox.pending("main")
        await journal.outbox.spent_since("main", 0)
        await journal.events()
        await journal.meta("created")
        await journal.begin_life(run)
    finally:
        await journal.close()
    async with await JournalReader.open_readonly(path) as reader:
        await reader.latest_events()


def cells(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = []
        for table in tables:
            if db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]:
                found += [(table, row[1]) for row in db.execute(f"PRAGMA table_info({table})")]
    return found


POISON: list[Any] = [None, "", "x", "[", "[" * 5000, "{}", '["a"]', "[1e999]", -(2**63), 1e308, b"\xff\x00", "\x00"]


@pytest.mark.long
async def test_no_cell_of_any_table_can_do_more_than_be_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    await filled(path)
    whole = path.read_bytes()
    assert len(cells(path)) > 20
    hints = []
    for table, column in cells(path):
        for poison in POISON:
            path.write_bytes(whole)
            for beside in tmp_path.glob("journal.sqlite-*"):
                beside.unlink()
            try:
                with closing(sqlite3.connect(path, isolation_level=None)) as db:
                    db.execute(f"UPDATE {table} SET {column} = ?", (poison,))
            except sqlite3.Error:
                continue
            try:
                await read_all(path)
            except JournalError as error:
                hints.append(error.hint)
    assert len(hints) > 20
    assert all(hints)
