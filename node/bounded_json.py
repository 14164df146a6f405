"""JSON from outside this process: bounded in bytes, depth and numbers, and strict.

Python's own parser takes NaN, doubled keys, half surrogate pairs and integers of any length, recurses with the
document's depth, and quotes what it reads in its errors. Everything foreign is read here instead. Job definitions have
a reader of their own (node/job/text.py), which does what the network's JavaScript does.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

DEPTH = 64
"""Levels of nesting that are read unless the caller says otherwise."""
DIGITS = 40
"""Digits of a whole number: a u128 has 39."""

_BRACKETS = re.compile(rb'[\[\]{}]|"(?:[^"\\]|\\.)*+"', re.DOTALL)
_HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")


class JsonRefused(ValueError):
    """These bytes are not read: too large, too deep, or no strict JSON. Says where, never what."""


def read_json(body: bytes | str, *, limit: int, depth: int = DEPTH) -> Any:
    """The document in UTF-8 JSON of at most `limit` bytes and `depth` levels.

    Raises JsonRefused (a ValueError, without a cause) for anything else, and for NaN, numbers without end, doubled
    keys and half surrogate pairs.
    """
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    if len(raw) > limit:
        raise JsonRefused(f"more than {limit:,} bytes")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonRefused(f"not UTF-8 at byte {error.start}") from None
    # Counted before parsing: the parser recurses, and a deep document must cost no stack.
    if _is_deeper(raw, depth):
        raise JsonRefused(f"nested deeper than {depth} levels")
    try:
        document = _DECODER.decode(text)
        if _HALF_PAIR.search(raw):
            # Escapes may name half a surrogate pair, which nothing later could write as UTF-8.
            json.dumps(document, ensure_ascii=False).encode()
        return document
    except JsonRefused:
        raise
    except json.JSONDecodeError as error:
        # Without the cause, which holds the whole document.
        raise JsonRefused(f"no JSON at character {error.pos}") from None
    except (ValueError, RecursionError):
        raise JsonRefused("no JSON") from None


def _is_deeper(raw: bytes, most: int) -> bool:
    if raw.count(b"[") + raw.count(b"{") <= most:
        return False
    depth = 0
    for found in _BRACKETS.finditer(raw):
        mark = found.group()
        if mark in (b"[", b"{"):
            depth += 1
            if depth > most:
                return True
        elif mark in (b"]", b"}"):
            depth -= 1
    return False


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise JsonRefused(f"a number has more than {DIGITS} digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise JsonRefused("a number is too large")
    return value


def _no_constant(name: str) -> NoReturn:
    raise JsonRefused(f"{name} is no JSON value")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JsonRefused("a key is there twice")
    return members


_DECODER = json.JSONDecoder(
    parse_int=_integer, parse_float=_float, parse_constant=_no_constant, object_pairs_hook=_object
)
