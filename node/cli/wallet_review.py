"""`gpunode wallet review`: what a transaction that somebody offers would do, and signing it after that."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import output
from node.cli.options import ClusterOption, IdsOption, JsonOption, LaneOption, SettingsOption, WalletOption

if TYPE_CHECKING:
    from node.chain.clusters import Cluster
    from node.chain.policy import SpendingPolicy
    from node.chain.review import Review
    from node.settings import Settings

_READ_LIMIT = 16_384


def review(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A transaction: as it is, in base64 or in base58.")],
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="ADDRESS", help="Who may be sent SOL or NOS by it.", show_default=False),
    ] = None,
    sign: Annotated[bool, typer.Option("--sign", help="Ask, and sign it if the policy allows.")] = False,
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a transaction offered by somebody would do, and sign it only if asked to.

    Nothing is sent. Signing needs a terminal, a policy that allows all of it, and a yes.

    JSON: `version`, `payer`, `signers`, `fee`, `instructions` (`name`, `program`, `arguments`, `accounts`, `data`),
    `kind`, `allowed`, `refusals`, and `signed` (base64) after signing.
    """
    from node.chain.policy import SpendingPolicy
    from node.chain.review import REVIEWED_KINDS, decode_offer
    from node.chain.review import review as look
    from node.cli import place
    from node.cli.failure import ATTENTION
    from node.cli.market import parse_address
    from node.cli.wallet_file import read_wallet
    from node.errors import SpendingRefused, UsageError

    if sign and (file == "-" or not sys.stdin.isatty()):
        raise UsageError("a transaction is signed only by a person at a terminal", hint="name a file, and run it there")
    loaded = place.load_if_any(settings)
    key = read_wallet(loaded, wallet, lane)
    chain = _chain(loaded, cluster, ids)
    receivers = frozenset(parse_address(each) for each in to or ())
    allowed = SpendingPolicy(chain, REVIEWED_KINDS, payout=_payout(loaded, wallet, lane), receivers=receivers)
    seen = place.run(look(decode_offer(_content(file)), chain, key.address, allowed))
    if not sign:
        output.emit(seen.document(), as_json, lambda: _show(seen, output.line))
        if seen.kind is None:
            raise typer.Exit(ATTENTION)
        return
    # Beside the answer: stdout holds the signed transaction alone.
    _show(seen, output.note)
    if seen.kind is None:
        raise SpendingRefused(f"it is not signed: {seen.refusals[0]}")
    signed = _signed(seen, allowed, loaded, wallet, lane)
    output.emit({**seen.document(), "signed": signed}, as_json, lambda: output.line(signed))


def _signed(
    seen: Review, allowed: SpendingPolicy, settings: Settings | None, wallet: Path | None, lane: str | None
) -> str:
    from node.cli import place
    from node.cli.wallet_file import load_wallet

    assert seen.kind is not None
    if not typer.confirm("Sign it?", default=False, err=True):
        raise typer.Exit(1)
    signer = load_wallet(settings, wallet, lane).signer(allowed)
    return base64.b64encode(bytes(place.run(signer.sign_offered(seen.transaction, seen.kind)))).decode()


def _content(file: str) -> bytes:
    from node.errors import UsageError

    try:
        with sys.stdin.buffer if file == "-" else Path(file).expanduser().open("rb") as source:
            return source.read(_READ_LIMIT)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", hint="name a file, or - for stdin") from None


def _chain(settings: Settings | None, cluster: str | None, ids: str | None) -> Cluster:
    """The cluster by name alone: nothing is asked of any endpoint."""
    from node.chain.clusters import cluster_named
    from node.errors import UsageError

    name = cluster or (settings.cluster if settings is not None else None)
    if name is None:
        raise UsageError("which chain?", hint="name it: --cluster localnet, devnet or mainnet")
    if ids not in (None, "devnet", "mainnet"):
        raise UsageError(f"there is no set of program addresses named {ids!r}", hint="use devnet or mainnet")
    told = ids or (settings.ids if settings is not None else "devnet")
    return cluster_named(name, "mainnet" if told == "mainnet" else "devnet")


def _payout(settings: Settings | None, wallet: Path | None, lane: str | None) -> Any:
    from node.cli import place

    if settings is None or wallet is not None:
        return None
    return place.lane_of(settings, lane).payout


def _show(seen: Review, say: Callable[[str], None]) -> None:
    from node.cli import amounts

    unsigned = [address for address, signed in seen.signers.items() if not signed]
    say(f"pays the fee: {seen.payer}" + ("" if seen.fee is None else f", {amounts.sol(seen.fee)}"))
    say(f"has to be signed by: {', '.join(unsigned) or 'nobody any more'}")
    for number, each in enumerate(seen.instructions, start=1):
        said = ", ".join(f"{name} {value}" for name, value in each.arguments.items())
        say(f"{number}. {each.name or f'unknown: program {each.program}, data {each.data}'} {said}")
        for account in each.accounts:
            say(f"   {account.flags or '-':2} {account.name:12} {account.address}  {account.who}")
    if seen.kind is not None:
        say(f"the policy allows it as {seen.kind!r}")
    for refusal in seen.refusals:
        say(f"refused: {refusal}")
