"""Drawing over what was drawn before: what `--watch` commands share."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from node.cli import output

Draw = Callable[[Sequence[str]], None]
_OPEN = "\x1b[?1049h\x1b[?25l"  # a screen of its own, without a cursor
_CLOSE = "\x1b[?25h\x1b[?1049l"


def is_screen() -> bool:
    """Whether stdout is a terminal whose cursor can be moved; colours are another matter (output.on_terminal)."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def size(*, draws: bool) -> tuple[int, int]:
    """Columns and lines that may be filled; what is not drawn has no end."""
    return (output.width(), max(3, shutil.get_terminal_size((100, 24)).lines - 1)) if draws else (10_000, 100_000)


@contextmanager
def screen(*, draws: bool) -> Iterator[Draw]:
    """Draws over what was drawn before, without wiping it first; leaves the terminal as it was."""

    def draw(shown: Sequence[str]) -> None:
        if draws:
            # Each line wipes only what is behind it, and all leaves in one piece: nothing is ever seen empty.
            sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\r\n" for line in shown) + "\x1b[J")
        else:
            sys.stdout.write("\n".join(shown) + "\n\n")
        sys.stdout.flush()

    if draws:
        sys.stdout.write(_OPEN)
    try:
        yield draw
    finally:
        if draws:
            sys.stdout.write(_CLOSE)
            sys.stdout.flush()
