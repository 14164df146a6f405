"""`gpunode verify`: check a settled job from outside."""

from __future__ import annotations

import os
from pathlib import Path
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
from node.errors import UsageError

if TYPE_CHECKING:
    from node.proof.checks import Verification


def verify(
    job: Annotated[
        str | None, typer.Argument(metavar="JOB", help="Address of the job; with --bundle: that it must be of.")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="FILE",
            help="Check this file (-: standard input), without a network.",
            show_default=False,
        ),
    ] = None,
    result: Annotated[
        Path | None,
        typer.Option(
            "--result",
            metavar="FILE",
            help="The full result that a confidential job handed over: opens the receipt's commitments.",
            show_default=False,
        ),
    ] = None,
    settings: SettingsOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    content: ContentOption = None,
    gateway: GatewayOption = None,
    chain_length: Annotated[
        str, typer.Option("--chain", metavar="N", help="Receipts before it to look at: a number, or all.")
    ] = "10",
    as_json: JsonOption = False,
) -> None:
    """Check a settled job, or a bundle, from outside.

    Chain, receipt, result, the receipts before it, and GPU work.
    Nothing but a Solana endpoint and a gateway is needed. With --bundle not even these: a file that `gpunode bundle`
    made is checked by itself, and against a chain as well where --cluster or --rpc names one. With --result the owner
    of a confidential job checks the receipt against what only he has.

    JSON: `job`, `ok`, `verified` (check -> true, false or null: what an outsider can fail), `checks` (`name`, `part`:
    chain, receipt, result, receipts, work or host, `label`: proven, consistent, stated or not_checked, `ok`, `detail`).
    Exit status 1 when a check failed.
    """
    from contextlib import aclosing

    _stay_on_one_core()
    from node.cli import place
    from node.cli.job.content import library
    from node.cli.market import parse_address
    from node.cli.reach import reach, target
    from node.proof.handed import HANDED_LIMIT, read_handed
    from node.proof.verify import verify_job

    if bundle is not None:
        if result is not None:
            raise UsageError("a full bundle has its own openings", hint="give --bundle or --result, not both")
        from node.cli import verify_bundle

        question = verify_bundle.BundleQuestion(bundle, parse_address(job) if job else None, cluster, ids, rpc)
        known = verify_bundle.check(question).document()
        _end(known, as_json, verify_bundle.closing(known))
        return
    if job is None:
        raise UsageError("which job?", hint="give its address, or a bundle: --bundle FILE")
    address, length = parse_address(job), parse_length(chain_length)
    loaded = place.load_if_any(settings)
    handed = None if result is None else read_handed(_read(result, HANDED_LIMIT))

    async def check() -> Verification:
        async with (
            reach(target(loaded, cluster, ids, rpc)) as (chain, endpoint),
            aclosing(library(loaded, content, gateway, chain.name)) as source,
        ):
            return await verify_job(
                address, cluster=chain, chain=endpoint, content=source, chain_length=length, handed=handed
            )

    known = place.run(check()).document()
    _end(known, as_json, _closing(known))


def _read(file: Path, limit: int) -> bytes:
    try:
        with file.expanduser().open("rb") as source:
            return source.read(limit + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}", hint="name the result's file") from None


def _stay_on_one_core() -> None:
    """Before NumPy is loaded: the products of a work proof's check are small, and threads would only wait for each
    other; on a busy host that is ten times as slow."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _end(known: dict[str, Any], as_json: bool, closing: str) -> None:
    from node.cli.verification import show

    output.emit(known, as_json, lambda: show(known, closing))
    if not known["ok"]:
        raise typer.Exit(FAILED)


def _closing(known: dict[str, Any]) -> str:
    if known["ok"]:
        return "Nothing failed. This does not show that a model's answer is right, nor which physical GPU worked."
    unsettled = known["verified"].get("settled") is False
    return "This job does not verify." + (
        "\nOnly a settled job can; gpunode job get says where it is." if unsettled else ""
    )


def parse_length(text: str) -> int:
    """How many earlier receipts are wanted. Raises UsageError."""
    from node.proof.gather import MOST_EARLIER

    if text == "all":
        return MOST_EARLIER
    if text.isascii() and text.isdecimal() and int(text) <= MOST_EARLIER:
        return int(text)
    raise UsageError(f"{text!r} is no number of receipts", hint=f"use 0 to {MOST_EARLIER}, or all")
