"""`gpunode verify`: what it prints, and what it takes."""

from __future__ import annotations

import pytest

from node.cli.verification import show
from node.cli.verify import parse_length
from node.errors import UsageError
from node.proof.gather import MOST_EARLIER
from tests.proof.series import Series


async def test_lines_stand_under_what_they_are_about(capsys: pytest.CaptureFixture[str]) -> None:
    series = Series()
    jobs = series.line(3)
    known = (await series.verify(jobs[1])).document()
    show(known, "Nothing failed.")
    printed = capsys.readouterr().out.splitlines()
    titles = [line for line in printed if line and not line.startswith(" ") and ":" not in line]
    assert titles == [
        "Chain", "Receipt", "Result", "Receipts before and after it", "GPU work", "Host card", "Nothing failed.",
    ]  # fmt: skip
    checks = [line for line in printed if line.startswith("  ")]
    assert len(checks) == len(known["checks"])
    assert any(line.startswith("  ✔ proven             receipt_chain: 1 earlier receipt,") for line in checks)
    assert any(line.startswith("  – stated by the node agent: ") for line in checks)
    assert "not checked: could not be looked at, for the reason given" in printed
    # What each label means, strongest first.
    meanings = [line.partition(":")[0] for line in printed if line and ":" in line and not line.startswith(" ")]
    assert meanings == ["proven", "consistent", "stated by the node", "not checked"]


async def test_json_has_a_part_and_a_label_for_each_line() -> None:
    series = Series()
    (told,) = series.line(1)
    known = (await series.verify(told)).document()
    assert set(known) == {"job", "ok", "verified", "checks"}
    assert all(set(check) == {"name", "part", "label", "ok", "detail"} for check in known["checks"])
    assert {check["label"] for check in known["checks"]} == {"proven", "consistent", "stated", "not_checked"}
    stated = {check["name"] for check in known["checks"] if check["label"] == "stated"}
    assert stated
    assert not stated & set(known["verified"])


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("10000", MOST_EARLIER), ("all", MOST_EARLIER)])
def test_how_far_back(text: str, number: int) -> None:
    assert parse_length(text) == number


@pytest.mark.parametrize("text", ["", "-1", "ten", "1.5", "10001", "²", " 3"])
def test_what_is_no_number_of_receipts(text: str) -> None:
    with pytest.raises(UsageError, match="number of receipts"):
        parse_length(text)
