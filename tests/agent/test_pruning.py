"""What the agent removes of old files."""

from __future__ import annotations

import os
from pathlib import Path

from node.agent.pruning import Pruning, remove_older
from node.journal.journal import Journal
from node.journal.pruning import DAY, Keep
from tests.agent.clock import FakeClock


def sample_file(folder: Path, name: str, written: float) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text("{}\n")
    os.utime(file, (written, written))
    return file


def test_only_old_samples_go(tmp_path: Path) -> None:
    old, new = sample_file(tmp_path, "a.jsonl", 99), sample_file(tmp_path, "b.jsonl", 101)
    other = sample_file(tmp_path, "keep.txt", 1)
    remove_older(tmp_path, 100)
    remove_older(tmp_path / "none", 100)
    assert [each.exists() for each in (old, new, other)] == [False, True, True]


async def test_samples_go_with_the_records_of_their_jobs(tmp_path: Path) -> None:
    for days, stays in ((10, False), (0, True)):
        async with await Journal.open(tmp_path / "journal.sqlite") as journal:
            clock = FakeClock(journal)
            old = sample_file(tmp_path / "samples", "a.jsonl", clock.time() - 11 * DAY)
            pruning = Pruning(journal, Keep(job_days=days), clock, tmp_path / "samples")
            await pruning.once()
        assert old.exists() is stays
