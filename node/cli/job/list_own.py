"""`gpunode job list`: the jobs of a wallet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.cli import amounts, output
from node.cli.options import ClusterOption, IdsOption, JsonOption, LaneOption, RpcOption, SettingsOption, WalletOption

if TYPE_CHECKING:
    from node.records import Job


def list_(
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    cluster: ClusterOption = None,
    ids: IdsOption = None,
    rpc: RpcOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the jobs that a wallet has on the chain.

    JSON: `wallet`, `jobs` (their accounts, as `job get` has them).
    """
    from node.cli import place
    from node.cli.reach import reach, target
    from node.cli.spend import watching
    from node.cli.wallet_file import read_wallet
    from node.market.poster import Poster

    loaded = place.load_if_any(settings)
    key = read_wallet(loaded, wallet, lane)

    async def read() -> tuple[Job, ...]:
        async with reach(target(loaded, cluster, ids, rpc)) as (chain, endpoint):
            return await Poster(watching(key.address, chain, endpoint)).list_own()

    jobs = place.run(read())
    rows = [[job.address, job.state.name.lower(), amounts.moment(job.time_start), job.result_cid] for job in jobs]
    columns = ["job", "state", "began", "result"]
    output.emit(
        {"wallet": key.address, "jobs": jobs},
        as_json,
        lambda: output.table(columns, rows, f"{key.address} has no jobs on this chain"),
    )
