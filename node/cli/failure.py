"""How a command ends when it does not succeed: one line and a hint, an exit status, never a traceback.

Exit statuses: 0 done, 1 failed, 2 wrong usage, 3 done but something needs attention, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path

from node.cli import output
from node.errors import DefinitionInvalid, GpunodeError, TransactionFailed, UsageError

FAILED = 1
USAGE = 2
ATTENTION = 3
INTERRUPTED = 130
VIOLATIONS_SHOWN = 20


def conclude(error: BaseException, as_json: bool) -> int:
    """Say how a command ended by an error of any kind; returns the exit status."""
    if isinstance(error, GpunodeError):
        return report(error, as_json)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError | SystemExit):
        # The reader of stdout has gone (a pager, `head`): nothing is wrong, and nothing more can be said. typer turns
        # some of these into an exit of its own; commands never exit that way.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, BaseExceptionGroup):
        return _group(error, as_json)
    return report_bug(error, as_json)


def _group(group: BaseExceptionGroup[BaseException], as_json: bool) -> int:
    """Tasks that failed together: the first error raised on purpose speaks for all of them."""
    leaves = list(_leaves(group))
    for leaf in leaves:
        if isinstance(leaf, GpunodeError):
            return report(leaf, as_json)
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return INTERRUPTED
    return report_bug(group, as_json)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def report(error: GpunodeError, as_json: bool) -> int:
    """Print an error raised on purpose; returns the exit status."""
    if as_json:
        output.document({"ok": False, "error": describe(error)})
    else:
        output.note(f"error: {error.message}")
        if isinstance(error, DefinitionInvalid):
            _list_violations(error)
        if error.hint:
            output.note(f"  hint: {error.hint}")
    return USAGE if isinstance(error, UsageError) else FAILED


def _list_violations(error: DefinitionInvalid) -> None:
    """Where the message cannot name them all: one line each."""
    from node.cli.violations import violation_line
    from node.job.definition import violation_json

    if len(error.violations) < 2:
        return
    for violation in error.violations[:VIOLATIONS_SHOWN]:
        output.note(f"  {violation_line(violation_json(violation))}")
    more = len(error.violations) - VIOLATIONS_SHOWN
    if more > 0:
        output.note(f"  and {more} more")


def describe(error: GpunodeError) -> dict[str, object]:
    """The error as JSON: `kind` (class name), `message`, `hint`, and what the class carries beside them."""
    known: dict[str, object] = {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
    if isinstance(error, TransactionFailed):
        known["error"] = error.error
    if isinstance(error, DefinitionInvalid):
        from node.job.definition import violation_json

        known["violations"] = [violation_json(violation) for violation in error.violations]
    return known


def report_usage(message: str, hint: str, as_json: bool) -> int:
    """Print a wrong use of the command line; returns the exit status."""
    return report(UsageError(message[:1].lower() + message[1:], hint=hint), as_json)


def report_bug(error: BaseException, as_json: bool) -> int:
    """Print an error nobody foresaw: one line, with the traceback in a file; returns the exit status."""
    if os.environ.get("GPUNODE_DEBUG") == "1":
        traceback.print_exception(error)
    place = _write(error)
    what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    wrapped = GpunodeError(
        f"this is a bug in gpunode: {what}",
        hint=f"a report is in {place}; please send it to the project" if place else "run again with GPUNODE_DEBUG=1",
    )
    if as_json:
        described = {**describe(wrapped), "kind": "Bug", "report": str(place) if place else None}
        output.document({"ok": False, "error": described})
        return FAILED
    return report(wrapped, as_json=False)


def _write(error: BaseException) -> Path | None:
    """Keep the traceback in a file only this user can read. Values of variables are left out: they may be secret."""
    from node import __version__

    text = "".join(traceback.format_exception(error))
    lines = [f"gpunode {__version__}", f"python {sys.version.split()[0]}", f"command {sys.argv[1:2]}", "", text]
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(prefix="gpunode-bug-", suffix=".txt", dir=folder)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write("\n".join(lines))
        except OSError:
            continue
        return Path(name)
    return None


def _folders() -> list[Path]:
    from node.paths import default_paths

    data = default_paths().data
    return ([data / "reports"] if data.is_dir() else []) + [Path(tempfile.gettempdir())]
