"""`gpunode verify`: check a settled job from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import output
from node.cli.failure import FAILED
from node.cli.options import (
    ClusterOption,
    ContentOption,
    GatewayOption,
    IdsOption,
    JsonOption,
    RpcOption,
    SettingsOption,
)

if TYPE_CHECKING:
    from node.proof.checks import Verification


def verify(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Address of the job.")],
    settings: SettingsOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    content: ContentOption = None,
    gateway: GatewayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a settled job from outside: pay, receipt and result.

    Nothing but a Solana endpoint and a gateway is needed.

    JSON: `job`, `ok`, `verified` (check -> true, false or null), `checks` (`name`, `label`: proven, consistent, stated
    or not_checked, `ok`, `detail`). Exit status 1 when a check failed.
    """
    from contextlib import aclosing

    from node.cli import place
    from node.cli.job.content import library
    from node.cli.market import parse_address
    from node.cli.reach import reach, target
    from node.proof.verify import verify_job

    address = parse_address(job)
    loaded = place.load_if_any(settings)

    async def check() -> Verification:
        async with (
            reach(target(loaded, cluster, ids, rpc)) as (chain, endpoint),
            aclosing(library(loaded, content, gateway, chain.name)) as source,
        ):
            return await verify_job(address, cluster=chain, chain=endpoint, content=source)

    known = place.run(check()).document()
    output.emit(known, as_json, lambda: show(known))
    if not known["ok"]:
        raise typer.Exit(FAILED)


def show(known: dict[str, Any]) -> None:
    """One line a check: outcome, what it is worth, what was seen."""
    for check in known["checks"]:
        label = check["label"].replace("_", " ")
        output.wrapped(f"{output.mark(check['ok'])} {label:<11} ", f"{check['name']}: {check['detail']}", 14)
    output.line()
    if known["ok"]:
        output.line("Nothing failed. This does not show that a model's answer is right, nor which physical GPU worked.")
    else:
        output.line("This job does not verify.")
        if known["verified"].get("settled") is False:
            output.line("Only a settled job can; gpunode job get says where it is.")
