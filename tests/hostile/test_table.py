"""The manual's table of attacks and these tests are about the same."""

from __future__ import annotations

import ast
import re
from pathlib import Path

FOLDER = Path(__file__).parent
MANUAL = FOLDER.parents[1] / "deploy" / "README.md"


def test_every_attack_is_in_the_manual_and_every_test_there_exists() -> None:
    section = MANUAL.read_text().partition("### What was tried on it")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")][1:]
    assert all(len(row) == 3 and all(cell.strip() for cell in row) for row in rows)
    named = [name for row in rows for name in re.findall(r"`(test_\w+)`", row[2])]
    assert sorted(named) == sorted(_tests())


def test_there_are_enough_of_them() -> None:
    assert len(_tests()) >= 60


def _tests() -> list[str]:
    found = []
    for file in FOLDER.glob("test_*.py"):
        if file.name == Path(__file__).name:
            continue
        tree = ast.parse(file.read_text())
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        found += [name for name in names if name.startswith("test_")]
    return found
