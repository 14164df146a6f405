"""What GPUs were like before a job, in the journal."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from node.errors import JournalError
from node.journal import schema
from node.journal.gpu_states import KeptStates
from node.journal.journal import Journal
from node.records import Address


async def test_one_set_for_each_lane(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    async with await Journal.open(path, lambda: 100.0) as journal:
        assert await journal.gpu_states.of("main") is None
        await journal.gpu_states.put("main", Address("one"), {"A": "a", "B": "b"})
        await journal.gpu_states.put("other", Address("x"), {"C": "c"})
        await journal.gpu_states.put("main", Address("two"), {"B": "b2"})
    async with await Journal.open(path, lambda: 200.0) as journal:
        assert await journal.gpu_states.of("main") == KeptStates(Address("two"), 100.0, {"B": "b2"})
        await journal.gpu_states.clear("main")
        assert await journal.gpu_states.of("main") is None
        assert await journal.gpu_states.of("other") == KeptStates(Address("x"), 100.0, {"C": "c"})


async def test_a_journal_from_before_gets_the_table(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    before = next(n for n, text in enumerate(schema.MIGRATIONS) if "gpu_states" in text)
    db = sqlite3.connect(path, isolation_level=None)
    assert schema.migrate(db, schema.MIGRATIONS[:before]) == before
    db.close()
    path.chmod(0o600)
    async with await Journal.open(path) as journal:
        await journal.gpu_states.put("main", Address("one"), {"A": "a"})
        assert await journal.gpu_states.of("main") is not None


async def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path / "j.sqlite") as journal:
        rows = journal.gpu_states
    with pytest.raises(JournalError):
        await rows.put("main", Address("one"), {"A": "a"})
