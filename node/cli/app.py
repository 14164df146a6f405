"""The tree of commands, and the one place where a command's end becomes an exit status.

Command modules import nothing heavy at their top, so that `gpunode --help` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from node.cli import completion, failure
from node.cli.commands import attach
from node.cli.help import Commands

app = typer.Typer(
    name="gpunode",
    help="Earn with this host's GPUs on a Solana job market, and post jobs to one.",
    no_args_is_help=True,
    cls=Commands,
    # Plain help: rich's takes longer to load than most commands to run.
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from node import __version__

        print(f"gpunode {__version__}")
        raise typer.Exit


@app.callback()
def root(
    settings: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            metavar="FILE",
            help="Settings file (also GPUNODE_SETTINGS, and after any command).",
            show_default=False,
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 (acts in its callback)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Earn with this host's GPUs on a Solana job market, and post jobs to one."""
    from node.cli.place import CHOSEN_FILE

    CHOSEN_FILE.set(settings)


attach(app)


def invoke(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status. Whatever happens, no traceback reaches the screen."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    as_json = "--json" in options
    # The names of types in typer's messages follow the terminal's width; a wrong COLUMNS must not break help.
    if not os.environ.get("COLUMNS", "1").isdigit():
        del os.environ["COLUMNS"]
    if completion.VARIABLE in os.environ:
        # A shell asks what could follow. The library sets this up only where it offers options for it, too.
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()
    try:
        status = typer.main.get_command(app).main(list(arguments), prog_name="gpunode", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        return _usage(error, as_json)
    except typer.Abort:
        return failure.INTERRUPTED
    except (Exception, KeyboardInterrupt, SystemExit, BaseExceptionGroup) as error:
        return failure.conclude(error, as_json)
    return status if isinstance(status, int) else 0


def _usage(error: typer.TyperException, as_json: bool) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "gpunode"
    if type(error).__name__ == "NoArgsIsHelpError":
        if context is not None and not as_json:
            print(context.get_help())
            return failure.USAGE
        return failure.report_usage(f"{path}: which command?", f"see {path} --help", as_json)
    return failure.report_usage(error.format_message().rstrip("."), f"see {path} --help", as_json)
