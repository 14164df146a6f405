"""kill -9 of a writing process loses nothing that was said to be written."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from node.journal.journal import Journal
from node.records import Refusal, Stage

WRITER = """
import asyncio, sys
from pathlib import Path
from node.journal.journal import Journal
from node.records import Refusal, Stage
from tests.journal.samples import assignment, outbox_row

async def main():
    journal = await Journal.open(Path(sys.argv[1]))
    for number in range(100_000):
        a = assignment(number)
        await journal.begin_job(a)
        print("begun", number, flush=True)
        await journal.outbox.put(outbox_row(f"quit:{number}"))
        print("put", number, flush=True)
        await journal.finish_stage(a.run.address, Stage.FETCH, Refusal(a.job.address, "x" * 2000), Stage.SETTLE)
        print("refused", number, flush=True)

asyncio.run(main())
"""


def killed_after(path: Path, lines: int) -> list[str]:
    """What a writer said before it was killed, at least `lines` lines; the first word of each."""
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, cwd=root) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        said += [line for line in child.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    assert child.returncode == -signal.SIGKILL
    return [line.decode().split()[0] for line in said]


@pytest.mark.parametrize("lines", [5, 40, 121])
async def test_what_was_said_to_be_written_is_there_after_a_kill(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "journal.sqlite"
    said = Counter(killed_after(path, lines))
    async with await Journal.open(path) as journal:
        jobs = await journal.jobs(limit=1_000_000)
        rows = await journal.outbox.pending("main")
        refused = [job for job in jobs if job.stage is Stage.SETTLE]
        # At most the one write that was under way when the process died is more than was said.
        assert 0 <= len(jobs) - said["begun"] <= 1
        assert 0 <= len(rows) - said["put"] <= 1
        assert 0 <= len(refused) - said["refused"] <= 1
        for job in refused:
            assert isinstance(await journal.stage_record(job.run, Stage.FETCH), Refusal)
            assert [time.stage for time in job.stages] == [Stage.FETCH, Stage.SETTLE]
        assert await journal._database.read(lambda db: db.execute("PRAGMA integrity_check").fetchone()[0]) == "ok"
