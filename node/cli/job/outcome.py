"""A result document for people: how each operation ended and why, what was found, the end of its log.

A result is a stranger's document: nothing in it is taken to be there, and nothing may drive the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from node.cli import amounts, output
from node.cli.violations import violation_line

LOG_LINES = 20
"""Log lines shown to people."""
VIOLATIONS = 20
LONGEST_FOUND = 200
"""Characters shown of what a regex found."""
_MEANING = {
    "success": "every operation succeeded",
    "failed": "an operation failed",
    "stopped": "the poster ended the job",
    "validation-error": "the definition breaks the schema, so nothing was run",
}


def show_result(result: dict[str, Any]) -> None:
    """Print a result document."""
    status = result.get("status")
    output.line(f"result: {status}" + (f" ({_MEANING[status]})" if status in _MEANING else ""))
    _show_violations(result)
    states = [state for state in _list(result.get("opStates")) if isinstance(state, dict)]
    if states:
        rows = [
            [state.get("operationId"), state.get("status"), state.get("exitCode"), _took(state)] for state in states
        ]
        output.table(["operation", "status", "exit", "took"], rows)
    for state in states:
        for reason in reasons(state):
            output.line(f"  {state.get('operationId')}: {reason}")
    for state in states:
        _show_found(state)
        _show_log(state)


def reasons(state: dict[str, Any]) -> Iterator[str]:
    """Why an operation did not go well, one line each: node-side errors, then what ended it from outside."""
    for error in _list(state.get("errors")):
        if isinstance(error, dict):
            code = error.get("code")
            yield f"{error.get('message')} ({error.get('event')}{'' if code is None else f' {code}'})"
    diagnostics = state.get("diagnostics")
    reason = diagnostics.get("reason") if isinstance(diagnostics, dict) else None
    if isinstance(reason, dict):
        for key, words in (
            ("jobExpired", "stopped: the time that was paid for was over"),
            ("jobStopped", "stopped: the poster ended the job"),
            ("hostShutDown", "stopped: the host gave the job up"),
        ):
            if reason.get(key) is True:
                yield words


def _show_violations(result: dict[str, Any]) -> None:
    broken = [rule for error in _list(result.get("errors")) for rule in (error if isinstance(error, list) else [error])]
    for rule in broken[:VIOLATIONS]:
        output.line(f"  {violation_line(rule) if isinstance(rule, dict) and 'path' in rule else rule}"[:300])
    if len(broken) > VIOLATIONS:
        output.line(f"  and {len(broken) - VIOLATIONS} more")


def _show_found(state: dict[str, Any]) -> None:
    found = state.get("results")
    if not isinstance(found, dict) or not found:
        return
    output.line()
    output.line(f"found by {state.get('operationId')}:")
    for name, values in found.items():
        shown = ", ".join(str(value) for value in values) if isinstance(values, list) else str(values)
        output.line(f"  {name}: {shown if len(shown) <= LONGEST_FOUND else shown[: LONGEST_FOUND - 1] + '…'}")


def _show_log(state: dict[str, Any]) -> None:
    entries = [entry for entry in _list(state.get("logs")) if isinstance(entry, dict)]
    if not entries:
        return
    shown = entries[-LOG_LINES:]
    output.line()
    cut = f", the last {LOG_LINES} of {len(entries)} lines" if len(entries) > LOG_LINES else ""
    output.line(f"log of {state.get('operationId')}{cut}:")
    # What the node itself has to say (lines were left out) must not be lost with the lines not shown.
    notes = [entry for entry in entries[:-LOG_LINES] if entry.get("type") == "nodeerr"]
    for entry in [*notes, *shown]:
        output.line(f"  {str(entry.get('log', '')).rstrip()}")


def _took(state: dict[str, Any]) -> str | None:
    began, ended = state.get("startTime"), state.get("endTime")
    if not isinstance(began, int | float) or not isinstance(ended, int | float) or ended < began:
        return None
    return amounts.duration((ended - began) / 1000)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
