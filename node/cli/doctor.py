"""`gpunode doctor`: everything the agent needs, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from node.cli import output
from node.cli.failure import ATTENTION
from node.cli.options import JsonOption, SettingsOption

if TYPE_CHECKING:
    from node.agent.finding import Finding


def doctor(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Check what this host needs to earn, and how to mend it.

    JSON: `ok`, `findings` (`name`, `ok`: true, false or null where it could not be seen, `seen`, `fix`). Exit status 3
    when something needs attention.
    """
    from node.agent.doctor import examine
    from node.agent.finding import Finding
    from node.cli import place

    file, _ = place.settings_file(settings)
    loaded = place.load(settings)
    found = (Finding("settings", True, str(file)), *place.run(examine(loaded)))
    good = all(finding.ok is not False for finding in found)
    output.emit({"ok": good, "findings": found}, as_json, lambda: _show(found))
    if not good:
        raise typer.Exit(ATTENTION)


def _show(found: tuple[Finding, ...]) -> None:
    widest = max(len(finding.name) for finding in found)
    for finding in found:
        output.wrapped(f"{output.mark(finding.ok)} {finding.name.ljust(widest)}  ", finding.seen, widest + 4)
        if finding.fix and finding.ok is not True:
            output.wrapped(f"  {' ' * widest}  {output.arrow()} ", finding.fix, widest + 6)
    output.line()
    wrong = sum(finding.ok is False for finding in found)
    output.line("Everything needed is there." if not wrong else f"{wrong} to mend.")
