"""`gpunode init`: a wallet and a settings file to begin with."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import output
from node.cli.options import JsonOption, SettingsOption

if TYPE_CHECKING:
    from node.records import Address


class ClusterChoice(StrEnum):
    """Chains that settings can be written for."""

    LOCALNET = "localnet"
    DEVNET = "devnet"
    MAINNET = "mainnet"


class IdsChoice(StrEnum):
    """Program address sets that a localnet can carry."""

    DEVNET = "devnet"
    MAINNET = "mainnet"


def init(
    cluster: Annotated[
        ClusterChoice,
        typer.Option("--cluster", help="Which chain; mainnet is real money and must be named."),
    ] = ClusterChoice.LOCALNET,
    country: Annotated[
        str | None, typer.Option("--country", metavar="CC", help="Where the host stands: NL, US, ...")
    ] = None,
    market: Annotated[str | None, typer.Option("--market", metavar="ADDRESS", help="Which market to join.")] = None,
    rpc: Annotated[
        str | None, typer.Option("--rpc", metavar="URL", help="Solana endpoint; default: the cluster's.")
    ] = None,
    ids: Annotated[
        IdsChoice, typer.Option("--ids", help="On a localnet: which program addresses it has.")
    ] = IdsChoice.DEVNET,
    wallet: Annotated[
        Path | None,
        typer.Option("--wallet", metavar="FILE", help="Key file to use, or to write if there is none."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Data folder; default: the user's.")
    ] = None,
    content: Annotated[
        str | None,
        typer.Option("--content", metavar="URL", help="IPFS node to upload to; default on a localnet: its own."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a settings file; a wallet is never replaced.")
    ] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a wallet and a settings file."""
    from node.cli import place
    from node.cli.starter import Starter, check, write
    from node.paths import default_paths

    file, _ = place.settings_file(settings)
    key_file = (wallet or default_paths().keys / "main.json").expanduser()
    starter = Starter(
        cluster=cluster.value,
        ids=ids.value,
        country=country if country is not None else _ask("Country the host stands in (two letters)", "--country"),
        market=market if market is not None else _ask("Address of the market to join", "--market"),
        wallet=key_file,
        rpc=rpc,
        content=content,
        data=data,
    )
    check(starter, file, replace=force)
    address, made = _wallet(key_file)
    write(starter, file)
    known = {
        "settings": str(file),
        "wallet": str(key_file),
        "address": address,
        "wallet_created": made,
        "cluster": starter.cluster,
    }
    output.emit(known, as_json, lambda: _show(known))


def _wallet(file: Path) -> tuple[Address, bool]:
    """The wallet's address, and whether its file was made now."""
    from node.chain.wallet import Wallet

    if file.exists():
        return Wallet.load(file).address, False
    return Wallet.create(file).address, True


def _ask(question: str, option: str) -> str:
    from node.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError(f"{option} is required", hint=f"{question.lower()}, e.g. {_EXAMPLES[option]}")
    return str(typer.prompt(question))


_EXAMPLES = {
    "--country": "--country NL",
    "--market": "--market 7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41 (see `gpunode market list`)",
}


def _show(known: dict[str, object]) -> None:
    output.fields(
        [
            ("settings", known["settings"]),
            ("wallet", f"{known['wallet']} ({'new' if known['wallet_created'] else 'was there, kept'})"),
            ("address", known["address"]),
            ("cluster", known["cluster"]),
        ]
    )
    output.line()
    if known["wallet_created"]:
        output.line("Keep a copy of the wallet file: whoever has it owns what it earns.")
    output.line("Next: send the address some SOL, then gpunode doctor, then gpunode run")
