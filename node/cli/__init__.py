"""The command line: `gpunode`. One file per command; each parses, calls and prints, and decides nothing."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Any, cast


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status (see node/cli/failure.py)."""
    from node.cli.app import invoke

    # httpx would load a command line of its own with rich and pygments, a tenth of a second of every command, unless
    # that fails to import, which it is made for.
    sys.modules.setdefault("httpx._main", cast(Any, None))
    for stream in (sys.stdout, sys.stderr):
        # A terminal of another encoding than UTF-8 gets what it can show, and no command ends for want of a letter.
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
    sys.exit(invoke(list(sys.argv[1:] if arguments is None else arguments)))
