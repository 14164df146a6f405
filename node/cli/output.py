"""What commands share to print: one JSON document, tables, fields, notes.

People read tables: drawn with rich on a terminal, plain aligned columns otherwise, and one block per row where a
terminal is too narrow for the columns. Programs read `--json`: exactly one document on stdout. Notes and progress
go to stderr, so that stdout holds nothing but the answer.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence

LEAST_ROOM = 40
"""Columns below which a text is not set beside its name."""
GAP = 2
"""Spaces between plain columns."""


def on_terminal() -> bool:
    """Whether stdout is a terminal that understands colours and boxes."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb") and "NO_COLOR" not in os.environ


def printable(text: object) -> str:
    """The text with control characters made visible, so that no job or account can drive the terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))


def document(value: object) -> None:
    """Print one JSON document."""
    from node.api.documents import plain

    print(_safe(json.dumps(plain(value), ensure_ascii=False, indent=2 if sys.stdout.isatty() else None)))


def json_line(value: object) -> None:
    """Print one JSON document of a stream of them, one to a line."""
    print(_safe(json.dumps(value, ensure_ascii=False)), flush=True)


def _safe(text: str) -> str:
    # JSON itself escapes only the first 32 control characters; others can drive a terminal, or turn a line around.
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)


def emit(value: object, as_json: bool, show: Callable[[], None]) -> None:
    """The answer of a command: the document for programs, or what `show` prints for people."""
    if as_json:
        document(value)
    else:
        show()


def line(text: str = "") -> None:
    """One line of the answer."""
    print(printable(text) if text else "")


def note(text: str) -> None:
    """One line beside the answer (stderr)."""
    print(printable(text), file=sys.stderr, flush=True)


def width() -> int:
    """Columns of the terminal (or of COLUMNS)."""
    return max(20, shutil.get_terminal_size((100, 24)).columns)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str = "") -> None:
    """A table, or the line `empty` where there are no rows. None is shown as a dash."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        if empty:
            line(empty)
        return
    widths = [max(len(column), *(len(row[i]) for row in cells)) for i, column in enumerate(columns)]
    if not on_terminal():
        for row in [[column.upper() for column in columns], *cells]:
            print((" " * GAP).join(cell.ljust(widths[i]) for i, cell in enumerate(row)).rstrip())
        return
    if sum(widths) + 3 * len(widths) + 1 <= width():
        _draw(columns, cells)
    else:
        for number, row in enumerate(cells):
            if number:
                print()
            fields(zip(columns, row, strict=True))


def fields(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, one pair a line; pairs without a value are left out."""
    shown = [(name, _cell(value)) for name, value in pairs if value is not None]
    widest = max((len(name) for name, _ in shown), default=0)
    bold, plain = ("\x1b[1m", "\x1b[0m") if on_terminal() else ("", "")
    for name, value in shown:
        print(f"{bold}{name.ljust(widest)}{plain}  {value}")


def wrapped(start: str, text: str, margin: int) -> None:
    """A line that begins with `start` (`margin` columns wide); on a terminal its text goes on below itself."""
    lines = [printable(text)]
    if on_terminal():
        if (room := width() - margin) < LEAST_ROOM:
            print(start.rstrip())
            start, margin, room = "    ", 4, width() - 4
        lines = textwrap.wrap(lines[0], room, break_long_words=False, break_on_hyphens=False) or [""]
    print(f"{start}{lines[0]}".rstrip())
    for line_below in lines[1:]:
        print(f"{' ' * margin}{line_below}")


def mark(good: bool | None) -> str:
    """A tick, a cross or a dash, coloured on a terminal; of plain letters where stdout cannot take others."""
    sign, plain, colour = {True: ("✔", "+", "32"), False: ("✘", "x", "31"), None: ("–", "-", "33")}[good]
    sign = sign if takes(sign) else plain
    return f"\x1b[{colour}m{sign}\x1b[0m" if on_terminal() else sign


def arrow() -> str:
    """Leads to what is to be done."""
    return "→" if takes("→") else ">"


def takes(text: str) -> bool:
    """Whether stdout's encoding has these characters."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def heading(text: str) -> None:
    """A line above a block."""
    print(f"\x1b[1m{text}\x1b[0m" if on_terminal() else text)


def _cell(value: object) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(value)


def _draw(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, no_wrap=True)
    for row in cells:
        drawn.add_row(*(Text(cell) for cell in row))
    Console(width=width()).print(drawn)
