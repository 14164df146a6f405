"""`gpunode run`: the agent, in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.options import SettingsOption


def run(
    settings: SettingsOption = None,
    as_json: Annotated[bool, typer.Option("--json", "--log-json", help="Log JSON lines instead of text.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more, and repeated lines too.")] = False,
) -> None:
    """Serve jobs until stopped; logs go to stderr.

    SIGTERM or Ctrl-C detach: a running job goes on in its container, and the next start takes it up again.

    JSON: one line each, on stderr: `time`, `level`, `lane`, `logger`, `message`, and `traceback` for bugs.
    """
    import logging

    from node.agent.logs import JsonFormatter, PlainFormatter, set_up_logging
    from node.agent.sealing import seal_process
    from node.agent.wiring import run_agent
    from node.cli import place
    from node.cli.repeats import Repeats

    loaded = place.load(settings)
    set_up_logging(JsonFormatter() if as_json else PlainFormatter(), logging.DEBUG if verbose else logging.INFO)
    if not verbose:
        for handler in logging.getLogger().handlers:
            handler.addFilter(Repeats())
    seal_process()
    place.run(run_agent(loaded))
