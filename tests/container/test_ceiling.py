"""Limits that an engine cannot raise for its containers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.container.ceiling import ceilings

LIMITS = (
    "Limit                     Soft Limit           Hard Limit           Units\n"
    "Max open files            1024                 {}                files\n"
    "Max locked memory         8388608              8388608              bytes\n"
    "Max file size             unlimited            unlimited            bytes\n"
)
WITHOUT, WITH = "Name:\tx\nCapEff:\t000001fffeffffff\n", "Name:\tx\nCapEff:\t000001ffffffffff\n"


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield path


@pytest.mark.parametrize(
    ("status", "hard", "ceiling"),
    [
        (WITHOUT, "20000", {"nofile": 20000, "memlock": 8388608}),
        (WITH, "20000", {}),
        (WITHOUT, "unlimited", {"memlock": 8388608}),
        ("odd", "20000", {}),
    ],
)
def test_ceiling(listening: Path, tmp_path: Path, status: str, hard: str, ceiling: dict[str, int]) -> None:
    own = tmp_path / "proc" / str(os.getpid())
    own.mkdir(parents=True)
    (own / "status").write_text(status)
    (own / "limits").write_text(LIMITS.format(hard))
    assert ceilings(listening, tmp_path / "proc") == ceiling


def test_unknown_is_no_ceiling(listening: Path, tmp_path: Path) -> None:
    assert ceilings(listening, tmp_path) == {}
    assert ceilings(tmp_path / "none.sock") == {}
