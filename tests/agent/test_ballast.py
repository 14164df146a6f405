"""A full disk: what is held back lets the journal and the results be written, on a real small file system."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from node.agent.health.ballast import PARTS, Ballast
from tests.agent.full_disk import SIZE

ROOT = Path(__file__).parents[2]


def in_small_disk(folder: Path, scene: str) -> dict[str, Any]:
    """What the scene prints, on a file system of 8 MiB that only its process sees."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    mount = f"mount -t tmpfs -o size=8m,mode=700 none {folder}"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here: not root")
    run = f"{mount} && exec {sys.executable} -m tests.agent.full_disk {folder} {scene}"
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", run], capture_output=True, text=True, cwd=ROOT, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


def test_a_full_disk_does_not_stop_the_journal(tmp_path: Path) -> None:
    seen = in_small_disk(tmp_path, "journal")
    assert seen["made"]
    assert seen["held"] == SIZE
    assert seen["free"] == 0
    assert seen["written"] == 40
    assert 0 < seen["held_after"] < SIZE, "a part is given up, not all of it"
    # All is given up before a write fails, and what was written is there, no more and no less.
    assert seen["held_at_last"] == 0
    assert seen["written_in_all"] < 5_000
    assert seen["events"] == 1 + seen["written"] + seen["written_in_all"]
    assert seen["integrity"] == "ok"
    assert seen["short"] == "failing"
    assert (seen["again"], seen["held_again"], seen["writable_again"]) == ("ok", SIZE, 10)


def test_without_a_reserve_the_same_disk_stops_it_unharmed(tmp_path: Path) -> None:
    seen = in_small_disk(tmp_path, "without")
    assert seen["written"] < 40
    assert seen["integrity"] == "ok"
    assert seen["writable_again"] == 10


def test_a_disk_that_is_full_at_the_start_does_not_keep_the_journal_closed(tmp_path: Path) -> None:
    seen = in_small_disk(tmp_path, "start")
    assert seen["written"] == 40
    assert seen["held_after"] < SIZE
    assert seen["integrity"] == "ok"


def test_a_result_is_kept_on_a_full_disk(tmp_path: Path) -> None:
    seen = in_small_disk(tmp_path, "content")
    assert seen["kept"]
    assert "too_large" not in seen
    assert seen["held_after"] == 0, "what could not be kept has tried everything"
    assert seen["integrity"] == "ok"
    assert seen["held_again"] == SIZE


def test_it_is_given_up_in_parts_and_ends(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 80_000)
    assert not ballast.relieve()
    assert ballast.restore()
    assert [ballast.relieve() for _ in range(PARTS + 1)] == [True] * PARTS + [False]
    assert not (tmp_path / "ballast").exists()


def test_its_blocks_are_real(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 1 << 20)
    ballast.restore()
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= 1 << 20


def test_a_smaller_setting_gives_the_rest_back(tmp_path: Path) -> None:
    Ballast(tmp_path / "ballast", 100_000).restore()
    assert Ballast(tmp_path / "ballast", 40_000).restore()
    assert (tmp_path / "ballast").stat().st_size == 40_000
    assert Ballast(tmp_path / "ballast", 0).restore()
    assert not (tmp_path / "ballast").exists()


async def test_many_threads_give_up_no_part_twice(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", 80_000)
    ballast.restore()
    answers = await asyncio.gather(*(asyncio.to_thread(ballast.relieve) for _ in range(20)))
    assert sum(answers) == PARTS
