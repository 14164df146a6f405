"""`gpunode localnet faucet`: SOL and NOS out of nothing."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from node.cli import amounts, output
from node.cli.localnet.options import DEFAULT_RPC, LocalnetOption
from node.cli.options import JsonOption


def faucet(
    address: Annotated[str, typer.Argument(help="Who gets it.", metavar="ADDRESS", show_default=False)],
    sol: Annotated[
        str | None, typer.Option("--sol", metavar="N", help="SOL; 1 if nothing is named.", show_default=False)
    ] = None,
    nos: Annotated[
        str | None,
        typer.Option("--nos", metavar="N", help="NOS; the token account is created if missing.", show_default=False),
    ] = None,
    rpc: LocalnetOption = DEFAULT_RPC,
    as_json: JsonOption = False,
) -> None:
    """Give an address SOL and NOS on a running localnet.

    JSON: `ok`, `address`, `signature`, `lamports`, `nos` (micro-NOS), `tokenAccount`.
    """
    from node.chain.addresses import to_address, to_key
    from node.cli import place
    from node.localnet.client import ask_faucet

    lamports = amounts.parse_sol("1" if sol is None and nos is None else sol or "0")
    micro = amounts.parse_nos(nos or "0")
    gift = place.run(ask_faucet(rpc, to_address(to_key(address)), lamports=lamports, nos=micro))
    answer = {"ok": True, "address": address, **gift}
    output.emit(answer, as_json, lambda: _show_gift(address, gift))


def _show_gift(address: str, gift: dict[str, Any]) -> None:
    parts = [amounts.sol(gift["lamports"])] if gift["lamports"] else []
    parts += [amounts.nos(gift["nos"])] if gift["nos"] else []
    output.line(f"{' and '.join(parts)} to {address} ({gift['signature']})")
