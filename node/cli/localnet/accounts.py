"""`gpunode localnet set-account` and `mint`: accounts and tokens past all rules."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli import output
from node.cli.localnet.options import DEFAULT_RPC, LocalnetOption
from node.cli.options import JsonOption
from node.errors import LocalnetError, UsageError


def set_account(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="JSON as `solana account --output json` writes it, also several accounts in a list.",
            show_default=False,
        ),
    ],
    rpc: LocalnetOption = DEFAULT_RPC,
    as_json: JsonOption = False,
) -> None:
    """Put accounts in place, whoever they belong to.

    What a file leaves out (lamports, data, owner) stays as it is; 0 lamports remove the account.

    JSON: `ok`, `slot`, `accounts` (addresses).
    """
    from node.cli import place
    from node.localnet.client import ask

    done = place.run(ask(rpc, "localnet_setAccount", [entry for file in files for entry in _entries(file)]))
    output.emit(
        {"ok": True, **done}, as_json, lambda: output.line(f"in slot {done['slot']}: {', '.join(done['accounts'])}")
    )


def mint(
    mint: Annotated[str, typer.Argument(metavar="MINT", help="The token's mint.", show_default=False)],
    to: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS", help="Who gets it: an owner, or a token account of the mint.", show_default=False
        ),
    ],
    amount: Annotated[str, typer.Argument(metavar="N", help="Whole tokens, fractions allowed.", show_default=False)],
    rpc: LocalnetOption = DEFAULT_RPC,
    as_json: JsonOption = False,
) -> None:
    """Mint tokens of any mint.

    Where the mint's authority is one of the chain's keys it signs a transaction; else the accounts are set.

    JSON: `ok`, `signature` (null where nothing was sent), `mint`, `tokenAccount`, `amount` (smallest unit).
    """
    from node.chain.addresses import to_key
    from node.cli import place

    for address in (mint, to):
        to_key(address)
    done = place.run(_mint(rpc, mint, to, amount))
    output.emit({"ok": True, **done}, as_json, lambda: output.line(f"{amount} of {mint} to {done['tokenAccount']}"))


def _show(done: dict[str, Any]) -> None:
    output.line(f"in slot {done['slot']}: {', '.join(done['accounts'])}")


async def _mint(rpc: str, mint: str, to: str, amount: str) -> dict[str, Any]:
    from node.errors import RpcRejected
    from node.localnet.client import ask

    try:
        supply = await ask(rpc, "getTokenSupply", [mint, {"commitment": "processed"}])
    except RpcRejected:
        raise LocalnetError(f"{mint} is no token mint on this chain", hint="Create the mint first.") from None
    return await ask(rpc, "localnet_mint", [mint, to, _units(amount, supply["value"]["decimals"])])


def _units(amount: str, decimals: int) -> int:
    try:
        units = Decimal(amount).scaleb(decimals)
        whole = int(units)
    except (InvalidOperation, ValueError, OverflowError):
        raise UsageError(f"{amount!r} is no amount", hint="write a number such as 1 or 2.5") from None
    if whole != units or whole <= 0:
        raise UsageError(f"{amount} of this token cannot be minted", hint=f"it has {decimals} decimals")
    return whole


def _entries(file: Path) -> list[Any]:
    path = file.expanduser()
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise LocalnetError(
            f"the account file {path} cannot be read: {why}",
            hint="Write one with `solana account ADDRESS --output json`.",
        ) from None
    return document if isinstance(document, list) else [document]
