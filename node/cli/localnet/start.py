"""`gpunode localnet start`: a Solana chain on this machine, with the market's programs and a content store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli import output
from node.cli.options import JsonOption
from node.errors import UsageError

_ANY_PORT = "0 takes any free one."


def start(
    rpc_port: Annotated[
        int, typer.Option(min=0, max=65534, help=f"JSON-RPC and subscriptions; the next port too. {_ANY_PORT}")
    ] = 8899,
    content_port: Annotated[int, typer.Option(min=0, max=65535, help=f"Content store. {_ANY_PORT}")] = 8901,
    state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the chain here: loaded at start, saved at stop.", show_default=False),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the chain's key files here; those there are used.", show_default=False),
    ] = None,
    ids: Annotated[
        str, typer.Option(metavar="NAME", help="Which of the network's program addresses: devnet or mainnet.")
    ] = "devnet",
    slot_ms: Annotated[int, typer.Option("--slot-ms", min=1, max=60_000, help="Milliseconds of one slot.")] = 400,
    as_json: JsonOption = False,
) -> None:
    """Run the chain until Ctrl-C.

    A market, a funded poster and a faucet exist from the start.

    JSON, one line when ready: `rpc_url`, `ws_url`, `content_url`, `cluster`, `ids`, `genesis_hash`, `programs`
    (address -> SHA-256), `mint`, `market`, `keys` (name -> `address`, `path`).
    """
    from node.cli import place
    from node.localnet.options import LocalnetOptions
    from node.localnet.serving import serve

    if ids not in ("devnet", "mainnet"):
        raise UsageError(f"there is no set of program addresses named {ids!r}", hint="use devnet or mainnet")
    options = LocalnetOptions(
        rpc_port=rpc_port,
        content_port=content_port,
        state=state.expanduser() if state else None,
        keys=keys.expanduser() if keys else None,
        ids="mainnet" if ids == "mainnet" else "devnet",
        slot_ms=slot_ms,
    )
    place.run(serve(options, _print_line if as_json else _show))


def _print_line(chain: dict[str, Any]) -> None:
    print(json.dumps(chain), flush=True)


def _show(chain: dict[str, Any]) -> None:
    output.fields(
        (
            ("JSON-RPC", chain["rpc_url"]),
            ("WebSocket", chain["ws_url"]),
            ("content", chain["content_url"]),
            ("program ids", chain["ids"]),
            ("NOS mint", chain["mint"]),
            ("market", chain["market"]),
        )
    )
    output.line()
    output.table(
        ("key", "address", "file"),
        [(name, key["address"], key["path"]) for name, key in chain["keys"].items()],
    )
    output.note("ready; Ctrl-C stops the chain")
