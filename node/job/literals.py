"""Literals: `%%global.job%%`, `%%ops.ID.results.KEY%%` and the like, filled in from a store.

Only an operation's `args` are looked at; values under `global` reach the container as they are (Nosana node). Texts
without literals are left untouched, where the network's code would also parse some of them: a poster who writes JSON
into a variable means that text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from node.errors import LiteralUnresolved
from node.job.javascript import parsed_if_json, text_of
from node.job.store import Store

MAX_FILLED = 2 << 20
"""Characters filled in for all the literals of one operation."""
MAX_LEVELS = 200
"""Lists within lists, counting those in texts within texts."""

# A name reaches to the next dot, never over the end of its literal: so any literals may follow each other in a text.
_NAME = r"(?:(?!%%)[^.])+"
_DEEP = re.compile(rf"%%(?P<kind>ops|global)\.(?P<name>{_NAME})\.(?P<path>[A-Za-z0-9._-]+)%%")
_SHORT = re.compile(rf"%%globals?\.(?P<name>{_NAME})%%")
_RESULT = re.compile(rf"%%ops\.(?P<name>{_NAME})\.results\.(?P<key>[A-Za-z0-9_-]+)[A-Za-z0-9._-]*%%")


def fill(args: Mapping[str, Any], store: Store, keep: frozenset[str] | None = None) -> dict[str, Any]:
    """The arguments with every literal filled in; with `keep`, all but those.

    A text that is one literal becomes its value if that is a list of one, else the value's elements joined by blanks;
    in a list it becomes as many elements as its value has. Lists within lists become one list; objects in lists take
    values as they are. Raises LiteralUnresolved.
    """
    filling = _Filling(store, keep or frozenset())
    filled = {key: filling.member(value) for key, value in args.items()}
    if keep is None and any(True for _ in literals_in(filled)):
        # Values are not looked through again: a log line that spells a literal must not be given its value.
        raise LiteralUnresolved("Unresolved literals remain in interpolated args")
    return filled


def literals_in(value: Any) -> Iterator[str]:
    """Every literal in the texts of some arguments, in order."""
    if isinstance(value, str):
        found = [match for pattern in (_DEEP, _SHORT) for match in pattern.finditer(value)]
        yield from (match[0] for match in sorted(found, key=lambda match: match.start()))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from literals_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from literals_in(item)


def unresolved(args: Mapping[str, Any], store: Store) -> tuple[str, ...]:
    """The literals that a store says nothing for, each once."""
    return tuple(literal for literal in dict.fromkeys(literals_in(args)) if not _resolves(literal, store))


def result_named(literal: str) -> tuple[str, str] | None:
    """Operation and key, where a literal stands for a result."""
    match = _RESULT.fullmatch(literal)
    return (match["name"], match["key"]) if match else None


def _resolves(literal: str, store: Store) -> bool:
    try:
        _Filling(store).exactly(literal)
    except LiteralUnresolved:
        return False
    return True


class _Filling:
    """One operation's filling in: counts, since a short definition may name a long value a thousand times."""

    def __init__(self, store: Store, keep: frozenset[str] = frozenset()) -> None:
        self._store = store
        self._keep = keep
        self._room = MAX_FILLED

    def member(self, value: Any) -> Any:
        """What becomes of a value of an object."""
        if isinstance(value, str):
            return self._scalar(value)
        if isinstance(value, Mapping):
            return {key: self.member(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return self._elements(value)
        return value

    def _scalar(self, text: str) -> Any:
        if not _has_literal(text):
            return text
        found = self._raw(text)
        return found[0] if isinstance(found, list) and len(found) == 1 else spaced(found)

    def _elements(self, items: list[Any] | tuple[Any, ...]) -> list[Any]:
        out: list[Any] = []
        for item in items:
            if isinstance(item, str):
                out += _tokens(self._raw(item)) if _has_literal(item) else [item]
            elif isinstance(item, list | tuple):
                out += self._elements(item)
            elif item is not None:
                out.append(self._raw(item))
        return out

    def _raw(self, value: Any) -> Any:
        """The value with its literals filled in and its shape kept."""
        if isinstance(value, str):
            found = self.exactly(value)
            return self._within(value) if found is None else found
        if isinstance(value, Mapping):
            return {key: self._raw(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._raw(item) for item in value]
        return value

    def exactly(self, text: str) -> Any:
        """The value of a text that is one literal, read as JSON where it looks like it; None: it is not."""
        if text in self._keep:
            return text
        if match := _DEEP.fullmatch(text):
            value = self._deep(match)
            self._charge(value)
            return [parsed_if_json(item) for item in value] if isinstance(value, list) else parsed_if_json(value)
        if match := _SHORT.fullmatch(text):
            value = self._short(match)
            self._charge(value)
            return value
        return None

    def _within(self, text: str) -> str:
        # In this order, as the network does: what the first pass filled in may be a literal of the second.
        return _SHORT.sub(self._written(self._short), _DEEP.sub(self._written(self._deep), text))

    def _written(self, value_of: Callable[[re.Match[str]], Any]) -> Callable[[re.Match[str]], str]:
        def written(match: re.Match[str]) -> str:
            if match[0] in self._keep:
                return match[0]
            value = value_of(match)
            self._charge(value)
            return spaced(value)

        return written

    def _deep(self, match: re.Match[str]) -> Any:
        literal, name, path = match[0], match["name"], match["path"]
        if match["kind"] == "global":
            value = _walk(self._store.facts.get(name), path)
            if value is None or value == "":
                raise LiteralUnresolved(f'Unresolved literal: "{literal}" (key="{name}.{path}")')
            return value
        value = _walk(self._store.operations.get(name), path)
        if value is None:
            raise LiteralUnresolved(f'Unresolved literal: "{literal}" (opId="{name}", path="{path}")')
        return value

    def _short(self, match: re.Match[str]) -> Any:
        value = self._store.facts.get(match["name"])
        if value is None or value == "":
            raise LiteralUnresolved(f'Unresolved literal: "{match[0]}" (key="{match["name"]}")')
        return value

    def _charge(self, value: Any) -> None:
        self._room -= _size(value)
        if self._room < 0:
            raise LiteralUnresolved(f"the values filled in for literals have more than {MAX_FILLED:,} characters")


def spaced(value: Any) -> str:
    """A value as text: its elements joined by blanks."""
    return " ".join(text_of(token) for token in _tokens(value))


def _tokens(value: Any, level: int = 0) -> list[Any]:
    """A value's elements, with lists within it, and lists that are texts of it, laid flat; nothing for null."""
    value = parsed_if_json(value)
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        return [value]
    if level > MAX_LEVELS:
        raise LiteralUnresolved(f"the value of a literal has lists within lists beyond {MAX_LEVELS} levels")
    out: list[Any] = []
    for item in value:
        out += _tokens(item, level + 1)
    return out


def _has_literal(text: str) -> bool:
    return _DEEP.search(text) is not None or _SHORT.search(text) is not None


def _walk(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = _member(value, step)
        if value is None:
            return None
    return value


def _member(value: Any, step: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(step)
    if isinstance(value, str | list | tuple):
        if step == "length":
            return len(value.encode("utf-16-le", "surrogatepass")) // 2 if isinstance(value, str) else len(value)
        if step.isascii() and step.isdigit() and step == str(int(step[:9])) and int(step) < len(value):
            return value[int(step)]
    return None


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(str(key)) + _size(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return sum(1 + _size(item) for item in value)
    return 8
