"""The doctor's row on remote data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from node.agent.doctor_resources import resource_finding
from node.settings import Settings

LANE = {"wallet": "w.json", "market": "7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41"}


def settings(data: Path, disk_free: int = 0, **resources: Any) -> Settings:
    return Settings.model_validate(
        {
            "cluster": "localnet",
            "host": {"country": "NL"},
            "lanes": [LANE],
            "limits": {"disk_free": disk_free},
            "paths": {"data": str(data)},
            "resources": resources,
        }
    )


async def test_what_is_kept_and_where(tmp_path: Path) -> None:
    entry = tmp_path / "resources/entries/key/data"
    entry.mkdir(parents=True)
    with (entry / "model").open("wb") as file:
        file.truncate(3 << 30)
    row = await resource_finding(settings(tmp_path, cache="20 GiB"))
    assert row.ok is True
    assert row.seen.startswith(f"3.0 of 20 GiB kept in {tmp_path}/resources, ")


async def test_no_room(tmp_path: Path) -> None:
    row = await resource_finding(settings(tmp_path / "not/yet", disk_free=1 << 60))
    assert row.ok is None
    assert "resources.folder" in row.fix
    assert not (tmp_path / "not").exists()


async def test_a_place_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    row = await resource_finding(settings(tmp_path, folder=str(tmp_path / "file/resources")))
    assert row.ok is False


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_of_another_user(tmp_path: Path) -> None:
    row = await resource_finding(settings(tmp_path, folder="/usr/resources"))
    assert row.ok is False
