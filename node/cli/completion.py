"""`gpunode completion`: what a shell must be told so that Tab completes commands and options."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from node.cli import output
from node.cli.options import JsonOption

VARIABLE = "_GPUNODE_COMPLETE"
"""By it a shell asks the program what could follow."""


class Shell(StrEnum):
    """Shells that can be told."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="The shell to print it for.")],
    as_json: JsonOption = False,
) -> None:
    """Print the completion script of a shell.

    For this shell only: eval "$(gpunode completion bash)"; for good: put it where the shell looks for such files.

    JSON: `shell`, `script`.
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    wanted = {"prog_name": "gpunode", "complete_var": VARIABLE, "shell": shell.value}
    script = get_completion_script(**wanted)
    output.emit({"shell": shell.value, "script": script}, as_json, lambda: print(script))
