"""The command line: `gpunode`. One file per command; each parses, calls and prints, and decides nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status (see node/cli/failure.py)."""
    from node.cli.app import invoke

    sys.exit(invoke(list(sys.argv[1:] if arguments is None else arguments)))
