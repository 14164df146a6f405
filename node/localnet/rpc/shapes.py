"""Shapes of parameters, read with the words a node uses when they do not fit.

A node's deserialiser stops at the first thing that is wrong and names it; clients show that text to people and a
few match on it. Members of a map are looked at in the order of their names, as a node does.

Source: the deserialisation rules of serde and its JSON format, as agave 3.1 uses them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

_MOST_UNSIGNED = 2**64 - 1
_LEAST_SIGNED = -(2**63)


class Mismatch(Exception):
    """A value that has not the shape; the text is a node's."""


class Shape(Protocol):
    """What a value must be like."""

    def read(self, value: Any) -> Any:
        """The value as a node takes it. Raises Mismatch."""
        ...


def kind(value: object) -> str:
    """What a value is, in a node's words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"boolean `{str(value).lower()}`"
    if isinstance(value, int):
        if _LEAST_SIGNED <= value <= _MOST_UNSIGNED:
            return f"integer `{value}`"
        return f"floating point `{_float_text(float(value))}`"
    if isinstance(value, float):
        return f"floating point `{_float_text(value)}`"
    if isinstance(value, str):
        return f"string {json.dumps(value, ensure_ascii=False)}"
    return "sequence" if isinstance(value, list) else "map"


def _float_text(value: float) -> str:
    return repr(value).replace("e+", "e")


def wrong_type(value: object, expected: str) -> Mismatch:
    """A value of another type."""
    return Mismatch(f"invalid type: {kind(value)}, expected {expected}")


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    def read(self, value: Any) -> Any:
        """As `Shape.read`."""
        if not isinstance(value, str):
            raise wrong_type(value, "a string")
        return value


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean."""

    def read(self, value: Any) -> Any:
        """As `Shape.read`."""
        if not isinstance(value, bool):
            raise wrong_type(value, "a boolean")
        return value


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A number of 0 or more; `name` is the type's: u8, u64 or usize."""

    name: str = "u64"

    def read(self, value: Any) -> Any:
        """As `Shape.read`."""
        most = 255 if self.name == "u8" else _MOST_UNSIGNED
        if isinstance(value, bool) or not isinstance(value, int) or not _LEAST_SIGNED <= value <= _MOST_UNSIGNED:
            raise wrong_type(value, self.name)
        if not 0 <= value <= most:
            raise Mismatch(f"invalid value: integer `{value}`, expected {self.name}")
        return value


@dataclass(frozen=True, slots=True)
class Maybe:
    """Something, or null."""

    inner: Shape

    def read(self, value: Any) -> Any:
        """As `Shape.read`."""
        return None if value is None else self.inner.read(value)


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of one kind of thing."""

    inner: Shape

    def read(self, value: Any) -> Any:
        """As `Shape.read`."""
        if not isinstance(value, list):
            raise wrong_type(value, "a sequence")
        return [self.inner.read(entry) for entry in value]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several names; some carry a value (`{name: value}`), the others stand as text alone.

    Read as `name`, or as a map of one name and its value.
    """

    names: tuple[str, ...]
    carried: Mapping[str, Shape] | None = None

    def read(self, value: Any) -> Any:
        """As `Shape.read`."""
        carried = self.carried or {}
        if isinstance(value, str):
            self._known(value)
            if value in carried:
                raise Mismatch("invalid type: unit variant, expected newtype variant")
            return value
        if not isinstance(value, dict):
            raise wrong_type(value, "string or map")
        if len(value) != 1:
            raise Mismatch("invalid value: map, expected map with a single key")
        ((name, inner),) = value.items()
        self._known(name)
        if name in carried:
            return {name: carried[name].read(inner)}
        if inner is not None:
            raise wrong_type(inner, "unit")
        return name

    def _known(self, name: str) -> None:
        if name not in self.names:
            raise Mismatch(f"unknown variant `{name}`, expected {_one_of(self.names)}")


def _one_of(names: Sequence[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    if len(quoted) <= 2:
        return " or ".join(quoted)
    return "one of " + ", ".join(quoted)


@dataclass(frozen=True, slots=True)
class Fields:
    """A map with known members; others are ignored.

    `needed` are the members that must be there. `spread` are maps whose members stand among these. `lenient` are
    like `spread`, but what is wrong with them is taken as absent: so a node treats a commitment it does not know
    in most places.
    """

    name: str
    members: Mapping[str, Shape]
    needed: tuple[str, ...] = ()
    spread: tuple[Fields, ...] = ()
    lenient: tuple[Fields, ...] = ()

    def read(self, value: Any) -> Any:
        """As `Shape.read`."""
        if isinstance(value, list) and not self.spread and not self.lenient:
            return self._from_list(value)
        if not isinstance(value, dict):
            raise wrong_type(value, f"struct {self.name}")
        found = {name: self.members[name].read(value[name]) for name in sorted(value) if name in self.members}
        for name in self.needed:
            if name not in found:
                raise Mismatch(f"missing field `{name}`")
        for group in self.spread:
            found |= group.read(value)
        for group in self.lenient:
            try:
                found |= group.read(value)
            except Mismatch:
                continue
        return found

    def _from_list(self, value: list[Any]) -> dict[str, Any]:
        count = len(self.members)
        found: dict[str, Any] = {}
        for index, (name, shape) in enumerate(self.members.items()):
            if index >= len(value):
                plural = "element" if count == 1 else "elements"
                raise Mismatch(f"invalid length {index}, expected struct {self.name} with {count} {plural}")
            found[name] = shape.read(value[index])
        if len(value) > count:
            raise Mismatch(f"invalid length {len(value)}, expected fewer elements in array")
        return found


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The first shape that fits; `name` is the type's."""

    name: str
    inner: tuple[Shape, ...]

    def read(self, value: Any) -> Any:
        """As `Shape.read`."""
        for shape in self.inner:
            try:
                return shape.read(value)
            except Mismatch:
                continue
        raise Mismatch(f"data did not match any variant of untagged enum {self.name}")


def debug(value: Any) -> str:
    """A value as a node's debugging output writes it: it stands in the error for parameters nobody asked for."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return f"Bool({str(value).lower()})"
    if isinstance(value, int | float):
        return f"Number({value})"
    if isinstance(value, str):
        return f"String({json.dumps(value, ensure_ascii=False)})"
    if isinstance(value, list):
        return f"Array [{', '.join(debug(entry) for entry in value)}]"
    members = ", ".join(f"{json.dumps(name)}: {debug(value[name])}" for name in sorted(value))
    return f"Object {{{members}}}"
