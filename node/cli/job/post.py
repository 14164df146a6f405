"""`gpunode job post`: upload a definition and list the job."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import amounts, output
from node.cli.failure import FAILED, INTERRUPTED
from node.cli.options import (
    ClusterOption,
    ContentOption,
    GatewayOption,
    IdsOption,
    JsonOption,
    LaneOption,
    RpcOption,
    SettingsOption,
    WalletOption,
)
from node.errors import UsageError

if TYPE_CHECKING:
    from node.cli.job.builtin import Posting
    from node.cli.job.confidential import NodeApi
    from node.cli.reach import Target
    from node.content.library import Library
    from node.market.poster import Poster
    from node.records import Address
    from node.settings import Settings


def post(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE|NAME",
            help="Job definition (JSON), - is stdin; or the name of a built-in job, for a localnet.",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="TIME",
            help="Longest run time, paid in advance (needed): 600, 10m, 2h.",
            show_default=False,
        ),
    ] = None,
    market: Annotated[
        str | None, typer.Option("--market", metavar="ADDRESS", help="Market; default: the lane's.", show_default=False)
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job to its end and show the result.")] = False,
    confidential: Annotated[
        bool,
        typer.Option("--confidential", help="Pin no definition and no result: both go between you and the node's API."),
    ] = False,
    nodes: Annotated[
        str | None,
        typer.Option(
            "--nodes",
            metavar="URL",
            help="With --confidential: below which address nodes have their names; default: the network's.",
            show_default=False,
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the built-in jobs instead.")] = False,
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    content: ContentOption = None,
    gateway: GatewayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Upload a definition and post it as a job.

    JSON: `job`, `run`, `market`, `poster`, `cluster`, `definition_cid`, `stores`, `timeout` (seconds), `price`
    (micro-NOS a second), `deposit` (micro-NOS), `signature`, `fee` (lamports), `warnings`; with --wait also `outcome`
    (as `job get` prints it), `succeeded` and `ending` (done, stopped, gone, interrupted). Ctrl-C while waiting leaves
    the job alone. With --confidential the command waits until a node has taken the definition (`node`), and with --wait
    the result is the one that was collected there. With --list: `name`, `summary` and `model` of each built-in job.
    """
    from node.cli import place
    from node.cli.job.builtin import list_builtin, posting
    from node.cli.market import parse_address
    from node.cli.reach import target
    from node.cli.wallet_file import load_wallet

    if list_:
        list_builtin(as_json)
        return
    if file is None or timeout is None:
        missing = "a definition" if file is None else "--timeout"
        raise UsageError(
            f"posting needs {missing}", hint="gpunode job post FILE --timeout 10m; --list has built-in ones"
        )
    seconds = amounts.parse_duration(timeout)
    wish = posting(file)
    warnings = _look_at(wish.body)
    loaded = place.load_if_any(settings)
    wanted = market or place.lane_of(place.require_settings(loaded, "posting without --market"), lane).market
    order = _Order(
        wish=wish,
        market=parse_address(wanted),
        seconds=seconds,
        wait=wait,
        wallet=load_wallet(loaded, wallet, lane),
        settings=loaded,
        target=target(loaded, cluster, ids, rpc),
        content=content,
        gateway=gateway,
        confidential=_Confidential(nodes) if confidential else None,
    )
    for warning in () if confidential else warnings:
        output.note(f"warning: the definition is public, and {warning}")
    try:
        known = {**place.run(order.carry_out(quiet=as_json)), "warnings": warnings}
    except KeyboardInterrupt:
        if order.posted is None:
            raise
        answer = {**order.posted, "outcome": None, "succeeded": False, "ending": "interrupted", "warnings": warnings}
        output.emit(answer, as_json, lambda: output.note(_left_alone(answer["job"])))
        raise typer.Exit(INTERRUPTED) from None
    output.emit(known, as_json, lambda: _show(known))
    if wait and not known["succeeded"]:
        raise typer.Exit(FAILED)


