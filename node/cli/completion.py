"""`gpunode completion`: what a shell must be told so that Tab completes commands and options."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

VARIABLE = "_GPUNODE_COMPLETE"
"""By it a shell asks the program what could follow."""


class Shell(StrEnum):
    """Shells that can be told."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="The shell to print it for.")],
) -> None:
    """Print the completion script of a shell.

    For this shell only: eval "$(gpunode completion bash)"; for good: put it where the shell looks for such files.
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    wanted = {"prog_name": "gpunode", "complete_var": VARIABLE, "shell": shell.value}
    print(get_completion_script(**wanted))
