"""Work proofs and precision ladders on the command line: with a running agent, and from the journal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from node.cli import bench
from node.gpu.ladder.record import kept_ladder
from node.journal.journal import Journal
from node.records import LanePhase
from tests.api.double import LADDER, DoublePort
from tests.cli.conftest import Shell
from tests.cli.test_agent import port, settings
from tests.journal.test_work import PROOF

__all__ = ["port", "settings"]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nothing is measured: that takes minutes, and tests/gpu/ladder has it."""
    asked: list[float] = []

    async def measure(settings: Path | None, cpu: bool, seconds: float) -> tuple[str | None, list[bytes]]:
        asked.append(seconds)
        return None, [LADDER]

    monkeypatch.setattr(bench, "_measure", measure)
    return asked


def test_what_a_running_agent_knows(shell: Shell, settings: Path, port: DoublePort) -> None:
    out = " ".join(shell("gpus", "--settings", settings).out.split())
    assert "at least 5.5 TOP/s int8, by the chain's clock" in out
    assert "engine cuda, GPU-1, size 8192, 100 rounds, 4200 J" in out
    assert "work proofs of 24 h: 8.4 of 40.0 kJ" in out
    assert "fp32 40.0 TOP/s" in out
    assert "memory 900.0 GB/s; model: dynamic int8 3.0 times as fast as fp32" in out
    known = shell("gpus", "--settings", settings, "--json").document
    (lane,) = known["work"]
    assert (lane["newest"]["rate"], lane["next_at"]) == (2 * 8192**3 * 100 // 20, 1_700_021_600.0)
    assert known["ladders"][0]["document"] == json.loads(LADDER)


def test_what_the_journal_says_without_an_agent(shell: Shell, settings: Path) -> None:
    before = shell("gpus", "--settings", settings, "--json").document
    assert (before["work"], before["ladders"]) == ([], [])
    place_of = shell.home / "data" / "journal.sqlite"

    async def fill() -> None:
        async with await Journal.open(place_of, lambda: 100.0) as journal:
            run = await journal.work.begin("main", "cpu", "cpu", 1.0)
            await journal.work.done(run, PROOF, "name", [])

    from node.cli import place

    place.run(fill())
    known = shell("gpus", "--settings", settings, "--json").document
    (lane,) = known["work"]
    assert lane["newest"]["cid"] == PROOF.reference.cid
    assert lane["next_at"] == PROOF.reference.made_ms / 1000 + 6 * 3600
    assert "42 J" in shell("gpus", "--settings", settings).out


def test_a_ladder_is_measured_while_the_lanes_rest_and_kept_by_the_agent(
    shell: Shell, settings: Path, port: DoublePort, measured: list[float]
) -> None:
    refused = shell("bench", "gpu", "--settings", settings)
    assert refused.status == 1
    assert "working" in refused.err
    assert measured == [], "a job is not disturbed"
    port.lane = replace(port.lane, phase=LanePhase.PAUSED)
    answer = shell("bench", "gpu", "--settings", settings, "--json")
    assert answer.document["kept"] is True
    assert ("keep_ladder", LADDER) in port.told


def test_a_ladder_is_kept_in_the_journal_where_no_agent_runs(
    shell: Shell, settings: Path, measured: list[float]
) -> None:
    assert "kept in the journal" in shell("bench", "gpu", "--settings", settings).out
    (ladder,) = shell("gpus", "--settings", settings, "--json").document["ladders"]
    assert ladder["digest"] == kept_ladder(LADDER).digest
    assert "not kept: there are no settings" in shell("bench", "gpu").out
