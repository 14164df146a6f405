"""Reading and validating a job definition."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from node.errors import DefinitionInvalid, Violation
from node.job.models import Definition
from node.job.rules import ABSENT, MAX_WRONG, TooManyWrong, bounded, violations_of
from node.job.ssh import is_ssh
from node.job.text import parse_json

__all__ = ["Definition", "parse_definition", "validate", "violation_json"]


def parse_definition(body: bytes) -> Definition:
    """The definition in some bytes.

    Raises JobError if they are no document at all (not UTF-8 JSON, over 1 MiB, nested too deep) and
    DefinitionInvalid, with the broken rules, if they are one that the network's schema does not allow.
    """
    return validate(parse_json(body))


def validate(document: Any) -> Definition:
    """The definition in a parsed document. Raises DefinitionInvalid."""
    if not isinstance(document, dict | list):
        raise _invalid((Violation("$input", "JobDefinitionWithRule", document),))
    members = {str(i): item for i, item in enumerate(document)} if isinstance(document, list) else document
    try:
        with bounded():
            definition = Definition.model_validate(_older(members))
    except TooManyWrong:
        raise _invalid((Violation("$input", f"fewer than {MAX_WRONG} errors", ABSENT),)) from None
    except ValidationError as error:
        raise _invalid(violations_of(error)) from None
    definition._source.update(members)
    return definition


def _older(members: dict[str, Any]) -> dict[str, Any]:
    """Without a good `ssh`; a bad one is judged as by those who do not know the key."""
    return {key: item for key, item in members.items() if key != "ssh" or not is_ssh(item)}


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
