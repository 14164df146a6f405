"""`gpunode stake`: the stake that every node needs, if an empty one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import amounts, output
from node.cli.options import (
    ClusterOption,
    IdsOption,
    JsonOption,
    LaneOption,
    RpcOption,
    SettingsOption,
    WalletOption,
)

if TYPE_CHECKING:
    from node.market.stakes import StakeChange, Stakes, StakeView

group = typer.Typer(help="Show or change the stake that every node needs.", invoke_without_command=True)
AmountArgument = Annotated[str, typer.Argument(metavar="NOS", help="How much NOS; 0 is allowed for a new stake.")]


@dataclass(frozen=True, slots=True)
class Who:
    """Which wallet on which chain."""

    settings: Path | None
    wallet: Path | None
    lane: str | None
    cluster: str | None
    ids: str | None
    rpc: str | None


@group.callback()
def stake(
    context: typer.Context,
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show or change the stake that every node needs.

    JSON: `wallet`, `stake` (`address`, `authority`, `amount` and `held` in micro-NOS, `xnos`, `duration`,
    `unstaked_at`, `unlocks_at`; null: none).
    """
    if context.invoked_subcommand is None:
        _show(Who(settings, wallet, lane, cluster, ids, rpc), as_json)


@group.command()
def show(
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the stake, its weight and when it unlocks.

    JSON: `wallet`, `stake` (`address`, `authority`, `amount` and `held` in micro-NOS, `xnos`, `duration`,
    `unstaked_at`, `unlocks_at`; null: none).
    """
    _show(Who(settings, wallet, lane, cluster, ids, rpc), as_json)


@group.command()
def create(
    amount: AmountArgument = "0",
    days: Annotated[
        int, typer.Option("--days", min=14, max=365, help="How long NOS stay locked after unstaking.")
    ] = 14,
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a stake account (an empty one unless NOS are named).

    JSON: as `stake show`, with `signature` and `fee` (lamports).
    """
    micro = amounts.parse_nos(amount)
    who = Who(settings, wallet, lane, cluster, ids, rpc)
    _change(who, lambda stakes: stakes.create(micro, days * amounts.DAY), as_json)


@group.command()
def topup(
    amount: AmountArgument,
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add NOS to the stake.

    JSON: as `stake show`, with `signature` and `fee` (lamports).
    """
    micro = amounts.parse_nos(amount)
    _change(Who(settings, wallet, lane, cluster, ids, rpc), lambda stakes: stakes.top_up(micro), as_json)


@group.command()
def extend(
    length: Annotated[str, typer.Argument(metavar="TIME", help="How much longer, such as 30d.")],
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lengthen the lock, which raises the stake's weight.

    JSON: as `stake show`, with `signature` and `fee` (lamports).
    """
    seconds = amounts.parse_duration(length)
    _change(Who(settings, wallet, lane, cluster, ids, rpc), lambda stakes: stakes.extend(seconds), as_json)


@group.command()
def unstake(
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Begin to take the stake out; its weight becomes 0 at once.

    JSON: as `stake show`, with `signature` and `fee` (lamports).
    """
    _change(Who(settings, wallet, lane, cluster, ids, rpc), lambda stakes: stakes.unstake(), as_json)


@group.command()
def withdraw(
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take out what has unlocked since `unstake`.

    JSON: as `stake show`, with `signature` and `fee` (lamports).
    """
    _change(Who(settings, wallet, lane, cluster, ids, rpc), lambda stakes: stakes.withdraw(), as_json)


def document(view: StakeView | None) -> dict[str, Any] | None:
    """`address`, `authority`, `amount` and `held` (micro-NOS), `xnos` (weight), `duration`, `unstaked_at` and
    `unlocks_at` (unix seconds, null while staked); null where there is no stake."""
    if view is None:
        return None
    return {
        "address": view.stake.address,
        "authority": view.stake.authority,
        "amount": view.stake.amount,
        "held": view.held,
        "xnos": view.stake.xnos,
        "duration": view.stake.duration,
        "unstaked_at": view.stake.time_unstake or None,
        "unlocks_at": view.unlocks_at,
    }


def _show(who: Who, as_json: bool) -> None:
    from node.cli import place
    from node.cli.reach import reach, target
    from node.cli.spend import watching
    from node.cli.wallet_file import read_wallet
    from node.market.stakes import Stakes

    loaded = place.load_if_any(who.settings)
    key = read_wallet(loaded, who.wallet, who.lane)

    async def read() -> StakeView | None:
        async with reach(target(loaded, who.cluster, who.ids, who.rpc)) as (chain, endpoint):
            return await Stakes(watching(key.address, chain, endpoint)).view()

    known = {"wallet": key.address, "stake": document(place.run(read()))}
    output.emit(known, as_json, lambda: _print(known))


def _change(who: Who, command: Callable[[Stakes], Awaitable[StakeChange]], as_json: bool) -> None:
    from node.chain.policy import OWNER_KINDS
    from node.cli import place
    from node.cli.reach import reach, target
    from node.cli.spend import spending
    from node.cli.wallet_file import load_wallet
    from node.market.stakes import Stakes

    loaded = place.load_if_any(who.settings)
    key = load_wallet(loaded, who.wallet, who.lane)

    async def act() -> StakeChange:
        async with (
            reach(target(loaded, who.cluster, who.ids, who.rpc)) as (chain, endpoint),
            spending(key, OWNER_KINDS, chain, endpoint, loaded) as context,
        ):
            return await command(Stakes(context))

    done = place.run(act())
    known = {
        "wallet": key.address,
        "stake": document(done.view),
        "signature": done.signature,
        "fee": done.fee,
    }
    output.emit(known, as_json, lambda: _print(known))


def _print(known: dict[str, Any]) -> None:
    stake = known["stake"]
    if stake is None:
        output.line(f"wallet {known['wallet']} has no stake; make one with gpunode stake create")
        return
    output.fields(
        [
            ("wallet", known["wallet"]),
            ("stake", amounts.nos(stake["amount"])),
            ("in the vault", amounts.nos(stake["held"])),
            ("weight", f"{amounts.nos(stake['xnos'])[:-4]} xNOS"),
            ("lock", amounts.duration(stake["duration"])),
            ("unstaked", amounts.moment(stake["unstaked_at"])),
            ("unlocks", amounts.moment(stake["unlocks_at"])),
            ("signature", known.get("signature")),
        ]
    )
