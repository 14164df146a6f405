"""`gpunode wallet sweep`: earnings go to the payout of the settings, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import amounts, output
from node.cli.options import JsonOption, LaneOption, RpcOption, SettingsOption

if TYPE_CHECKING:
    from node.market.context import MarketContext
    from node.market.transfer import Sweep
    from node.records import Address
    from node.settings import LaneSettings, Settings


def sweep(
    keep: Annotated[str, typer.Option("--keep", metavar="NOS", help="How much NOS stays in the wallet.")] = "0",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask on mainnet.")] = False,
    settings: SettingsOption = None,
    lane: LaneOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a lane's NOS to its payout, or to earnings.sweep_to where it has none.

    Only to that address, only NOS, and never what is staked. What a stake lacks for the lane's market stays. Where pay
    goes straight to the payout, there is only what posters who ended their jobs paid to the wallet itself.

    JSON: `from`, `to`, `account` (that gets it), `held`, `kept` and `nos` (micro-NOS; 0: nothing was sent), `signature`
    and `fee` (lamports; null: nothing was sent), `note`.
    """
    from node.chain.policy import SWEEP_KINDS
    from node.cli import place
    from node.cli.reach import reach, target
    from node.cli.spend import spending
    from node.cli.wallet import confirm
    from node.cli.wallet_file import load_wallet
    from node.market import transfer

    least = amounts.parse_nos(keep)
    loaded = place.load(settings)
    own = place.lane_of(loaded, lane)
    to = receiver(loaded, own)
    key = load_wallet(loaded, None, lane)

    async def act() -> dict[str, Any]:
        async with (
            reach(target(loaded, None, None, rpc)) as (chain, endpoint),
            # Whatever an interrupted sweep left on its way has landed, or never will, before balances are looked at.
            spending(key, SWEEP_KINDS, chain, endpoint, loaded, payout=to) as context,
        ):
            planned = await transfer.plan_sweep(context, to, least, await _market(context, own))
            known = {"from": key.address, "to": to, "account": planned.to, "held": planned.held, "kept": planned.kept}
            if not planned.amount:
                return {**known, "nos": 0, "signature": None, "fee": None, "note": _nothing(planned, own)}
            if chain.name == "mainnet" and not yes:
                confirm(f"Send {amounts.nos(planned.amount)} from {key.address} to {to} on mainnet?")
            landed = await transfer.sweep(context, planned, to)
            return {**known, "nos": planned.amount, "signature": landed.signature, "fee": landed.fee, "note": ""}

    known = place.run(act())
    output.emit(known, as_json, lambda: output.line(_said(known)))


def receiver(settings: Settings, lane: LaneSettings) -> Address:
    """Where a lane's earnings go. Raises SettingsError where the settings name nobody."""
    from node.errors import SettingsError
    from node.records import Address

    named = lane.payout or settings.earnings.sweep_to
    if named is None:
        raise SettingsError(
            f"the settings name nobody who gets the earnings of lane {lane.name}",
            hint="set earnings.sweep_to, or the lane's `payout`, which is then paid straight away",
        )
    return Address(named)


async def _market(context: MarketContext, lane: LaneSettings) -> Any:
    from node.records import Address

    return await context.ledger.market(Address(lane.market))


def _nothing(planned: Sweep, lane: LaneSettings) -> str:
    if planned.held:
        return f"nothing to sweep: the wallet holds {amounts.nos(planned.held)}, and {amounts.nos(planned.kept)} stay"
    if lane.payout is not None:
        return f"nothing to sweep: pay goes straight to {lane.payout}"
    return "nothing to sweep: the wallet holds no NOS"


def _said(known: dict[str, Any]) -> str:
    if not known["nos"]:
        return str(known["note"])
    return f"sent {amounts.nos(known['nos'])} to {known['to']}: {known['signature']}"
