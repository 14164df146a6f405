"""Keeps an outage that lasts for hours from filling the log with the same lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

REMIND_AFTER = 600.0
"""Seconds after which a line that goes on repeating is said again."""
MOST_LINES = 256
CHECKING = "checking:"
"""How the lines of a lane begin that looks again and again whether it can serve."""


class Repeats(logging.Filter):
    """Lets a trouble's line through once, and again every ten minutes with how often it was said meanwhile.

    Trouble is what is logged as a warning or worse, and a lane's repeated checks. Any other line of the same lane and
    logger is a sign that things move again: what comes after it is news, even if it was said before.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._said: dict[tuple[str, str], dict[str, tuple[float, int]]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is printed."""
        message = record.getMessage()
        scope = (record.name, str(getattr(record, "lane", "")))
        if record.levelno < logging.WARNING and not message.startswith(CHECKING):
            self._said.pop(scope, None)
            return True
        said = self._said.setdefault(scope, {})
        if len(said) > MOST_LINES:
            said.clear()
        last, unsaid = said.get(message, (None, 0))
        if last is not None and self._now() - last < REMIND_AFTER:
            said[message] = (last, unsaid + 1)
            return False
        said[message] = (self._now(), 0)
        if unsaid:
            record.msg, record.args = f"{message} (said {unsaid} more times meanwhile)", None
        return True
