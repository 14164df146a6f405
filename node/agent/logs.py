"""The agent's log: plain lines or JSON lines on stderr, each with the lane it belongs to."""

from __future__ import annotations

import json
import logging
import sys
import time

from node.errors import GpunodeError
from node.turns import current_lane as current_lane

NOISY = ("httpx", "httpcore", "websockets", "asyncio", "docker", "urllib3", "aiohttp.access")
"""Libraries whose chatter is not ours; their warnings stay. Some would log addresses with secrets in them."""


def visible(text: str) -> str:
    """The text with control characters made visible."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class _Lane(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.lane = current_lane.get()
        return True


class PlainFormatter(logging.Formatter):
    """`2026-01-31T12:00:00Z INFO main message`. An expected error is one line with its hint, never a traceback."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(lane)s%(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 (the base's name)
        return time.strftime(datefmt or "%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))

    def format(self, record: logging.LogRecord) -> str:
        lane = getattr(record, "lane", "")
        record = logging.makeLogRecord({**record.__dict__, "lane": f"{lane} " if lane else ""})
        _shorten(record)
        # Messages quote strangers: images, endpoints, gateways. One record stays one line, and drives no terminal.
        record.msg, record.args = visible(record.getMessage()), None
        return "\n".join(visible(line) for line in super().format(record).split("\n"))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (unix seconds), level, lane, logger, message, and `traceback` for bugs."""

    def format(self, record: logging.LogRecord) -> str:
        record = logging.makeLogRecord(record.__dict__)
        _shorten(record)
        line = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "lane": getattr(record, "lane", ""),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in json.dumps(line, ensure_ascii=False))


def set_up_logging(formatter: logging.Formatter, level: int = logging.INFO) -> None:
    """Send all logs to stderr; replaces what an earlier call set up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(_Lane())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in NOISY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _shorten(record: logging.LogRecord) -> None:
    """Turn an expected error into one line."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, GpunodeError):
        hint = f" ({error.hint})" if error.hint else ""
        record.msg, record.args = f"{record.getMessage()}: {error.message}{hint}", None
        record.exc_info, record.exc_text = None, None
