"""`gpunode register`: tell the chain what this host is, and show what it says of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import amounts, output
from node.cli.options import (
    ClusterOption,
    ContentOption,
    GatewayOption,
    IdsOption,
    JsonOption,
    LaneOption,
    RpcOption,
    SettingsOption,
)

if TYPE_CHECKING:
    from node.content.library import Library
    from node.market.context import MarketContext
    from node.records import Address

group = typer.Typer(help="Register this host, or show what is registered of one.", invoke_without_command=True)
CARD_LIMIT = 1 << 20
"""Bytes of a host card."""


@group.callback()
def register(
    context: typer.Context, settings: SettingsOption = None, lane: LaneOption = None, as_json: JsonOption = False
) -> None:
    """Register this host, or bring what is registered up to date; `gpunode run` does so by itself.

    JSON: `account`, `changed`, `signature` (null when nothing had to change).
    """
    if context.invoked_subcommand is not None:
        return
    import logging

    from node.agent.logs import PlainFormatter, set_up_logging
    from node.agent.wiring import register_lane
    from node.cli import place

    loaded = place.load(settings)
    set_up_logging(PlainFormatter(), logging.WARNING)
    done = place.run(register_lane(loaded, place.lane_of(loaded, lane)))
    known = {"account": done.address, "changed": done.changed, "signature": done.signature}
    said = f"registered by {done.signature}" if done.changed else "registered already, and nothing has changed"
    output.emit(known, as_json, lambda: output.fields([("account", done.address), ("state", said)]))


@group.command()
def show(
    node: Annotated[
        str | None, typer.Argument(metavar="[NODE]", help="Address of a node; default: the lane's.", show_default=False)
    ] = None,
    settings: SettingsOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    content: ContentOption = None,
    gateway: GatewayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a node's account and its signed host card.

    JSON: `node`, `account` (address), `registered`, `audited`, `profile`, `card_cid`, `card`, `card_error`.
    """
    from contextlib import aclosing

    from node.chain import keyfile
    from node.cli import place
    from node.cli.job.content import library
    from node.cli.market import parse_address
    from node.cli.reach import reach, target
    from node.cli.spend import watching

    loaded = place.load_if_any(settings)
    if node is None:
        own = place.lane_of(place.require_settings(loaded, "`register show` without an address"), lane)
        address: Address = keyfile.read(*own.key).address
    else:
        address = parse_address(node)

    async def read() -> dict[str, Any]:
        async with (
            reach(target(loaded, cluster, ids, rpc)) as (chain, endpoint),
            aclosing(library(loaded, content, gateway, chain.name)) as source,
        ):
            return await _read(watching(address, chain, endpoint), source)

    known = place.run(read())
    output.emit(known, as_json, lambda: _show(known))


async def _read(context: MarketContext, source: Library) -> dict[str, Any]:
    from node.api.documents import plain
    from node.chain import addresses
    from node.market import register

    known = await register.read(context, context.node)
    card = None if known is None else await register.card_of(context, context.node)
    described, trouble = (None, None) if card is None else await _card(context, card, source)
    return {
        "node": context.node,
        "account": addresses.node_account(context.cluster, context.node),
        "registered": known is not None,
        "audited": known.audited if known is not None else None,
        "profile": plain(known.profile) if known is not None else None,
        "card_cid": card,
        "card": described,
        "card_error": trouble,
    }


async def _card(context: MarketContext, cid: Any, source: Library) -> tuple[dict[str, Any] | None, str | None]:
    from node.errors import ContentError, ProofError
    from node.proof.card import verify_card

    try:
        fetched = await source.fetch(cid, CARD_LIMIT)
        return verify_card(fetched.body, context.node).model_dump(mode="json", by_alias=True), None
    except (ContentError, ProofError) as error:
        return None, error.message


def _show(known: dict[str, Any]) -> None:
    if not known["registered"]:
        output.line(f"node {known['node']} is not registered")
        return
    profile = known["profile"]
    output.fields(
        [
            ("node", known["node"]),
            ("account", known["account"]),
            ("audited", known["audited"]),
            ("country", _country(profile["country"])),
            ("processors", profile["cpu"]),
            ("GPUs", profile["gpu"]),
            ("memory", f"{profile['memory']} GiB"),
            ("storage", f"{profile['storage']} GiB"),
            ("IOPS", profile["iops"]),
            ("endpoint", profile["endpoint"] or None),
            ("version", profile["version"]),
            ("host card", known["card_cid"] or "none"),
        ]
    )
    if known["card_error"] is not None:
        output.note(f"the host card could not be checked: {known['card_error']}")
    if known["card"] is not None:
        output.line()
        output.line("Host card, signed by the node:")
        rows = [
            [gpu["name"], amounts.size(gpu["vramBytes"]), gpu["driver"], gpu["uuid"]] for gpu in known["card"]["gpus"]
        ]
        output.table(["GPU", "memory", "driver", "UUID"], rows, "no GPU")


def _country(number: int) -> str:
    """The letters people know, of the number the chain holds."""
    from node.countries import COUNTRY_CODES

    return next((letters for letters, known in COUNTRY_CODES.items() if known == number), f"{number} (unknown)")
