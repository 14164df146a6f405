"""`gpunode run`: the agent, in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import failure
from node.cli.options import SettingsOption

if TYPE_CHECKING:
    from node.errors import GpunodeError


def run(
    settings: SettingsOption = None,
    as_json: Annotated[bool, typer.Option("--json", "--log-json", help="Log JSON lines instead of text.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more, and repeated lines too.")] = False,
) -> None:
    """Serve jobs until stopped; logs go to stderr.

    SIGTERM or Ctrl-C detach: a running job goes on in its container, and the next start takes it up again.

    JSON: one line each, on stderr: `time`, `level`, `lane`, `logger`, `message`, and `traceback` for bugs. Exit status
    3 for what a person must set right before another start can go better: settings, wallet, the wrong cluster.
    """
    import logging

    from node.agent.logs import JsonFormatter, PlainFormatter, set_up_logging
    from node.agent.sealing import seal_process
    from node.agent.wiring import run_agent
    from node.cli import place
    from node.cli.repeats import Repeats
    from node.errors import SettingsError, WalletError, WrongCluster

    try:
        loaded = place.load(settings)
    except SettingsError as error:
        raise typer.Exit(_to_mend(error, as_json)) from None
    set_up_logging(JsonFormatter() if as_json else PlainFormatter(), logging.DEBUG if verbose else logging.INFO)
    if not verbose:
        for handler in logging.getLogger().handlers:
            handler.addFilter(Repeats())
    seal_process()
    try:
        place.run(run_agent(loaded))
    except (SettingsError, WalletError, WrongCluster) as error:
        raise typer.Exit(_to_mend(error, as_json)) from None


def _to_mend(error: GpunodeError, as_json: bool) -> int:
    """Say what is wrong; the exit status after which a service manager should not start the agent again."""
    failure.report(error, as_json)
    return failure.ATTENTION
