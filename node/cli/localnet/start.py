"""`gpunode localnet start`: a Solana chain on this machine, with the market's programs and a content store."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli import output
from node.cli.localnet.options import AccountOption, EmptyOption, IdsOption, ProgramOption, birth_options
from node.cli.options import JsonOption

_ANY_PORT = "0 takes any free one."


def start(
    rpc_port: Annotated[
        int, typer.Option(min=0, max=65534, help=f"JSON-RPC and subscriptions; the next port too. {_ANY_PORT}")
    ] = 8899,
    content_port: Annotated[int, typer.Option(min=0, max=65535, help=f"Content store. {_ANY_PORT}")] = 8901,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep the chain here: loaded at start if it exists, saved every minute and at stop.",
            show_default=False,
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the chain's key files here; those there are used.", show_default=False),
    ] = None,
    ids: IdsOption = "devnet",
    empty: EmptyOption = False,
    program: ProgramOption = None,
    account: AccountOption = None,
    slot_ms: Annotated[int, typer.Option("--slot-ms", min=1, max=60_000, help="Milliseconds of one slot.")] = 400,
    endpoints: Annotated[
        int, typer.Option(min=1, max=16, help="Endpoints of the one chain, each with ports of its own (every tenth).")
    ] = 1,
    faults: Annotated[
        str | None,
        typer.Option(
            metavar="JSON|FILE", help="Faults from the start on (see `localnet faults set --help`).", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the chain until Ctrl-C.

    A market, a funded poster and a faucet exist from the start; with --empty only the programs and the faucet.

    JSON, one line when ready: `rpc_url`, `ws_url`, `content_url`, `cluster`, `ids`, `empty`, `genesis_hash`,
    `programs` (address -> SHA-256), `mint`, `market` (null on an empty chain), `keys` (name -> `address`, `path`),
    `endpoints` (each with `rpc_url` and `ws_url`; the first is the one above).
    """
    from node.cli import place
    from node.localnet.faults.reading import read_faults
    from node.localnet.serving import serve

    options = replace(
        birth_options(ids, empty, program, account, keys),
        rpc_port=rpc_port,
        content_port=content_port,
        state=state.expanduser() if state else None,
        slot_ms=slot_ms,
        endpoints=endpoints,
        faults=read_faults(faults) if faults is not None else (),
    )
    place.run(serve(options, _print_line if as_json else _show))


def _print_line(chain: dict[str, Any]) -> None:
    print(json.dumps(chain), flush=True)


def _show(chain: dict[str, Any]) -> None:
    more = chain["endpoints"][1:]
    output.fields(
        (
            ("JSON-RPC", chain["rpc_url"]),
            ("WebSocket", chain["ws_url"]),
            *((f"endpoint {number}", f"{each['rpc_url']}  {each['ws_url']}") for number, each in enumerate(more, 1)),
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
