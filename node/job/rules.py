"""Building blocks of the definition's models: fields that say what they expect in the network's own words.

The network's validator reports each broken rule as `path`, `expected` and `value`, where `expected` is the name of
a type; posters' tools show these texts, so they are the same here. Objects are closed: a key that is not named is
an error. `null` is never the same as an absent key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import Annotated, Any, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from node.errors import Violation


class Absent(Enum):
    """The value of a key that is not there, where one is required."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


class Closed(BaseModel):
    """An object without other keys than those named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _count_first(cls, value: object) -> object:
        # The network's validator compares the number of keys with the number of required ones before it looks for
        # unknown keys. Where they are equal and a key is unknown, a required one is missing, and it says only that.
        fields = cls.model_fields
        if isinstance(value, dict) and cls.model_config.get("extra") == "forbid":
            _count(max(0, len(value) - len(fields)))
        needed = sum(field.is_required() or field.default is ABSENT for field in fields.values())
        if not isinstance(value, dict) or not needed or len(value) != needed:
            return value
        names = {field.alias or name for name, field in fields.items()}
        return {key: item for key, item in value.items() if key in names}


def required(alias: str | None = None) -> Any:
    """A field that must be there; its rule sees ABSENT otherwise and reports it like any other wrong value."""
    return Field(default=ABSENT, validate_default=True, alias=alias)


def optional(alias: str | None = None) -> Any:
    """A field that may be absent; None then."""
    return Field(default=None, alias=alias)


# --- rules ------------------------------------------------------------------------------------------


class TooManyWrong(Exception):
    """A document breaks so many rules that listing them all would cost too much memory."""


MAX_WRONG = 10_000
"""Broken rules that are listed; a megabyte could break half a million, at two kilobytes each."""
_left: ContextVar[list[int] | None] = ContextVar("gpunode_rules_left", default=None)


@contextmanager
def bounded() -> Iterator[None]:
    """Within it, a validation that breaks more than MAX_WRONG rules ends in TooManyWrong."""
    token = _left.set([MAX_WRONG])
    try:
        yield
    finally:
        _left.reset(token)


def _count(wrongs: int) -> None:
    left = _left.get()
    if left is not None:
        left[0] -= wrongs
        if left[0] < 0:
            raise TooManyWrong


def wrong(expected: str) -> PydanticCustomError:
    """The error of a value that is not what was expected."""
    _count(1)
    return PydanticCustomError("expected", "{expected}", {"expected": expected})


def expects(expected: str, fits: Callable[[object], bool]) -> WrapValidator:
    """A rule: the value fits, or it is reported as not being the expected thing; its parts are checked next."""

    def check(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        if not fits(value):
            raise wrong(expected)
        return cast(object, handler(value))

    return WrapValidator(check)


def is_text(value: object) -> bool:
    """A JSON string."""
    return isinstance(value, str)


def is_flag(value: object) -> bool:
    """A JSON boolean."""
    return isinstance(value, bool)


def is_number(value: object) -> bool:
    """A JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_list(value: object) -> bool:
    """A JSON array."""
    return isinstance(value, list)


def is_map(value: object) -> bool:
    """A JSON object."""
    return isinstance(value, dict)


def is_object(value: object) -> bool:
    """What JavaScript takes for an object: an array is one, whose keys are its indices."""
    return isinstance(value, dict | list)


def one_of(*choices: str) -> Callable[[object], bool]:
    """One of some texts."""
    return lambda value: isinstance(value, str) and value in choices


def as_object(value: object) -> object:
    """The value with an array turned into the object JavaScript sees."""
    return {str(index): item for index, item in enumerate(value)} if isinstance(value, list) else value


def expects_object(expected: str) -> WrapValidator:
    """A rule for a model that has required keys: such a check lets arrays pass and then misses the keys."""

    def check(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        if not is_object(value):
            raise wrong(expected)
        return cast(object, handler(as_object(value)))

    return WrapValidator(check)


# --- fields that occur often ----------------------------------------------------------------------------

Text = Annotated[str, expects("string", is_text)]
TextOrNone = Annotated[str | None, expects("(string | undefined)", is_text)]
Flag = Annotated[bool, expects("boolean", is_flag)]
FlagOrNone = Annotated[bool | None, expects("(boolean | undefined)", is_flag)]
Number = Annotated[int | float, expects("number", is_number)]
NumberOrNone = Annotated[int | float | None, expects("(number | undefined)", is_number)]
TextOrNumber = Annotated[str | int | float, expects("(number | string)", lambda v: is_text(v) or is_number(v))]
TextsOrNone = Annotated[tuple[Text, ...] | None, expects("(Array<string> | undefined)", is_list)]

LITERAL = re.compile(r"%%(?:ops|global)[^\n\r\u2028\u2029][^%]+%%\Z")
"""A value filled in when the operation starts. The character after `global` may be any but a line end."""


def is_literal(value: object) -> bool:
    """The whole text is one literal."""
    return isinstance(value, str) and LITERAL.match(value) is not None


def _literal(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    if not isinstance(value, str):
        raise wrong("(string & TagBase<__type>)")
    if not is_literal(value):
        raise wrong("string & TagBase<__type>")
    return cast(object, handler(value))


LiteralText = Annotated[str, WrapValidator(_literal)]


class Spread(Closed):
    """A marker whose literal's elements take its place in a list."""

    spread: LiteralText = required("__spread__")
    chunked: FlagOrNone = optional()


# --- errors -> violations -------------------------------------------------------------------------------

_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*\Z", re.ASCII)
_RESERVED = frozenset(
    re.findall(
        "[a-z]+",
        "break case catch class const continue debugger default delete do else enum export extends false finally "
        "for function if import in instanceof new null return super switch this throw true try typeof var void "
        "while with",
    )
)


def path_of(location: tuple[int | str, ...]) -> str:
    """A place in the document as the network writes it: `$input.ops[0].args.env["a-b"]`."""
    path = "$input"
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _NAME.match(step) and step not in _RESERVED:
            path += f".{step}"
        else:
            path += f"[{json.dumps(step, ensure_ascii=False)}]"
    return path


def violations_of(error: ValidationError) -> tuple[Violation, ...]:
    """What is wrong, in the network's shape and order. A value of ABSENT means the key is missing."""
    found: list[Violation] = []
    for item in error.errors(include_url=False):
        context = item.get("ctx", {})
        declared = item["type"] == "expected"
        expected = str(context["expected"]) if declared else "undefined"
        path = path_of(item["loc"])
        if declared and item["loc"][-2:] == ("args", "private"):
            # The network's generated code writes this one declared key in brackets.
            path = path_of(item["loc"][:-1]) + '["private"]'
        # The network's reporter leaves out a path that the one before it begins with.
        if not found or not found[-1].path.startswith(path):
            found.append(Violation(path, expected, item["input"]))
    return tuple(found)
