"""Records as canonical JSON and back, checked against their types.

A text is an envelope `{"record": NAME, "value": {...}, "version": N}` with sorted keys and no spaces. Reading is
strict: an unknown record, version or field, or a value of another type, is a JournalError. A field that is
missing takes its default, so that a record may gain fields within a version.
"""

from __future__ import annotations

import base64
import binascii
import json
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from node import records
from node.bounded_json import JsonRefused, read_json
from node.errors import JournalError

R = TypeVar("R")

VERSION = 1
"""Raised when a record's meaning changes in a way that defaults cannot carry."""

KNOWN: Mapping[str, type] = {
    kind.__name__: kind
    for kind in (
        records.Assignment,
        records.FetchedDefinition,
        records.Plan,
        records.Outcome,
        records.Refusal,
        records.Report,
        records.Settlement,
        records.OperationState,
        records.Gpu,
        records.NodeProfile,
    )
}

RECORD_LIMIT = 256 << 20
"""Bytes of one record; the largest hold a result's text."""
RECORD_DEPTH = 128
"""Levels of nesting: a definition has at most 64, and is wrapped in records."""
_HINT = "the journal was written by another version of gpunode; run the version that wrote it, or move the file away"


def encode(record: object) -> str:
    """The canonical JSON of one of the KNOWN records; raises JournalError for anything else."""
    name = type(record).__name__
    if KNOWN.get(name) is not type(record):
        raise JournalError(f"{name} is not a record the journal knows", hint="report this as a bug")
    envelope = {"record": name, "value": _plain(record), "version": VERSION}
    try:
        return json.dumps(envelope, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError) as error:
        raise JournalError(f"{name} cannot be written as JSON: {error}", hint="report this as a bug") from None


def decode(text: str, kind: type[R]) -> R:
    """The record in `text`, which must be of `kind`; raises JournalError."""
    record = decode_any(text)
    if not isinstance(record, kind):
        raise JournalError(f"journal holds {type(record).__name__} where {kind.__name__} belongs", hint=_HINT)
    return record


def decode_any(text: str) -> object:
    """The record in `text`, of whichever known kind; raises JournalError."""
    try:
        envelope = read_json(text, limit=RECORD_LIMIT, depth=RECORD_DEPTH)
    except (JsonRefused, AttributeError, UnicodeEncodeError) as error:
        raise JournalError(f"a journal record cannot be read: {error}", hint=_HINT) from None
    if not isinstance(envelope, dict) or set(envelope) != {"record", "value", "version"}:
        raise JournalError("a journal record has no envelope", hint=_HINT)
    if envelope["version"] is True or envelope["version"] != VERSION:
        raise JournalError(f"journal record version {envelope['version']!r} is not known", hint=_HINT)
    kind = KNOWN.get(str(envelope["record"]))
    if kind is None:
        raise JournalError(f"journal record {envelope['record']!r} is not known", hint=_HINT)
    return _typed(envelope["value"], kind, kind.__name__)


def _plain(value: Any) -> Any:
    """The JSON form of a value; a record's fields in full, enums by value, bytes as base64."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


@cache
def _fields_of(kind: type) -> tuple[tuple[str, Any, bool], ...]:
    hints = get_type_hints(kind)
    return tuple(
        (field.name, hints[field.name], field.default is MISSING and field.default_factory is MISSING)
        for field in fields(kind)
    )


def _typed(value: Any, kind: Any, path: str) -> Any:
    """`value` as JSON gave it, turned into `kind`; `path` names the place in errors."""
    kind = getattr(kind, "__supertype__", kind)
    if kind is Any:
        return value
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _optional(value, get_args(kind), path)
    if origin is tuple:
        return _tuple(value, get_args(kind), path)
    if origin is dict:
        return _mapping(value, get_args(kind)[1], path)
    if is_dataclass(kind) and isinstance(kind, type):
        return _record(value, kind, path)
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(value)
        except ValueError:
            raise _wrong(path, value, kind.__name__) from None
    reader = _SCALARS.get(kind)
    if reader is None:
        raise JournalError(f"{path}: the journal cannot read {kind}", hint="report this as a bug")
    return reader(value, path)


def _record(value: Any, kind: type, path: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(path, value, kind.__name__)
    known = _fields_of(kind)
    strangers = set(value) - {name for name, _, _ in known}
    if strangers:
        raise JournalError(f"{path}: unknown field {min(strangers)!r} in the journal", hint=_HINT)
    taken = {}
    for name, hint, required in known:
        if name in value:
            taken[name] = _typed(value[name], hint, f"{path}.{name}")
        elif required:
            raise JournalError(f"{path}: field {name!r} is missing in the journal", hint=_HINT)
    return kind(**taken)


def _optional(value: Any, kinds: tuple[Any, ...], path: str) -> Any:
    rest = [kind for kind in kinds if kind is not types.NoneType]
    if len(rest) != 1:
        raise JournalError(f"{path}: the journal reads no union of several types", hint="report this as a bug")
    return None if value is None else _typed(value, rest[0], path)


def _tuple(value: Any, kinds: tuple[Any, ...], path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _wrong(path, value, "a list")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_typed(item, kinds[0], f"{path}[{index}]") for index, item in enumerate(value))
    if len(kinds) != len(value):
        raise _wrong(path, value, f"a list of {len(kinds)}")
    return tuple(
        _typed(item, kind, f"{path}[{index}]") for index, (item, kind) in enumerate(zip(value, kinds, strict=True))
    )


def _mapping(value: Any, kind: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(path, value, "a mapping")
    return {key: _typed(item, kind, f"{path}.{key}") for key, item in value.items()}


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(path, value, "a text")
    return value


def _bool(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(path, value, "true or false")
    return value


def _int(value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(path, value, "a whole number")
    return value


def _float(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(path, value, "a number")
    return float(value)


def _bytes(value: Any, path: str) -> bytes:
    try:
        return base64.b64decode(_text(value, path), validate=True)
    except binascii.Error:
        raise _wrong(path, value, "base64") from None


_SCALARS: Mapping[Any, Callable[[Any, str], Any]] = {
    str: _text,
    bool: _bool,
    int: _int,
    float: _float,
    bytes: _bytes,
}


def _wrong(path: str, value: Any, wanted: str) -> JournalError:
    shown = repr(value)
    return JournalError(f"{path}: {shown[:60]} in the journal is not {wanted}", hint=_HINT)
