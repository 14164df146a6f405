"""Reading and validating a job definition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from node.errors import DefinitionInvalid, Violation
from node.job.compat import OlderDefinition, definition_of, older_name
from node.job.models import Definition
from node.job.newer import without_newer
from node.job.rules import ABSENT, MAX_WRONG, TooManyWrong, bounded, violations_of
from node.job.text import parse_json

__all__ = [
    "Definition",
    "parse_compat",
    "parse_definition",
    "parse_posted",
    "validate",
    "validate_compat",
    "violation_json",
]


def parse_definition(body: bytes) -> Definition:
    """The definition in some bytes.

    Raises JobError if they are no document at all (not UTF-8 JSON, over 1 MiB, nested too deep) and
    DefinitionInvalid, with the broken rules, if they are one that the network's schema does not allow.
    """
    return validate(parse_json(body))


def parse_compat(body: bytes) -> Definition:
    """As `parse_definition`, by the rules of the network's older validator."""
    return validate_compat(parse_json(body))


def parse_posted(body: bytes) -> Definition:
    """A definition that somebody posted: valid by the rules of either validator.

    Raises as `parse_definition`, with the rules of the newer one.
    """
    document = parse_json(body)
    try:
        return validate(document)
    except DefinitionInvalid as invalid:
        try:
            return validate_compat(document)
        except DefinitionInvalid:
            raise invalid from None


def validate(document: Any) -> Definition:
    """The definition in a parsed document. Raises DefinitionInvalid."""
    members = _members(document)
    with _judged():
        definition = Definition.model_validate(without_newer(members))
    return _with_source(definition, members)


def validate_compat(document: Any) -> Definition:
    """The definition in a parsed document, by the rules of the network's older validator. Raises DefinitionInvalid."""
    members = _members(document)
    with _judged(older_name):
        older = OlderDefinition.model_validate(members)
    return _with_source(definition_of(older), members)


def _members(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict | list):
        raise _invalid((Violation("$input", "JobDefinitionWithRule", document),))
    return {str(i): item for i, item in enumerate(document)} if isinstance(document, list) else document


@contextmanager
def _judged(told: Callable[[Violation], Violation] = lambda violation: violation) -> Iterator[None]:
    try:
        with bounded():
            yield
    except TooManyWrong:
        raise _invalid((Violation("$input", f"fewer than {MAX_WRONG} errors", ABSENT),)) from None
    except ValidationError as error:
        raise _invalid(tuple(map(told, violations_of(error)))) from None


def _with_source(definition: Definition, members: dict[str, Any]) -> Definition:
    definition._source = members
    return definition


def _invalid(violations: tuple[Violation, ...]) -> DefinitionInvalid:
    first = violations[0]
    more = f" and {len(violations) - 1} more" if len(violations) > 1 else ""
    return DefinitionInvalid(
        f"the job definition is invalid: {first.path} must be {first.expected}{more}",
        violations=violations,
        hint="`gpunode job validate FILE` lists every error.",
    )


def violation_json(violation: Violation) -> dict[str, Any]:
    """A violation as results and `--json` write it; `value` is left out where the key was missing."""
    entry: dict[str, Any] = {"path": violation.path, "expected": violation.expected}
    if violation.value is not ABSENT:
        entry["value"] = violation.value
    return entry
