"""What is done to arguments once their literals are filled in: markers give way to what they hold.

`{"__spread__": X}` in a list becomes X's elements, in an object X's members; `{"__pairs__": [{key, value}]}` becomes
members; `__remove-if-empty__` in a list goes, and the whole list with it if nothing else is in it. Values of `env`
become texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from node.errors import LiteralUnresolved
from node.job.javascript import json_text, parse, text_of
from node.job.literals import fill
from node.job.remote import REMOVE_IF_EMPTY
from node.job.store import Store

SPREAD = "__spread__"
PAIRS = "__pairs__"
_MARKERS = (SPREAD, PAIRS)


def interpolate(args: Mapping[str, Any], store: Store) -> dict[str, Any]:
    """The arguments that an operation runs with: literals filled in, markers gone. Raises LiteralUnresolved."""
    return without_empty(_with_texts(_object(fill(args, store))))


def interpolate_partly(args: Mapping[str, Any], store: Store, missing: Iterable[str]) -> dict[str, Any]:
    """The arguments as far as a store allows: some literals stay as they are, and with them markers that hold them."""
    out: dict[str, Any] = {}
    for key, given in args.items():
        value = {key: given}
        try:
            value = fill(value, store, keep=frozenset(missing))
            value = without_empty(_with_texts(_object(value)))
        except LiteralUnresolved:
            # As far as it went.
            pass
        out |= value
    return out


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


def _visit(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, list | tuple):
        return [element for item in value for element in _elements(item)]
    return value


def _elements(item: Any) -> list[Any]:
    marker = next((key for key in item if key in _MARKERS), None) if isinstance(item, Mapping) else None
    if marker is None:
        return [_visit(item)]
    held = item[marker]
    if marker == PAIRS:
        return [_visit(element) for element in _list(PAIRS, _parsed("", held))]
    whole = "".join(held) if item.get("chunked") is True and _all_texts(held) else held
    # A result is a list of lists when it was collected from lines that are lists each: one level goes.
    label = f"{SPREAD} chunked array is" if whole is not held else f"{SPREAD} is"
    spread = _list(SPREAD, _parsed(f"{label} not valid JSON: ", whole))
    return [_visit(inner) for element in spread for inner in (element if isinstance(element, list) else [element])]


def _all_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _object(value: Mapping[str, Any]) -> dict[str, Any]:
    out = {key: _visit(item) for key, item in value.items() if key not in _MARKERS}
    for key, held in value.items():
        if key == SPREAD:
            members = _parsed(f"{SPREAD} is not valid JSON: ", held)
            if not isinstance(members, Mapping):
                raise LiteralUnresolved(f"{SPREAD} must be a JSON object")
            out.update(members)
        elif key == PAIRS:
            out.update(_members(_list(PAIRS, _parsed(f"{PAIRS} is not valid JSON: ", held))))
    return out


def _members(pairs: list[Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for pair in pairs:
        if not isinstance(pair, Mapping):
            raise LiteralUnresolved(f"{PAIRS} items must be objects")
        if not isinstance(pair.get("key"), str):
            raise LiteralUnresolved(f"{PAIRS} item.key must be string")
        value = pair.get("value")
        out[pair["key"]] = "" if value is None else value
    return out


def _parsed(label: str, held: Any) -> Any:
    if not isinstance(held, str):
        return held
    try:
        return parse(held)
    except ValueError as error:
        raise LiteralUnresolved(f"{label}{error}") from None


def _list(marker: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise LiteralUnresolved(f"{marker} must be a JSON array")
    return value


def _with_texts(args: dict[str, Any]) -> dict[str, Any]:
    env = args.get("env")
    if not isinstance(env, Mapping):
        return args
    return {**args, "env": {key: _text(value) for key, value in env.items()}}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return json_text(value) if isinstance(value, Mapping | list) else text_of(value)
