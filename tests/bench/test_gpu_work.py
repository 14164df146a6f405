"""The figures of a work proof, small."""

from __future__ import annotations

import json

import pytest

from tests.bench.gpu_work import main


def test_figures_of_a_small_proof(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seconds", "0.2", "--size", "256", "--cuts", "1", "--json"]) == 0
    known = json.loads(capsys.readouterr().out)
    assert known["rounds"] > 1
    assert known["operations_per_second"] > 0
    assert known["joules"] is None
    assert len(known["cut_milliseconds"]) == 1
