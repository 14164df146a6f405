"""The envelope of JSON-RPC requests: what a text asks for, judged as a node judges it.

A node takes one call or a list of calls. What is no call at all is an invalid request with its id; where not even
the id can be read, nothing of the text is answered but a parse error. A call may also come as a list of its four
members in order, which nobody sends on purpose but which decides what short lists mean.

Source: the jsonrpc-core 18 crate.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_CALL_MEMBERS = frozenset(("jsonrpc", "method", "params", "id"))
_MOST_ID = 2**64 - 1


class Unreadable(Exception):
    """The text is no request: a parse error."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `answered` is false for a notification, which has no id; `method` is None for an invalid request."""

    method: str | None
    params: Any
    identity: Any
    answered: bool
    versioned: bool
    """Whether it says `"jsonrpc": "2.0"`."""


def read_request(body: bytes | str) -> Call | list[Call]:
    """The call or the batch in a text. Raises Unreadable."""
    try:
        value = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Unreadable from None
    if not isinstance(value, list):
        return _call(value)
    single = _from_list(value)
    return single if single is not None else [_call(entry) for entry in value]


def _no_number(_text: str) -> None:
    raise ValueError("NaN and infinities are no JSON")


def _call(value: Any) -> Call:
    if isinstance(value, list):
        found = _from_list(value)
        if found is None:
            raise Unreadable
        return found
    if not isinstance(value, dict):
        raise Unreadable
    read = _proper(value)
    if read is not None:
        return read
    identity = value.get("id")
    if not _is_id(identity):
        raise Unreadable
    return Call(None, None, identity, True, True)


def _proper(value: dict[str, Any]) -> Call | None:
    version, method, params = value.get("jsonrpc"), value.get("method"), value.get("params")
    if not _CALL_MEMBERS.issuperset(value) or version not in (None, "2.0") or not isinstance(method, str):
        return None
    if params is not None and not isinstance(params, list | dict):
        return None
    if "id" not in value:
        return Call(method, params, None, False, version is not None)
    if not _is_id(value["id"]):
        return None
    return Call(method, params, value["id"], True, version is not None)


def _from_list(value: list[Any]) -> Call | None:
    if len(value) in (2, 3, 4):
        members = dict(zip(("jsonrpc", "method", "params", "id"), value, strict=False))
        return _proper(members)
    return None


def _is_id(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return value is None or isinstance(value, str) or (isinstance(value, int) and 0 <= value <= _MOST_ID)
