"""What the second verifier must not use."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent
VERIFIER = sorted(each for each in HERE.glob("*.py") if not each.name.startswith("test_"))


@pytest.mark.parametrize("path", VERIFIER, ids=lambda path: path.stem)
def test_it_shares_no_code_with_the_product(path: Path) -> None:
    used = set()
    for each in ast.walk(ast.parse(path.read_text())):
        if isinstance(each, ast.Import):
            used |= {name.name for name in each.names}
        elif isinstance(each, ast.ImportFrom):
            assert each.level == 0
            used.add(each.module or "")
    for name in used:
        assert name.split(".")[0] not in ("node", "solders", "solana"), name
        assert not name.startswith("tests.") or name.startswith("tests.proof.outside."), name


def test_there_is_something_to_hold_to_it() -> None:
    assert {"encoding", "signed", "work"} <= {path.stem for path in VERIFIER}
