"""Literals: `%%global.job%%` and the like, filled in when an operation's plan is made.

Only an operation's `args` are looked at; values under `global` reach the container as they are (Nosana node).
Literals that name other operations are not filled in yet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from node.bounded_json import JsonRefused, read_json
from node.errors import JobRefused
from node.job.remote import REMOVE_IF_EMPTY
from node.job.text import MAX_BYTES, MAX_DEPTH

MAX_FILLED = 2 << 20
"""Characters filled in for all the literals of one operation."""
_LITERAL = re.compile(r"%%(ops|globals?)\.([^%]+)%%")


@dataclass(frozen=True, slots=True)
class GlobalValues:
    """What `%%global.…%%` stands for."""

    job: str
    host: str
    """The node's address."""
    project: str
    frps_address: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, literal: str, kind: str, key: str) -> str:
        """The text a literal stands for. Raises JobRefused if it stands for nothing."""
        if kind == "ops":
            raise JobRefused(
                f"{literal} names another operation, which this node does not fill in yet",
                hint="Use one operation without %%ops…%% literals.",
            )
        name, _, rest = key.partition(".")
        found: str | None = None
        if name == "variables" and rest:
            found = self.variables.get(rest)
        elif not rest and name in ("job", "host", "project", "frps_address"):
            found = getattr(self, name)
        if not found:
            # An empty value counts as unresolved in the network as well.
            raise JobRefused(f'Unresolved literal: "{literal}" (key="{key}")')
        return found


def interpolate(args: Mapping[str, Any], values: GlobalValues) -> dict[str, Any]:
    """The arguments with every literal filled in.

    A list element that is one literal whose value is a JSON list is replaced by that list's elements; in a text
    such a list becomes its elements joined by blanks. Texts without literals are left untouched.
    """
    meter = _Meter(values)
    return {key: _filled(item, meter) for key, item in args.items()}


def without_empty(args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with the marker `__remove-if-empty__` taken out of lists, and without those then empty.

    Of several markers in one list only the first goes (Nosana node).
    """
    kept: dict[str, Any] = {}
    for key, value in args.items():
        if not isinstance(value, list) or REMOVE_IF_EMPTY not in value:
            kept[key] = value
            continue
        at = value.index(REMOVE_IF_EMPTY)
        if rest := [*value[:at], *value[at + 1 :]]:
            kept[key] = rest
    return kept


class _Meter:
    """Fills in, and counts: a short definition may name a long value a thousand times."""

    def __init__(self, values: GlobalValues) -> None:
        self._values = values
        self._room = MAX_FILLED

    def resolve(self, literal: str, kind: str, key: str) -> str:
        """As `GlobalValues.resolve`. Raises JobRefused beyond MAX_FILLED."""
        found = self._values.resolve(literal, kind, key)
        self._room -= len(found)
        if self._room < 0:
            raise JobRefused(f"the values filled in for literals have more than {MAX_FILLED:,} characters")
        return found


def _filled(value: Any, values: _Meter) -> Any:
    if isinstance(value, str):
        return _text(value, values)
    if isinstance(value, Mapping):
        return {key: _filled(item, values) for key, item in value.items()}
    if isinstance(value, list | tuple):
        out: list[Any] = []
        for item in value:
            whole = _LITERAL.fullmatch(item) if isinstance(item, str) else None
            elements = _elements(values.resolve(whole[0], whole[1], whole[2])) if whole else None
            out += elements if elements is not None else [_filled(item, values)]
        return out
    return value


def _text(text: str, values: _Meter) -> str:
    def one(match: re.Match[str]) -> str:
        found = values.resolve(match[0], match[1], match[2])
        elements = _elements(found)
        return found if elements is None else " ".join(str(element) for element in elements)

    return _LITERAL.sub(one, text)


def _elements(value: str) -> list[Any] | None:
    if not value.lstrip().startswith("["):
        return None
    try:
        parsed = read_json(value, limit=MAX_BYTES, depth=MAX_DEPTH)
    except JsonRefused:
        return None
    return _flat(parsed) if isinstance(parsed, list) else None


def _flat(items: list[Any]) -> list[Any]:
    out: list[Any] = []
    for item in items:
        out += _flat(item) if isinstance(item, list) else [item]
    return out
