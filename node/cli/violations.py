"""How a broken rule of a definition is told: by `job validate`, by `job post`, and of a result that lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LONGEST_VALUE = 80
"""Characters of the offending value shown."""


def violation_line(violation: Mapping[str, Any]) -> str:
    """`$input.ops must be Ops, is 5`, of an object with `path`, `expected` and, if it was there, `value`."""
    line = f"{violation.get('path')} must be {violation.get('expected')}"
    if "value" not in violation:
        return f"{line}, is missing"
    value = repr(violation["value"])
    return f"{line}, is {value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + '…'}"
