"""What requests to the control socket say, checked; and what is answered where they make no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiohttp import web

from node.bounded_json import JsonRefused, read_json
from node.errors import ControlError
from node.journal.job_filter import JobFilter, JobState

BODY_LIMIT = 16 * 1024
"""Bytes of a request body."""
LOG_CHUNK = 256 * 1024
"""Bytes of a log file in one answer."""


class BadRequest(ControlError):
    """The request makes no sense."""


class Unknown(ControlError):
    """What it names is not there."""


def wanted(request: web.Request) -> JobFilter:
    """Which runs a request is about. Raises BadRequest."""
    state, since = request.query.get("state"), request.query.get("since")
    if state is not None and state not in set(JobState):
        raise BadRequest(f"state: is one of {', '.join(JobState)}")
    return JobFilter(
        lane=request.query.get("lane"),
        state=None if state is None else JobState(state),
        since=None if since is None else number(request, "since", default=0, largest=2**40),
        skip=number(request, "skip", default=0, largest=2**40),
    )


async def body_of(request: web.Request, **allowed: type | tuple[type, ...]) -> dict[str, Any]:
    """The request's JSON object with only the members allowed; an empty body is an empty object. Raises
    BadRequest."""
    raw = await request.read()
    if not raw:
        return {}
    try:
        body = read_json(raw, limit=BODY_LIMIT, depth=4)
    except JsonRefused:
        raise BadRequest("the request body is not JSON") from None
    if not isinstance(body, dict):
        raise BadRequest("the request body must be a JSON object")
    for name, value in body.items():
        kind = allowed.get(name)
        if kind is None:
            raise BadRequest(f"{name[:40]}: no such member", hint=f"allowed: {', '.join(allowed)}")
        if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            raise BadRequest(f"{name}: {value!r:.40} is of the wrong type")
    return {name: value for name, value in body.items() if value is not None}


def number(request: web.Request, name: str, *, default: int, largest: int) -> int:
    """A whole number of the query. Raises BadRequest."""
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 20 or int(text) > largest:
        raise BadRequest(f"{name}: {text[:40]!r} must be a whole number up to {largest}")
    return int(text)


def read_piece(path: Path, offset: int) -> bytes:
    """What a log file holds from an offset on, at most LOG_CHUNK. Blocks; raises ControlError."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(LOG_CHUNK)
    except FileNotFoundError:
        # An operation that has not begun has no log yet.
        return b""
    except OSError as error:
        raise ControlError(f"{path}: cannot be read: {error.strerror}", hint="check the data folder") from None
