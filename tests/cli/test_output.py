"""What is printed for people: on a wide terminal, a narrow one, and a pipe; and every command's help."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from node.cli import amounts, output
from node.cli.app import app
from node.errors import UsageError
from tests.cli.conftest import Shell

ROWS = [["main", None, "A" * 44], ["other", 5, "B" * 44]]
COLUMNS = ["lane", "place", "job"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A terminal; its width is COLUMNS."""
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    return monkeypatch


def test_a_pipe_gets_aligned_columns(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(COLUMNS, ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "LANE   PLACE  JOB",
        "main   –      " + "A" * 44,
        "other  5      " + "B" * 44,
    ]


def test_a_wide_terminal_gets_a_table_and_a_narrow_one_blocks(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.setenv("COLUMNS", "120")
    output.table(COLUMNS, ROWS)
    wide = capsys.readouterr().out
    assert any("lane" in line and "job" in line for line in wide.splitlines())
    assert "A" * 44 in wide
    terminal.setenv("COLUMNS", "60")
    output.table(COLUMNS, ROWS)
    narrow = capsys.readouterr().out.splitlines()
    assert len(narrow) == 7
    assert narrow[2].endswith("A" * 44)
    assert max(map(len, narrow)) < 72


def test_a_long_text_goes_on_below_itself(terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.setenv("COLUMNS", "60")
    output.wrapped("✔ disk  ", "word " * 20, 8)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("✔ disk  word")
    assert all(line.startswith(" " * 8 + "word") for line in lines[1:])
    assert max(map(len, lines)) <= 60
    output.wrapped("✔ a name that leaves no room  ", "word " * 20, 30)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "✔ a name that leaves no room"
    assert lines[1].startswith("    word")
    output.wrapped("", "x" * 100, 0)
    assert capsys.readouterr().out == "x" * 100 + "\n"


def test_a_long_text_stays_one_line_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    output.wrapped("✔ disk  ", "word " * 50, 8)
    assert len(capsys.readouterr().out.splitlines()) == 1


@given(st.text(max_size=200))
def test_nothing_printed_can_drive_a_terminal(text: str) -> None:
    assert all(char.isprintable() for char in output.printable(text))


# --- amounts -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**63))
def test_amounts_read_back_as_written(count: int) -> None:
    assert amounts.parse_sol(amounts.sol(count).removesuffix(" SOL").replace(",", "")) == count
    assert amounts.parse_nos(amounts.nos(count).removesuffix(" NOS").replace(",", "")) == count


@pytest.mark.parametrize("text", ["", "-1", "nan", "inf", "1e400", "0.0000001", "1,5", "5 NOS", "0x10"])
def test_amounts_that_are_none(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        amounts.parse_nos(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, None),
        (0, "0 s"),
        (0.0123, "0.0123 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3661, "1 h 1 min 1 s"),
        (86_400, "1 d"),
    ],
)
def test_durations(seconds: float | None, shown: str | None) -> None:
    assert amounts.duration(seconds) == shown


@pytest.mark.parametrize(("count", "shown"), [(None, None), (0, "0 B"), (1536, "1.5 KiB"), (80 << 30, "80 GiB")])
def test_sizes(count: int | None, shown: str | None) -> None:
    assert amounts.size(count) == shown


@pytest.mark.parametrize("moment", [None, 0, 1e99, -1e99])
def test_moments_that_are_none(moment: float | None) -> None:
    assert amounts.moment(moment) is None or isinstance(amounts.moment(moment), str)


# --- help ----------------------------------------------------------------------------------------------------------


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if path:
        yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*path, name))


EVERY = list(_commands(typer.main.get_command(app)))


def test_every_command_is_looked_at() -> None:
    assert ("job", "post") in EVERY
    assert len(EVERY) > 40


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_help_begins_with_one_sentence_that_fits(shell: Shell, path: tuple[str, ...]) -> None:
    answer = shell(*path, "--help")
    assert answer.status == 0
    paragraphs = answer.out.split("\n\n")
    usage, first = paragraphs[0].strip(), " ".join(paragraphs[1].split())
    assert usage.startswith("Usage: gpunode " + " ".join(path))
    assert first.endswith(".")
    assert first[0].isupper()
    assert ". " not in first
    assert len(first) <= 90
    if "Commands:" not in answer.out:
        assert "json" in answer.out.split("Options:")[0].lower()


def test_a_terminal_of_another_encoding_gets_plain_letters() -> None:
    marks = "output.mark(True) + output.mark(False) + output.mark(None) + output.arrow()"
    program = f"from node.cli import output; output.line({marks})"
    shown = {
        encoding: subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True
        ).stdout
        for encoding in ("utf-8", "latin-1", "ascii")
    }
    assert shown == {"utf-8": "✔✘–→\n".encode(), "latin-1": b"+x->\n", "ascii": b"+x->\n"}


def test_no_command_ends_for_want_of_a_letter() -> None:
    program = "import sys; sys.argv = ['gpunode', 'status']; from node.cli import main; main()"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "GPUNODE_SETTINGS": "/nowhere/ä.yaml"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert done.returncode == 1
    assert b"no such settings file" in done.stderr
