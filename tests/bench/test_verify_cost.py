"""The figures of a verification can be taken."""

from __future__ import annotations

import json

import pytest

from tests.bench.verify_cost import main


def test_figures_of_a_verification(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--times", "2", "--lines", "50", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert set(figures) == {"receipt", "chain", "logs"}
    assert figures["logs"]["result_bytes"] > figures["receipt"]["result_bytes"] > 0
    assert all(known["most_ms"] >= known["mean_ms"] > 0 for known in figures.values())
