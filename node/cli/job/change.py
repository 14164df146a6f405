"""`gpunode job extend | stop | recover | clean`: a poster's commands on one job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli import amounts, output
from node.cli.job.get import JobArgument
from node.cli.options import ClusterOption, IdsOption, JsonOption, LaneOption, RpcOption, SettingsOption, WalletOption

if TYPE_CHECKING:
    from node.market.poster import Poster


@dataclass(frozen=True, slots=True)
class Who:
    """Which wallet on which chain."""

    settings: Path | None
    wallet: Path | None
    lane: str | None
    cluster: str | None
    ids: str | None
    rpc: str | None


def extend(
    job: JobArgument,
    seconds: Annotated[str, typer.Option("--seconds", "--by", metavar="TIME", help="How much longer: 600, 10m, 2h.")],
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a job run longer, paying for it in advance.

    JSON: `job`, `did`, `signature`, `fee` (lamports), `timeout` (seconds, in all).
    """
    more = amounts.parse_duration(seconds)

    async def act(poster: Poster, address: Any) -> dict[str, Any]:
        change, timeout = await poster.extend(address, more)
        return {**_document(change), "timeout": timeout}

    known = _act(Who(settings, wallet, lane, cluster, ids, rpc), job, act)
    output.emit(
        known,
        as_json,
        lambda: output.line(f"{job} may now run {amounts.duration(known['timeout'])}: {known['signature']}"),
    )


def stop(
    job: JobArgument,
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a job; what was not used comes back.

    A waiting job is taken out of the queue, a running one is stopped and its node paid for the time used.

    JSON: `job`, `did` (delist or end), `signature`, `fee` (lamports).
    """
    _simple(Who(settings, wallet, lane, cluster, ids, rpc), job, lambda poster, at: poster.stop(at), as_json)


def recover(
    job: JobArgument,
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Get the deposit of a job that its node gave back.

    JSON: `job`, `did` (recover), `signature`, `fee` (lamports).
    """
    _simple(Who(settings, wallet, lane, cluster, ids, rpc), job, lambda poster, at: poster.recover(at), as_json)


def clean(
    job: JobArgument,
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close a finished job's account and get its rent back.

    JSON: `job`, `did` (clean), `signature`, `fee` (lamports).
    """
    _simple(Who(settings, wallet, lane, cluster, ids, rpc), job, lambda poster, at: poster.clean(at), as_json)


_DID = {"delist": "taken out of the queue", "end": "ended", "recover": "recovered", "clean": "cleaned"}


def _simple(who: Who, job: str, command: Callable[[Poster, Any], Awaitable[Any]], as_json: bool) -> None:
    async def act(poster: Poster, address: Any) -> dict[str, Any]:
        return _document(await command(poster, address))

    known = _act(who, job, act)
    output.emit(known, as_json, lambda: output.line(f"{job} {_DID[known['did']]}: {known['signature']}"))


def _document(change: Any) -> dict[str, Any]:
    return {"job": change.job, "did": change.did, "signature": change.signature, "fee": change.fee}


def _act(who: Who, job: str, command: Callable[[Poster, Any], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    from node.chain.policy import POSTER_KINDS
    from node.cli import place
    from node.cli.market import parse_address
    from node.cli.reach import reach, target
    from node.cli.spend import spending
    from node.cli.wallet_file import load_wallet
    from node.market.poster import Poster

    address = parse_address(job)
    loaded = place.load_if_any(who.settings)
    key = load_wallet(loaded, who.wallet, who.lane)

    async def act() -> dict[str, Any]:
        async with (
            reach(target(loaded, who.cluster, who.ids, who.rpc)) as (chain, endpoint),
            spending(key, POSTER_KINDS, chain, endpoint, loaded) as context,
        ):
            return await command(Poster(context), address)

    return place.run(act())
