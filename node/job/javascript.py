"""Values as the network's JavaScript writes and reads them: texts of numbers, JSON without spaces, JSON in texts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from node.errors import JobError
from node.job.text import parse_json

_BLANKS = (
    "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
)
"""What `trim` takes away."""
_LARGE, _SMALL = 10**21, Decimal("1e-6")
"""Numbers outside are written with an exponent."""
_AROUND = 10
"""Characters shown before and after the one that is wrong."""
_PLACE = re.compile(r"read: (?P<said>.*): line \d+ column \d+ \(char (?P<at>\d+)\)\Z", re.DOTALL)
_BRACKET = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*+"', re.DOTALL)
_SAYINGS = {
    "Expecting property name": "Expected property name or '}'",
    "Expecting ':' delimiter": "Expected ':' after property name",
    "Invalid control character": "Bad control character in string literal",
    "Invalid \\escape": "Bad escaped character",
}


def text_of(value: Any) -> str:
    """What `String(value)` gives."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "[object Object]"
    return ",".join("" if item is None else text_of(item) for item in value)


def number_text(number: float) -> str:
    """A number as it is written: `5` for 5.0, `1e-7`, `1e+21`."""
    if isinstance(number, int) or number.is_integer():
        if abs(number) < _LARGE:
            return str(int(number)) if abs(number) <= 2**53 else format(Decimal(repr(float(number))), "f")
    elif abs(Decimal(repr(number))) >= _SMALL:
        return format(Decimal(repr(number)), "f")
    sign, digits, exponent = Decimal(repr(float(number))).normalize().as_tuple()
    power = int(exponent) + len(digits) - 1
    rest = "".join(map(str, digits[1:]))
    return f"{'-' if sign else ''}{digits[0]}{'.' + rest if rest else ''}e{'+' if power > 0 else '-'}{abs(power)}"


def json_text(value: Any) -> str:
    """What `JSON.stringify(value)` gives."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json_text(str(key))}:{json_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(json_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else text_of(value)


def parsed_if_json(value: Any) -> Any:
    """The list or object that a text holds as JSON; the value itself if it is no text, or holds neither."""
    if not isinstance(value, str):
        return value
    trimmed = value.strip(_BLANKS)
    if not trimmed.startswith(("[", "{")):
        return value
    try:
        return parse_json(trimmed.encode("utf-8", "surrogatepass"))
    except JobError:
        return value


def parse(text: str) -> Any:
    """What `JSON.parse(text)` gives. Raises ValueError with the message that its error has."""
    try:
        return parse_json(text.encode("utf-8", "surrogatepass"))
    except JobError as error:
        raise ValueError(_complaint(text, error.message)) from None


def _complaint(text: str, reason: str) -> str:
    """An error of Python's parser in the words of V8's."""
    place = _PLACE.search(reason)
    if place is None:
        return reason
    said, at = place["said"], int(place["at"])
    if said.startswith("Unterminated string"):
        return f"Unterminated string in JSON at position {len(text)}"
    if said == "Expecting value":
        word = next((word for word in ("true", "false", "null") if text[at : at + 1] == word[0]), "")
        at += _alike(word, text[at:])
    if said.startswith("Expecting ',' delimiter"):
        inner = "',' or ']' after array element" if _in_list(text[:at]) else "',' or '}' after property value"
        return f"Expected {inner} in JSON at position {at}"
    for theirs, ours in _SAYINGS.items():
        if said.startswith(theirs):
            # After a comma another name must come.
            named = ours.replace("property name or '}'", "double-quoted property name")
            ours = named if text[:at].rstrip(_BLANKS).endswith(",") else ours
            return f"{ours} in JSON at position {at}"
    if at >= len(text):
        return "Unexpected end of JSON input"
    if said.startswith("Extra data"):
        return f"Unexpected non-whitespace character after JSON at position {at}"
    return _unexpected(text, at)


def _alike(word: str, text: str) -> int:
    """How many characters two texts begin with alike."""
    return next((at for at, letter in enumerate(word) if text[at : at + 1] != letter), len(word))


def _in_list(text: str) -> bool:
    opened: list[str] = []
    for bracket in _BRACKET.findall(text):
        if bracket in ("[", "{"):
            opened.append(bracket)
        elif bracket in ("]", "}") and opened:
            opened.pop()
    return opened[-1:] == ["["]


def _unexpected(text: str, at: int) -> str:
    if text[at] == '"' or text[at] in "-0123456789":
        return f"Unexpected {'string' if text[at] == chr(34) else 'number'} in JSON at position {at}"
    if text == "[object Object]":
        return '"[object Object]" is not valid JSON'
    start, end = (max(0, at - _AROUND), at + _AROUND) if len(text) > 2 * _AROUND else (0, len(text))
    # An end that is nearer than the context is shown whole.
    end = len(text) if at >= len(text) - _AROUND else end
    shown = f'{"..." if start else ""}"{text[start:end]}"{"..." if end < len(text) else ""}'
    return f"Unexpected token '{text[at]}', {shown} is not valid JSON"
