"""`gpunode wallet`: look at a wallet, make one, send from one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli import amounts, output, wallet_review, wallet_secret, wallet_sweep
from node.cli.options import (
    ClusterOption,
    IdsOption,
    JsonOption,
    LaneOption,
    RpcOption,
    SettingsOption,
    WalletOption,
)
from node.cli.wallet_secret import NewPassphraseOption, new_passphrase

group = typer.Typer(help="Show a wallet, make one, encrypt one, or send from one.", invoke_without_command=True)
group.command()(wallet_secret.encrypt)
group.command()(wallet_secret.decrypt)
group.command("change-passphrase")(wallet_secret.change_passphrase)
group.command()(wallet_review.review)
group.command()(wallet_sweep.sweep)


@group.callback()
def wallet(
    context: typer.Context,
    settings: SettingsOption = None,
    key_file: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a wallet, make one, encrypt one, or send from one.

    JSON: `wallet` (file), `account` (of a seed; else null), `encrypted`, `address`, `cluster`, `lamports`,
    `token_account`, `token_account_exists`, `nos` (micro-NOS), `sol_days` (for how long the SOL lasts: `days`, `daily`
    in lamports, `history` in days, `reason`; null: no lane's wallet).
    """
    if context.invoked_subcommand is None:
        _show(settings, key_file, lane, cluster, ids, rpc, as_json)


@group.command()
def show(
    settings: SettingsOption = None,
    key_file: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show address and balances.

    JSON: `wallet` (file), `account` (of a seed; else null), `encrypted`, `address`, `cluster`, `lamports`,
    `token_account`, `token_account_exists`, `nos` (micro-NOS), `sol_days` (for how long the SOL lasts: `days`, `daily`
    in lamports, `history` in days, `reason`; null: no lane's wallet).
    """
    _show(settings, key_file, lane, cluster, ids, rpc, as_json)


@group.command()
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Key file to write; never one that exists.")],
    seed: Annotated[
        bool, typer.Option("--seed", help="Make a seed: 24 words, of which each lane gets a key by `account`.")
    ] = False,
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Encrypt it; asks for a passphrase.")] = False,
    passphrase_file: NewPassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new key file (mode 0600), or the file of a seed for many keys.

    A key is a Solana id.json, or encrypted with a passphrase.

    JSON: `wallet` (file), `address` (of a seed: of its account 0), `seed`.
    """
    from node.chain import keyfile, seedfile
    from node.chain.derivation import Seed
    from node.chain.wallet import Wallet

    secret = new_passphrase(passphrase_file) if passphrase or passphrase_file else None
    path = file.expanduser()
    address = (
        seedfile.create(path, Seed.new(), secret, keyfile.SCRYPT_N) if seed else Wallet.create(path, secret).address
    )
    known = {"wallet": str(file), "address": address, "seed": seed}
    output.emit(known, as_json, lambda: _made(known))


def _made(known: dict[str, Any]) -> None:
    output.line(f"{known['address']}  {known['wallet']}" + ("  (account 0)" if known["seed"] else ""))
    if known["seed"]:
        output.line("Keep a copy of the file: whoever has it owns what all its accounts earn.")


@group.command()
def send(
    to: Annotated[str, typer.Argument(metavar="ADDRESS", help="Who gets it (a wallet, not a token account).")],
    sol: Annotated[str | None, typer.Option("--sol", metavar="AMOUNT", help="How much SOL.")] = None,
    nos: Annotated[str | None, typer.Option("--nos", metavar="AMOUNT", help="How much NOS.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask on mainnet.")] = False,
    settings: SettingsOption = None,
    key_file: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send SOL or NOS.

    JSON: `from`, `to`, `signature`, `fee` and `lamports` (lamports), `nos` (micro-NOS).
    """
    from node.chain.policy import OWNER_KINDS
    from node.cli import place
    from node.cli.market import parse_address
    from node.cli.reach import reach, target
    from node.cli.spend import spending
    from node.cli.wallet_file import load_wallet
    from node.errors import UsageError
    from node.market import transfer

    if (sol is None) == (nos is None):
        raise UsageError("how much of what?", hint="name one of --sol and --nos")
    lamports = amounts.parse_sol(sol) if sol is not None else 0
    micro = amounts.parse_nos(nos) if nos is not None else 0
    if not lamports and not micro:
        raise UsageError("nothing to send", hint="the amount must be more than 0")
    receiver = parse_address(to)
    loaded = place.load_if_any(settings)
    key = load_wallet(loaded, key_file, lane)
    shown = amounts.sol(lamports) if lamports else amounts.nos(micro)

    async def act() -> dict[str, Any]:
        async with reach(target(loaded, cluster, ids, rpc)) as (chain, endpoint):
            if chain.name == "mainnet" and not yes:
                confirm(f"Send {shown} from {key.address} to {receiver} on mainnet?")
            async with spending(key, OWNER_KINDS, chain, endpoint, loaded, frozenset({receiver})) as context:
                if lamports:
                    landed = await transfer.send_sol(context, receiver, lamports)
                else:
                    landed = await transfer.send_nos(context, receiver, micro)
            return {"from": key.address, "to": receiver, "signature": landed.signature, "fee": landed.fee}

    known = {**place.run(act()), "lamports": lamports, "nos": micro}
    output.emit(known, as_json, lambda: output.line(f"sent {shown} to {receiver}: {known['signature']}"))


def confirm(question: str) -> None:
    """Ask before real money moves; a no ends the command. Raises UsageError where nobody can be asked."""
    from node.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError("real money is sent only with --yes", hint="there is no terminal to ask on")
    if not typer.confirm(question):
        raise typer.Exit(1)


def _show(
    settings: Path | None,
    key_file: Path | None,
    lane: str | None,
    cluster: str | None,
    ids: str | None,
    rpc: str | None,
    as_json: bool,
) -> None:
    from node.api.documents import plain
    from node.chain import addresses
    from node.cli import place, sol_days
    from node.cli.reach import reach, target
    from node.cli.wallet_file import read_wallet

    loaded = place.load_if_any(settings)
    key = read_wallet(loaded, key_file, lane)

    async def read() -> dict[str, Any]:
        async with reach(target(loaded, cluster, ids, rpc)) as (chain, endpoint):
            account = addresses.token_account(chain, key.address)
            return {
                "wallet": str(key.path),
                "account": key.account,
                "encrypted": key.encrypted,
                "address": key.address,
                "cluster": chain.name,
                "lamports": await endpoint.get_balance(key.address),
                "token_account": account,
                "token_account_exists": await endpoint.get_account(account) is not None,
                "nos": await endpoint.get_token_amount(account),
            }

    async def complete() -> dict[str, Any]:
        known = await read()
        told = await sol_days.days_of(loaded, key.address, known["lamports"])
        return {**known, "sol_days": None if told is None else plain(told)}

    known = place.run(complete())
    missing = "" if known["token_account_exists"] else " (no token account yet)"
    output.emit(
        known,
        as_json,
        lambda: output.fields(
            [
                ("wallet", known["wallet"] + ("" if key.account is None else f", account {key.account}")),
                ("encrypted", known["encrypted"]),
                ("address", known["address"]),
                ("cluster", known["cluster"]),
                ("SOL", amounts.sol(known["lamports"]) + _lasts(known["sol_days"])),
                ("NOS", amounts.nos(known["nos"]) + missing),
            ]
        ),
    )


def _lasts(told: dict[str, Any] | None) -> str:
    from node.cli.sol_days import lasts

    return "" if told is None else f", {lasts(told['days'], told['daily'], told['reason'])}"
