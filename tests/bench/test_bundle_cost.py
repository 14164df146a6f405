"""The figures of bundles can be taken."""

from __future__ import annotations

import json

import pytest

from tests.bench.bundle_cost import main


@pytest.mark.long
def test_figures_of_bundles(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--times", "1", "--lines", "50", "--size", "256", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert set(figures) == {"redacted", "work", "full"}
    assert figures["work"]["bytes"] > 1_000_000
    for known in figures.values():
        assert known["verify_ms"]["most"] >= known["verify_ms"]["mean"] > 0
