"""`gpunode init`: a wallet and a settings file to begin with."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import output
from node.cli.options import JsonOption, SettingsOption

if TYPE_CHECKING:
    from node.cli.starter import Starter
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
    market: Annotated[
        str | None,
        typer.Option("--market", metavar="ADDRESS", help="Which market to join; default on a localnet: its own."),
    ] = None,
    rpc: Annotated[
        str | None, typer.Option("--rpc", metavar="URL", help="Solana endpoint; default: the cluster's.")
    ] = None,
    ids: Annotated[
        IdsChoice | None,
        typer.Option("--ids", help="On a localnet: which program addresses it has.", show_default=False),
    ] = None,
    wallet: Annotated[
        Path | None,
        typer.Option("--wallet", metavar="FILE", help="Key file to use, or to write if there is none."),
    ] = None,
    seed: Annotated[
        bool, typer.Option("--seed", help="One lane for each GPU, with keys of one seed: --wallet is the seed's file.")
    ] = False,
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
    """Write a wallet and a settings file.

    JSON: `settings`, `wallet` (files), `address` (of a seed: of its account 0), `wallet_created`, `cluster`, `market`,
    `rpc`, `packet_filter` (`required`, or `off` on a localnet where it cannot be had) and `packet_filter_reason`.
    """
    from node.cli import place
    from node.cli.starter import RPC, Starter, check, write
    from node.container.egress.ability import why_not
    from node.paths import default_paths

    file, named = place.settings_file(settings)
    key_file = (wallet or default_paths().keys / ("seed.txt" if seed else "main.json")).expanduser()
    endpoint = rpc or RPC[cluster.value]
    known = _ask_localnet(endpoint) if cluster is ClusterChoice.LOCALNET and market is None else {}
    starter = Starter(
        cluster=cluster.value,
        ids=ids.value if ids is not None else known.get("ids") or IdsChoice.DEVNET.value,
        country=country if country is not None else _ask("Country the host stands in (two letters)", "--country NL"),
        market=market or known.get("market") or _ask("Address of the market to join", _market_hint(cluster, endpoint)),
        wallet=key_file,
        rpc=endpoint,
        content=content or known.get("content_url"),
        data=data,
        has_seed=seed,
        no_filter=why_not() if cluster is ClusterChoice.LOCALNET else "",
    )
    check(starter, file, replace=force)
    address, made = _seed(key_file) if seed else _wallet(key_file)
    write(starter, file)
    answer = {
        "settings": str(file),
        "wallet": str(key_file),
        "address": address,
        "wallet_created": made,
        "cluster": starter.cluster,
        "market": starter.market,
        "rpc": endpoint,
        "packet_filter": "off" if starter.no_filter else "required",
        "packet_filter_reason": starter.no_filter,
    }
    flag = f" --settings {shlex.quote(str(file))}" if named and file != default_paths().settings else ""
    output.emit(answer, as_json, lambda: _show(answer, starter, flag))


def _ask_localnet(endpoint: str) -> dict[str, Any]:
    """What a localnet says of itself; nothing where none answers."""
    from node.cli import place
    from node.errors import ChainError
    from node.localnet.client import ask_info

    try:
        return place.run(ask_info(endpoint))
    except ChainError:
        return {}


def _market_hint(cluster: ClusterChoice, endpoint: str) -> str:
    if cluster is ClusterChoice.LOCALNET:
        return f"--market ADDRESS; or start a localnet (gpunode localnet start), none answers at {endpoint}"
    return f"--market ADDRESS; see `gpunode market list --cluster {cluster.value}`"


def _wallet(file: Path) -> tuple[Address, bool]:
    """The wallet's address, and whether its file was made now."""
    from node.chain.wallet import Wallet

    if file.exists():
        return Wallet.load(file).address, False
    return Wallet.create(file).address, True


def _seed(file: Path) -> tuple[Address, bool]:
    """The address of the seed's account 0, and whether its file was made now."""
    from node.chain import keyfile, seedfile
    from node.chain.derivation import Seed

    if file.exists():
        return keyfile.read(file, 0).address, False
    return seedfile.create(file, Seed.new(), None, keyfile.SCRYPT_N), True


def _ask(question: str, hint: str) -> str:
    """Ask on a terminal; elsewhere a UsageError whose hint begins with the option to give."""
    from node.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError(f"{hint.split()[0]} is required", hint=f"{question.lower()}: {hint}")
    return str(typer.prompt(question))


def _show(known: dict[str, Any], starter: Starter, flag: str) -> None:
    output.fields(
        [
            ("settings", known["settings"]),
            ("wallet", f"{known['wallet']} ({'new' if known['wallet_created'] else 'was there, kept'})"),
            ("address", known["address"]),
            ("cluster", known["cluster"] + (" (real money)" if known["cluster"] == "mainnet" else "")),
            ("market", known["market"]),
        ]
    )
    if starter.no_filter:
        output.line(f"packet filter off, jobs reach what this host reaches: {starter.no_filter}")
    output.line()
    if known["wallet_created"]:
        output.line("Keep a copy of the wallet file: whoever has it owns what it earns.")
        output.line()
    output.line("Next:")
    if starter.cluster == "localnet":
        elsewhere = f" --rpc {known['rpc']}" if starter.rpc != "http://127.0.0.1:8899" else ""
        output.line(f"  gpunode localnet faucet {known['address']} --sol 1{elsewhere}")
    else:
        output.line(f"  send SOL to {known['address']} (gpunode doctor says how much)")
    if starter.cluster != "localnet" and starter.content is None:
        output.line(f"  name in {known['settings']} where results are uploaded: content.stores")
    output.line(f"  gpunode doctor{flag}")
    output.line(f"  gpunode run{flag}")
