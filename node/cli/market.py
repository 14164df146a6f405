"""`gpunode market`: the markets of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import amounts, output
from node.cli.options import ClusterOption, IdsOption, JsonOption, RpcOption, SettingsOption

if TYPE_CHECKING:
    from node.records import Market
    from node.settings import Settings

group = typer.Typer(help="Show the markets of a cluster.", invoke_without_command=True)


@group.callback()
def market(
    context: typer.Context,
    settings: SettingsOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the markets of a cluster.

    JSON: `markets`, each as `market show` has it.
    """
    if context.invoked_subcommand is None:
        _list(settings, cluster, ids, rpc, as_json)


@group.command("list")
def list_(
    settings: SettingsOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """List all markets with price and queue.

    JSON: `markets`, each as `market show` has it.
    """
    _list(settings, cluster, ids, rpc, as_json)


@group.command()
def show(
    address: Annotated[
        str | None, typer.Argument(metavar="[MARKET]", help="Address; default: the lane's market.", show_default=False)
    ] = None,
    settings: SettingsOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one market: price, rules and who waits in its queue.

    JSON: `address`, `authority`, `price` (micro-NOS a second), `queue_type` (jobs, nodes, empty), `queue`,
    `xnos_minimum` (micro-xNOS), `access_key` (null: none), `job_timeout` and `job_expiration` (seconds), `vault`,
    `break_even` (by lane: `price` in micro-NOS a second, `milliwatts`, `jobs`, `reason`; an estimate of what the power
    for a second of work costs here; null: not known).
    """
    from node.cli import place
    from node.cli.reach import reach, target
    from node.market.ledger import Ledger

    loaded = place.load_if_any(settings)
    wanted = address or place.lane_of(place.require_settings(loaded, "a market without an address"), None).market

    async def read() -> Market:
        async with reach(target(loaded, cluster, ids, rpc)) as (chain, endpoint):
            return await Ledger(chain, endpoint).market(parse_address(wanted))

    async def complete() -> dict[str, Any]:
        return {**document(await read()), "break_even": await break_evens(loaded)}

    known = place.run(complete())
    output.emit(known, as_json, lambda: _show(known))


def parse_address(text: str) -> Any:
    """A checked address. Raises ChainError for anything else."""
    from node.chain.addresses import to_address, to_key

    return to_address(to_key(text))


def document(market: Market) -> dict[str, Any]:
    """`address`, `authority`, `price` (micro-NOS a second), `queue_type` (jobs, nodes, empty), `queue`, `xnos_minimum`
    (micro-xNOS), `access_key` (null: none), `job_timeout` and `job_expiration` (seconds), `vault`."""
    from node.records import SYSTEM_PROGRAM

    return {
        "address": market.address,
        "authority": market.authority,
        "price": market.job_price,
        "queue_type": market.queue_type.name.lower(),
        "queue": list(market.queue),
        "xnos_minimum": market.xnos_minimum,
        "access_key": None if market.access_key == SYSTEM_PROGRAM else market.access_key,
        "job_timeout": market.job_timeout,
        "job_expiration": market.job_expiration,
        "job_type": market.job_type,
        "vault": market.vault,
    }


def _list(settings: Path | None, cluster: str | None, ids: str | None, rpc: str | None, as_json: bool) -> None:
    from node.cli import place
    from node.cli.reach import reach, target
    from node.market.ledger import Ledger

    loaded = place.load_if_any(settings)

    async def read() -> tuple[tuple[Market, ...], dict[str, Any]]:
        async with reach(target(loaded, cluster, ids, rpc)) as (chain, endpoint):
            return await Ledger(chain, endpoint).markets(), await break_evens(loaded)

    markets, costs = place.run(read())
    known = [
        {**document(each), "break_even": costs}
        for each in sorted(markets, key=lambda each: (-each.job_price, each.address))
    ]
    shown = {lane: cost for lane, cost in costs.items() if cost["price"] is not None}
    rows = [[*_row(each), *(_beside(each["price"], cost["price"]) for cost in shown.values())] for each in known]
    columns = ["market", "price an hour", "queue", "stake asked", "access key"]
    columns += [f"break-even of {lane}" if len(shown) > 1 else "break-even" for lane in shown]
    output.emit({"markets": known}, as_json, lambda: output.table(columns, rows, "this cluster has no markets"))


async def break_evens(settings: Settings | None) -> dict[str, Any]:
    """By lane, what the power for a second of work costs here; empty where the settings name no price of energy."""
    if settings is None or (settings.earnings.tariff.price is None and not settings.earnings.tariff.hours):
        return {}
    import time

    from node.agent.earnings.break_even import HISTORY, of_lane
    from node.agent.earnings.prices import PriceBook
    from node.api.documents import plain
    from node.cli import agent_state
    from node.errors import GpunodeError

    now = time.time()
    try:
        jobs = (await agent_state.read_money(settings, int(now - HISTORY), int(now) + 1)).jobs
    except GpunodeError:
        jobs = ()
    nos = (await PriceBook(settings.earnings, settings.locations.data, time.time).current()).nos
    return {lane.name: plain(of_lane(jobs, lane.name, settings.earnings, nos, now)) for lane in settings.lanes}


def _beside(price: int, least: int) -> str:
    """Break-even an hour, and whether the market pays it."""
    return f"~{amounts.nos(least * 3600)}" + ("" if price >= least else " (more than it pays)")


def _row(known: dict[str, Any]) -> list[object]:
    price, stake = amounts.nos(known["price"] * 3600), amounts.nos(known["xnos_minimum"])
    return [known["address"], price, _queue(known), stake, "no" if known["access_key"] is None else "yes"]


def _queue(known: dict[str, Any]) -> str:
    count, kind = len(known["queue"]), known["queue_type"]
    return "empty" if not count else f"{count} {kind[:-1] if count == 1 else kind}"


def _sums(cost: dict[str, Any]) -> str:
    if cost["price"] is None:
        return f"n/a ({cost['reason']})"
    return f"about {amounts.nos(cost['price'] * 3600)} an hour (an estimate: {cost['reason']})"


def _show(known: dict[str, Any]) -> None:
    output.fields(
        [
            ("market", known["address"]),
            ("owner", known["authority"]),
            ("price", f"{amounts.nos(known['price'])} a second, {amounts.nos(known['price'] * 3600)} an hour"),
            *((f"break-even, {lane}", _sums(cost)) for lane, cost in known["break_even"].items()),
            ("stake asked", f"{amounts.nos(known['xnos_minimum'])} of weight (xNOS)"),
            ("access key", known["access_key"] or "none asked"),
            ("job timeout", amounts.duration(known["job_timeout"])),
            ("jobs kept", amounts.duration(known["job_expiration"])),
            ("queue", _queue(known)),
        ]
    )
    if known["queue"]:
        output.line()
        rows = [[number, address] for number, address in enumerate(known["queue"], 1)]
        output.table(["place", known["queue_type"][:-1]], rows)
