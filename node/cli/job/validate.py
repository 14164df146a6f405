"""`gpunode job validate`: does a definition keep the network's schema?"""

from __future__ import annotations

from collections.abc import Callable
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
    compat: Annotated[
        bool, typer.Option("--compat", help="By the rules of the network's older validator (@nosana/sdk 0.4.69).")
    ] = False,
) -> None:
    """Check definitions against the network's schema.

    The rules are those of @nosana/types 2.1.6, and of the fields that newer versions added: execution.timeout,
    restart_on_failure of health checks, and ssh with well-formed keys. A posted job runs if it keeps either these
    rules or those of --compat.

    JSON: a list of `file`, `valid`, `errors` (`path`, `expected`, `value`).
    """
    from node.job.definition import parse_compat, parse_definition

    checked = [_check(file, parse_compat if compat else parse_definition) for file in files]
    output.emit(checked, as_json, lambda: _show(checked))
    if not all(each["valid"] for each in checked):
        raise typer.Exit(FAILED)


def _check(file: Path, parse: Callable[[bytes], object]) -> dict[str, Any]:
    """One file's verdict; a file that is no document at all has one error at `$input`."""
    from node.cli.job.files import read_definition
    from node.errors import DefinitionInvalid, GpunodeError
    from node.job.definition import violation_json

    errors: list[dict[str, Any]] = []
    try:
        parse(read_definition(file))
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
