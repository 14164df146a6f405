"""How `--help` is laid out: commands under headings by use, in plain text that any terminal or pipe can take."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

from node.cli.options import CHAIN, EARN, JOBS, RUNNING, TRY

HEADINGS = (EARN, RUNNING, CHAIN, JOBS, TRY)
ORDER = (
    *("init", "doctor", "run"),
    *("status", "jobs", "logs", "gpus", "drain", "pause", "resume", "stop"),
    *("market", "register", "stake", "wallet"),
    *("job", "verify", "demo", "localnet", "completion"),
)
"""Commands within their heading; those not named come last."""


class Commands(TyperGroup):
    """A group that lists its commands heading by heading, one line each."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 (the base class names it)
        """Write the headings and their commands."""
        shown = [(name, command) for name, command in self.commands.items() if not command.hidden]
        shown.sort(key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER))
        limit = formatter.width - 6 - max(len(name) for name, _ in shown)
        for heading in HEADINGS:
            rows = [
                (name, command.get_short_help_str(limit))
                for name, command in shown
                if getattr(command, "rich_help_panel", None) == heading
            ]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)
