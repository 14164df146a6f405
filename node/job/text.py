"""JSON from strangers, read as the network's JavaScript reads it, within limits.

Doubled keys: the last wins. Keys that are array indices come first, in order. Numbers beyond 2**53 are doubles.
NaN and Infinity are no JSON.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any, NoReturn

from node.errors import JobError

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_KEY = 1024
"""Characters of a key: each error below it repeats it."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,9})\Z", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_SAFE_DIGITS = 15


def parse_json(body: bytes) -> Any:
    """The document in UTF-8 JSON. Raises JobError: not UTF-8, not JSON, over 1 MiB or nested too deep."""
    if len(body) > MAX_BYTES:
        raise JobError(
            f"the definition has {len(body):,} bytes; at most {MAX_BYTES:,} are read",
            hint="Put data into the image or a remote resource.",
        )
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JobError(f"the definition is not UTF-8: {error.reason} at byte {error.start}") from None
    # Counted before parsing: the parser recurses, and a deep document must cost no stack.
    if _depth(text) > MAX_DEPTH:
        raise JobError(f"the definition is nested deeper than {MAX_DEPTH} levels")
    try:
        document = json.loads(text, parse_int=_integer, parse_constant=_no_constant, object_pairs_hook=_object)
    except ValueError as error:
        raise JobError(f"the definition cannot be read: {error}", hint="Check it with a JSON linter.") from None
    return _whole_value(document)


def _depth(text: str) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        if bracket.group() in "[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _integer(digits: str) -> int | float:
    # JavaScript has doubles only; and Python refuses to convert thousands of digits.
    return int(digits) if len(digits) <= _SAFE_DIGITS else _double(digits)


def _double(digits: str) -> int | float:
    number = _finite(digits)
    return int(number) if abs(number) <= 2**53 else number


def _finite(digits: str) -> float:
    # Too large a number is Infinity in JavaScript, which no JSON that we write could hold.
    return max(-sys.float_info.max, min(sys.float_info.max, float(digits)))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if any(len(key) > MAX_KEY for key, _ in pairs):
        raise ValueError(f"a key has more than {MAX_KEY} characters")
    members = {_whole(key): _whole_value(value) for key, value in pairs}
    indices = sorted((key for key in members if _INDEX.match(key) and int(key) < 2**32 - 1), key=int)
    if not indices:
        return members
    return {key: members[key] for key in indices} | members


def _whole_value(value: Any) -> Any:
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, list):
        return [_whole_value(item) for item in value]
    return value


def _whole(text: str) -> str:
    # Half a surrogate pair cannot be written as UTF-8; JavaScript replaces it when it has to.
    return _SURROGATE.sub("\ufffd", text) if _SURROGATE.search(text) else text
