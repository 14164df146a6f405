"""What this host says of itself is measured."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from node.agent import host
from node.agent.host import DiskSpeed, HostFacts, measure_host
from node.errors import SettingsError


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "TEST_BYTES", 1024 * 1024)
    monkeypatch.setattr(host, "TEST_SECONDS", 0.05)


async def test_facts_of_this_host(tmp_path: Path) -> None:
    facts = await measure_host(tmp_path / "data")
    assert facts.cpus == os.cpu_count()
    assert facts.memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    stats = os.statvfs(tmp_path)
    assert facts.storage_bytes == stats.f_blocks * stats.f_frsize
    assert 1 <= facts.disk.iops <= 65_535
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["disk-speed.json"], "the test file is removed"


async def test_the_disk_is_measured_once_a_day(tmp_path: Path) -> None:
    first = await measure_host(tmp_path, now=lambda: 1000.0)
    again = await measure_host(tmp_path, now=lambda: 1000.0 + 86_399)
    assert again.disk == first.disk
    later = await measure_host(tmp_path, now=lambda: 1000.0 + 86_400)
    assert later.disk.measured_at == 87_400.0


@pytest.mark.parametrize("text", ["", "[]", '{"iops": 0, "direct": true, "measured_at": 999}', '{"fast": true}'])
async def test_a_damaged_memory_is_measured_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "disk-speed.json").write_text(text)
    facts = await measure_host(tmp_path, now=lambda: 1000.0)
    assert facts.disk.measured_at == 1000.0
    assert json.loads((tmp_path / "disk-speed.json").read_text())["iops"] == facts.disk.iops


async def test_a_data_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError) as raised:
        await measure_host(tmp_path / "file" / "data")
    assert raised.value.hint


async def test_an_unknown_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "abacus")
    with pytest.raises(SettingsError, match="abacus"):
        await measure_host(tmp_path)


@pytest.mark.parametrize(
    ("memory", "storage", "iops", "expected"),
    [
        (16 * host.GIB - 300 * 1024**2, 500 * host.GIB + 1, 1234, (16, 500, 1234)),
        (100, 100, 1, (1, 1, 1)),
        (2**50, 2**60, 65_535, (65_535, 65_535, 65_535)),
    ],
)
def test_a_profile_fits_the_account(memory: int, storage: int, iops: int, expected: tuple[int, int, int]) -> None:
    facts = HostFacts(
        machine="x86_64",
        architecture=0,
        cpus=8,
        memory_bytes=memory,
        storage_bytes=storage,
        disk=DiskSpeed(iops=iops, direct=True, measured_at=0.0),
        kernel="6",
    )
    profile = facts.profile(country=528, gpus=2, endpoint="", version="1")
    assert (profile.memory, profile.storage, profile.iops) == expected
    assert (profile.cpu, profile.gpu, profile.country) == (8, 2, 528)
