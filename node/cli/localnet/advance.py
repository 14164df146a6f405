"""`gpunode localnet advance`: time that passes at once."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from node.cli import output
from node.cli.localnet.options import DEFAULT_RPC, LocalnetOption
from node.cli.options import JsonOption
from node.errors import UsageError


def advance(
    seconds: Annotated[
        float | None, typer.Option("--seconds", metavar="N", help="Seconds that pass.", show_default=False)
    ] = None,
    slots: Annotated[
        int | None, typer.Option("--slots", metavar="N", help="Slots that pass.", show_default=False)
    ] = None,
    rpc: LocalnetOption = DEFAULT_RPC,
    as_json: JsonOption = False,
) -> None:
    """Let time pass at once, for clock and slots.

    The clock stays ahead from then on, also in a saved chain. Of a long time only the last 512 slots have blocks, so
    that older blockhashes are too old to be used.

    JSON: `ok`, `slot`, `blockHeight`, `time` (Unix seconds) of the newest block.
    """
    from node.cli import place
    from node.localnet.client import ask

    if (seconds is None) == (slots is None):
        raise UsageError("how much time is to pass?", hint="give either --seconds N or --slots N")
    wanted: dict[str, Any] = {"slots": slots} if seconds is None else {"seconds": seconds}
    head = place.run(ask(rpc, "localnet_advance", [wanted]))
    output.emit({"ok": True, **head}, as_json, lambda: _show(head))


def _show(head: dict[str, Any]) -> None:
    from datetime import UTC, datetime

    when = datetime.fromtimestamp(head["time"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    output.line(f"slot {head['slot']}, block {head['blockHeight']}, {when}")