class _Order:
    """One posting, from upload to result."""

    def __init__(
        self,
        *,
        wish: Posting,
        market: Any,
        seconds: int,
        wait: bool,
        wallet: Any,
        settings: Settings | None,
        target: Target,
        content: str | None,
        gateway: str | None,
        confidential: _Confidential | None,
    ) -> None:
        self._wish = wish
        self._confidential = confidential
        self._market = market
        self._seconds = seconds
        self._wait = wait
        self._wallet = wallet
        self._settings = settings
        self._target = target
        self._content = content
        self._gateway = gateway
        self.posted: dict[str, Any] | None = None
        """The command's document once the job is on the chain."""

    async def carry_out(self, quiet: bool) -> dict[str, Any]:
        """Upload, list, and wait if asked; returns the command's document."""
        from contextlib import aclosing

        from node.chain.policy import POSTER_KINDS, SpendingPolicy
        from node.cli.job.builtin import ensure_runnable
        from node.cli.job.confidential import NodeApi, deliver
        from node.cli.job.content import library
        from node.cli.job.waiting import follow
        from node.cli.reach import reach
        from node.cli.spend import spending
        from node.market.ledger import Ledger
        from node.market.poster import Poster
        from node.retry import SystemClock

        async with (
            reach(self._target) as (chain, endpoint),
            aclosing(library(self._settings, self._content, self._gateway, chain.name)) as shelf,
            spending(self._wallet, POSTER_KINDS, chain, endpoint, self._settings) as context,
        ):
            market = await Ledger(chain, endpoint).market(self._market)
            if self._wish.builtin is not None:
                await ensure_runnable(self._wish.builtin, chain.name)
            public = self._wish.body if self._confidential is None else blank_definition()
            cid, stores = await shelf.publish(self._wish.name, public)
            poster = Poster(context)
            posted = await poster.post(market, cid, self._seconds)
            self.posted = known = {
                "job": posted.job,
                "run": posted.run,
                "market": market.address,
                "poster": context.node,
                "cluster": chain.name,
                "definition_cid": cid,
                "stores": list(stores),
                "timeout": self._seconds,
                "price": market.job_price,
                "deposit": posted.deposit,
                "signature": posted.signature,
                "fee": posted.fee,
            }
            if not quiet and (self._wait or self._confidential is not None):
                output.note(f"posted {posted.job}")
            if self._confidential is None:
                return {**known, **await follow(poster, posted.job, shelf, output.note)} if self._wait else known
            sign = self._wallet.signer(SpendingPolicy(chain, {})).sign_document
            api = NodeApi(self._confidential.base(chain.name, self._settings), posted.job, sign, SystemClock())
            node = await deliver(poster, api, posted.job, self._wish.body, output.note)
            self.posted = known = {**known, "node": node}
            return {**known, **await self._collected(poster, api, node, shelf)} if self._wait else known

    async def _collected(self, poster: Poster, api: NodeApi, node: Address, shelf: Library) -> dict[str, Any]:
        from node.cli.job.confidential import collect, with_collected
        from node.cli.job.waiting import follow

        assert self.posted is not None
        async with asyncio.TaskGroup() as group:
            collecting = group.create_task(collect(api, node))
            followed = await follow(poster, self.posted["job"], shelf, output.note)
            collecting.cancel()
        if collecting.cancelled():
            output.note("warning: the result was not collected: the node keeps it for a minute only")
            return followed
        return {**followed, "outcome": with_collected(followed["outcome"], collecting.result())}


@dataclass(frozen=True, slots=True)
class _Confidential:
    """What --confidential is told besides."""

    nodes: str | None

    def base(self, cluster: str, settings: Settings | None) -> str:
        """Below which address nodes have their names."""
        from node.settings_service import ServiceSettings

        service = settings.service if settings is not None else ServiceSettings()
        return self.nodes or service.public_url(cluster)


def blank_definition() -> bytes:
    """What is pinned in a confidential definition's place."""
    import json

    from node.job.travel import BLANK_DEFINITION

    return json.dumps(BLANK_DEFINITION).encode()


def _look_at(body: bytes) -> list[str]:
    """Check the definition and list what seems secret in it. Raises JobError or DefinitionInvalid."""
    from node.job.definition import validate
    from node.job.secrets import find_secrets
    from node.job.text import parse_json

    document = parse_json(body)
    validate(document)
    return list(find_secrets(document))


def _left_alone(job: str) -> str:
    return f"not waited for any more; job {job} goes on: gpunode job get shows it, gpunode job stop ends it"


def _show(known: dict[str, Any]) -> None:
    from node.cli.job import report

    if "outcome" in known:
        if known["outcome"] is not None:
            report.show(known["outcome"])
        return
    output.fields(
        [
            ("job", known["job"]),
            ("market", known["market"]),
            ("definition", known["definition_cid"]),
            ("kept by", ", ".join(known["stores"])),
            ("deposit", f"{amounts.nos(known['deposit'])} for at most {amounts.duration(known['timeout'])}"),
            ("signature", known["signature"]),
        ]
    )
    output.line()
    output.line(f"Next: gpunode job get {known['job']}")
