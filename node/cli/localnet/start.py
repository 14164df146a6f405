"""`gpunode localnet start`: a Solana chain on this machine, with the market's programs and a content store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.localnet.options import AccountOption, EmptyOption, IdsOption, ProgramOption
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
    history: Annotated[
        int, typer.Option(min=100, max=10_000_000, help="Transactions remembered; each takes about 1 KB of memory.")
    ] = 10_000,
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
    from node.cli.chain import id_set
    from node.cli.chain_process import Choices, become

    become(
        Choices(
            rpc_port=rpc_port,
            content_port=content_port,
            state=str(state) if state else None,
            keys=str(keys) if keys else None,
            ids=id_set(ids),
            empty=empty,
            programs=program or [],
            accounts=[str(path) for path in account or ()],
            slot_ms=slot_ms,
            history=history,
            endpoints=endpoints,
            faults=faults,
            as_json=as_json,
        )
    )
