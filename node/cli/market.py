"""`gpunode market`: the markets of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import amounts, output
from node.cli.options import ClusterOption, IdsOption, JsonOption, RpcOption, SettingsOption

if TYPE_CHECKING:
    from node.records import Market

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
    `xnos_minimum` (micro-xNOS), `access_key` (null: none), `job_timeout` and `job_expiration` (seconds), `vault`.
    """
    from node.cli import place
    from node.cli.reach import reach, target
    from node.market.ledger import Ledger

    loaded = place.load_if_any(settings)
    wanted = address or place.lane_of(place.require_settings(loaded, "a market without an address"), None).market

    async def read() -> Market:
        async with reach(target(loaded, cluster, ids, rpc)) as (chain, endpoint):
            return await Ledger(chain, endpoint).market(parse_address(wanted))

    found = place.run(read())
    known = document(found)
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

    async def read() -> tuple[Market, ...]:
        async with reach(target(place.load_if_any(settings), cluster, ids, rpc)) as (chain, endpoint):
            return await Ledger(chain, endpoint).markets()

    known = [document(each) for each in sorted(place.run(read()), key=lambda each: (-each.job_price, each.address))]
    rows = [_row(each) for each in known]
    columns = ["market", "price an hour", "queue", "stake asked", "access key"]
    output.emit({"markets": known}, as_json, lambda: output.table(columns, rows, "this cluster has no markets"))


def _row(known: dict[str, Any]) -> list[object]:
    price, stake = amounts.nos(known["price"] * 3600), amounts.nos(known["xnos_minimum"])
    return [known["address"], price, _queue(known), stake, "no" if known["access_key"] is None else "yes"]


def _queue(known: dict[str, Any]) -> str:
    count, kind = len(known["queue"]), known["queue_type"]
    return "empty" if not count else f"{count} {kind[:-1] if count == 1 else kind}"


def _show(known: dict[str, Any]) -> None:
    output.fields(
        [
            ("market", known["address"]),
            ("owner", known["authority"]),
            ("price", f"{amounts.nos(known['price'])} a second, {amounts.nos(known['price'] * 3600)} an hour"),
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
