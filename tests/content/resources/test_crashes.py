"""The agent ends at each write and effect of the desk; the next one goes on, and nothing is left over."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.marks import Mark, When
from tests.content.resources.life import BUDGET, desk_at, live
from tests.content.resources.store import Store, store_server
from tests.content.resources.wants import contents, have, known, s3

FILES = {f"{name}/file": os.urandom(1_000_000) for name in "abc"}
MARKS = [mark for mark in Mark if mark.startswith("resource.")]


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with store_server(Store(dict(FILES))) as running:
        yield running


async def life(root: Path, url: str, mark: str, when: str) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.content.resources.life", str(root), url, mark, when
    )
    return await process.wait()


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "mark", [pytest.param(mark, marks=() if mark is Mark.RESOURCE_PIN else pytest.mark.long) for mark in MARKS]
)
async def test_an_end_at(mark: Mark, when: When, store: Store, tmp_path: Path) -> None:
    root = tmp_path / "resources"
    assert await life(root, store.url, mark, when) == 9, "the scene does not pass this mark"
    for entry in (root / "entries").iterdir():
        # What looks whole is whole.
        assert contents(entry / "data")["file"] in FILES.values()
    desk = desk_at(root)
    await desk.tidy(known("first", "second", "third"))
    (shared, own) = await have(desk, s3(f"{store.url}/a"), s3(f"{store.url}/a", writable=True), run="first")
    assert contents(shared) == contents(own) == {"file": FILES["a/file"]}
    for run in ("first", "second", "third"):
        await desk.release(run)
    await live(desk, store.url)
    assert list((root / "copies").iterdir()) == []
    assert list((root / "trash").iterdir()) == []
    assert list((root / "partial").iterdir()) == []
    assert sum(path.stat().st_size for path in root.rglob("file")) <= BUDGET
    assert {path.name for path in (root / "pins").iterdir()} == {"second.json", "third.json"}


async def test_a_life_to_its_end(store: Store, tmp_path: Path) -> None:
    assert await life(tmp_path / "resources", store.url, "", "") == 0
