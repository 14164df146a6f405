"""JSON as a JavaScript server writes it anew (`JSON.stringify(JSON.parse(text))`): what a pinning service stores."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_MOST_INDEX = 2**32 - 2
_DIGITS = re.compile(r"(\d+)(?:\.(\d+))?(?:e([+-]\d+))?")


def parsed(raw: bytes) -> Any:
    """A document as JavaScript has it in memory: every number is a double. Raises ValueError or RecursionError."""
    return json.loads(raw.decode(), parse_int=float, parse_constant=_no_constant)


def written(document: Any) -> bytes:
    """Such a document as text, without spaces. Raises RecursionError for one nested very deeply."""
    return "".join(_text(document)).encode()


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _text(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield "{"
        for number, key in enumerate(_ordered(value)):
            yield f"{',' if number else ''}{_string(key)}:"
            yield from _text(value[key])
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, element in enumerate(value):
            yield "," if number else ""
            yield from _text(element)
        yield "]"
    elif isinstance(value, float):
        yield number_text(value)
    elif isinstance(value, str):
        yield _string(value)
    else:
        yield {None: "null", True: "true", False: "false"}[value]


def _ordered(known: dict[str, Any]) -> list[str]:
    """An object's keys: those that are indexes come first, in the order of numbers."""
    indexes = [key for key in known if _INDEX.fullmatch(key) and int(key) <= _MOST_INDEX]
    return [*sorted(indexes, key=int), *(key for key in known if key not in set(indexes))]


def _string(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def number_text(value: float) -> str:
    """A number as JavaScript writes it (ECMAScript, Number::toString)."""
    if not math.isfinite(value):
        return "null"
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    found = _DIGITS.fullmatch(repr(abs(value)))
    assert found is not None
    whole, fraction, exponent = found[1], found[2] or "", int(found[3] or 0)
    digits = (whole + fraction).lstrip("0")
    point = len(digits) - len(fraction) + exponent
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1:+d}"
