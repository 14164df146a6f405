"""The figures of receipts can be taken."""

from __future__ import annotations

import json

import pytest

from tests.bench.receipt_check import main


def test_figures_of_receipts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--times", "3", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert set(figures) == {"small", "large", "confidential"}
    for known in figures.values():
        assert known["bytes"] > 1000
        assert known["verify_ms"]["most"] >= known["verify_ms"]["mean"] > 0
