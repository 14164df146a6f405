"""Every cheat of the bench, a few times: the blocks are always the same ones, and so is the outcome."""

from __future__ import annotations

import json

import pytest

from tests.bench.work_cheats import Row, late, main, rows


def test_cheats_are_found_as_often_as_theory_says(capsys: pytest.CaptureFixture[str]) -> None:
    for row in rows(24):
        assert row.luck > 0.001, row
        if row.theory == 1:
            assert row.found == row.tries, row
            assert row.by
        if row.cheat.startswith("none"):
            assert row.found == 0


def test_late_answers_are_small_rates() -> None:
    assert late(9) is None
    rates = [late(seconds) or 0 for seconds in (10, 20, 200)]
    assert rates == [rates[0], rates[0] / 2, rates[0] / 20]


def test_the_statistics() -> None:
    row = Row("x", 100, 50, 0.5, "")
    assert [round(each, 3) for each in row.interval] == [0.404, 0.596]
    assert row.luck == pytest.approx(1)
    assert Row("x", 100, 30, 0.5, "").luck == pytest.approx(7.85e-5, rel=0.01)
    assert Row("x", 5, 5, 1.0, "").luck == 1


@pytest.mark.long
def test_it_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tries", "16", "--json"]) == 0
    known = json.loads(capsys.readouterr().out)
    assert known["late"]["9"] is None
    assert len(known["cheats"]) > 20
