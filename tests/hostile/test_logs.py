"""Jobs that flood what keeps their output: the engine's copy, the agent's file, the agent itself."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from node.cli.output import printable
from node.container.log import read_entries
from node.content.merkle import MerkleHasher
from tests.hostile import host
from tests.hostile.arena import Arena, Attack

pytestmark = [pytest.mark.docker, pytest.mark.hostile]

MIB = 1024**2
BUDGET = 2 * MIB
ENGINE_MOST = 2 * (BUDGET + MIB) + MIB
"""Some engines keep one file more than they are told."""


@pytest.mark.parametrize(
    "how", [pytest.param("flood 64", marks=pytest.mark.brief), "lines 200000", "spray 60000", "garbage 4000"]
)
async def test_log_flood(arena: Arena, how: str) -> None:
    """A line without end, short lines as fast as they are taken, single bytes, what is no text."""
    sizes: list[int] = []

    async def look(attack: Attack) -> None:
        while attack.state is None:
            sizes.append(_engine_log(arena, attack))
            await attack.tick()

    attack = await arena.fight(*how.split(), look=look, limits={"log_bytes": BUDGET})
    kept = attack.log_file.stat().st_size
    digest = attack.ended.log
    assert digest is not None
    assert kept <= BUDGET
    assert max(sizes, default=0) <= ENGINE_MOST, "the engine's own copy is capped as well"
    assert attack.lag < 1.0
    assert attack.growth < 64 * MIB
    assert digest.truncated
    last = list(read_entries(attack.log_file))[-1]
    assert last.type == "nodeerr"
    hasher = MerkleHasher()
    hasher.update(attack.log_file.read_bytes())
    assert hasher.root() == digest.root
    assert attack.ended.exit_code is not None


async def test_binary_log_forges_nothing(arena: Arena) -> None:
    attack = await arena.fight("garbage", "64")
    lines = attack.log_file.read_bytes().splitlines(keepends=True)
    for line in lines:
        assert line == line.decode().encode()
        entry = json.loads(line)
        assert entry["type"] in ("stdout", "stderr")
        assert not entry["timestamp"].startswith("2000-01-01")
    assert b"\033" not in b"".join(lines), "what a terminal would obey is escaped in the file"
    assert attack.ended.log is not None
    assert not attack.ended.log.truncated


async def test_operators_terminal_is_not_obeyed(arena: Arena) -> None:
    attack = await arena.fight("garbage", "64")
    out = io.StringIO()
    for entry in read_entries(attack.log_file):
        out.write(printable(entry.log))
    shown = out.getvalue()
    assert not [char for char in shown if char != "\n" and char != "\t" and not char.isprintable() and char < "\xa0"]


async def test_log_pipe_held_by_children(arena: Arena) -> None:
    """The job ends while its daemons hold its output: the log ends too, and they do."""
    attack = await arena.fight("daemons", "20", limits={"pids": 2048})
    assert "main ends" in attack.said()
    assert attack.ended.exit_code == 0
    assert host.processes_of(attack.id) == []


def _engine_log(arena: Arena, attack: Attack) -> int:
    folder = Path(arena.client.info()["DockerRootDir"]) / "containers" / attack.id
    try:
        return sum(file.stat().st_size for file in folder.glob("*-json.log*"))
    except OSError:
        return 0
