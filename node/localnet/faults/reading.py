"""Faults from JSON and to JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from node.errors import LocalnetError
from node.localnet.faults.kinds import BY_NAME, Fault

_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", NoneType: "null"}


def read_faults(text: str) -> tuple[Fault, ...]:
    """Faults from JSON text, or from the file of that name: one object or a list. Raises LocalnetError."""
    if not text.lstrip().startswith(("[", "{")):
        try:
            text = Path(text).expanduser().read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise LocalnetError(
                f"no faults can be read from {text}: {error}", hint="Name a JSON file, or give the JSON itself."
            ) from None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LocalnetError(f"the faults are no JSON: {error}", hint='A fault is {"kind": NAME, …}.') from None
    return parse_faults(value)


def parse_faults(value: Any) -> tuple[Fault, ...]:
    """One fault or a list of them. Raises LocalnetError."""
    return tuple(parse_fault(each) for each in (value if isinstance(value, list) else [value]))


def parse_fault(value: Any) -> Fault:
    """A fault from its JSON object. Raises LocalnetError that names the member which is wrong."""
    if not isinstance(value, Mapping):
        raise LocalnetError(f"a fault is an object with a kind, not {value!r}", hint=_known_kinds())
    members = {str(name): each for name, each in value.items()}
    kind = str(members.pop("kind", ""))
    made = BY_NAME.get(kind)
    if made is None:
        raise LocalnetError(f"there is no fault of the kind {kind!r}", hint=_known_kinds())
    types = _members(kind)
    for name in members:
        if name not in types:
            raise LocalnetError(f"a fault {kind!r} has no {name!r}", hint=f"It has: {', '.join(types)}.")
    for each in fields(made):
        if each.default is MISSING and each.name not in members:
            raise LocalnetError(f"a fault {kind!r} needs {each.name!r}", hint=f"It has: {', '.join(types)}.")
    return made(**{name: _value(kind, name, types[name], each) for name, each in members.items()})


def fault_json(fault: Fault) -> dict[str, Any]:
    """The fault's JSON object: its kind and what differs from the default."""
    body: dict[str, Any] = {"kind": fault.kind}
    for each in fields(fault):
        value = getattr(fault, each.name)
        if value != each.default:
            body[each.name] = list(value) if isinstance(value, tuple) else value
    return body


@cache
def _members(kind: str) -> dict[str, Any]:
    made = BY_NAME[kind]
    hints = get_type_hints(made)
    return {each.name: hints[each.name] for each in fields(made)}


def _value(kind: str, name: str, wanted: Any, value: Any) -> Any:
    if get_origin(wanted) is tuple:
        entries = value if isinstance(value, list | tuple) else [value]
        return tuple(_value(kind, name, get_args(wanted)[0], entry) for entry in entries)
    allowed = _choices(wanted)
    for choice in allowed:
        if choice is Any or (isinstance(choice, str) and value == choice):
            return value
        if isinstance(choice, type) and _is(choice, value):
            return value
    words = " or ".join(_WORDS.get(choice) or repr(choice) for choice in allowed)
    raise LocalnetError(f"{name} of the fault {kind!r} cannot be {value!r}", hint=f"Allowed: {words}.")


def _choices(wanted: Any) -> Sequence[Any]:
    if get_origin(wanted) in (Union, UnionType, Literal):
        return get_args(wanted)
    return (wanted,)


def _is(wanted: type, value: Any) -> bool:
    if isinstance(value, bool):
        return wanted is bool
    return isinstance(value, int | float) if wanted is float else isinstance(value, wanted)


def _known_kinds() -> str:
    return f"Kinds: {', '.join(BY_NAME)}."
