"""`gpunode job validate`: does a definition keep the network's schema?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli import output
from node.cli.failure import FAILED
from node.cli.options import JsonOption
from node.cli.violations import violation_line


def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Definitions to check; - is stdin.")],
    as_json: JsonOption = False,
) -> None:
    """Check definitions against the network's schema.

    JSON: a list of `file`, `valid`, `errors` (`path`, `expected`, `value`).
    """
    checked = [_check(file) for file in files]
    output.emit(checked, as_json, lambda: _show(checked))
    if not all(each["valid"] for each in checked):
        raise typer.Exit(FAILED)


def _check(file: Path) -> dict[str, Any]:
    """One file's verdict; a file that is no document at all has one error at `$input`."""
    from node.cli.job.files import read_definition
    from node.errors import DefinitionInvalid, GpunodeError
    from node.job.definition import parse_definition, violation_json

    errors: list[dict[str, Any]] = []
    try:
        parse_definition(read_definition(file))
    except DefinitionInvalid as invalid:
        errors = [violation_json(violation) for violation in invalid.violations]
    except GpunodeError as unreadable:
        errors = [{"path": "$input", "expected": f"JobDefinition ({unreadable.message})"}]
    return {"file": str(file), "valid": not errors, "errors": errors}


def _show(checked: list[dict[str, Any]]) -> None:
    for each in checked:
        print(f"{output.mark(each['valid'])} {output.printable(each['file'])}")
        for error in each["errors"]:
            output.line(f"    {violation_line(error)}")
