"""Which chain a command speaks to: from its options, else from the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.chain.clusters import DEVNET, MAINNET, Cluster, ClusterName, cluster_named, localnet
from node.chain.rpc import Rpc
from node.errors import UsageError, WrongCluster

if TYPE_CHECKING:
    from node.settings import Settings

PUBLIC = {
    "localnet": "http://127.0.0.1:8899",
    "devnet": "https://api.devnet.solana.com",
    "mainnet": "https://api.mainnet-beta.solana.com",
}
"""Endpoints used where none is named."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the user said of the chain; None: not said."""

    cluster: str | None
    ids: str | None
    urls: tuple[str, ...]
    timeout: float = 15.0


def target(settings: Settings | None, cluster: str | None, ids: str | None, rpc: str | None) -> Target:
    """Options weigh more than settings; settings of another cluster say nothing. Raises UsageError."""
    if cluster is not None and cluster not in PUBLIC:
        raise UsageError(f"there is no cluster named {cluster!r}", hint="use localnet, devnet or mainnet")
    if ids is not None and ids not in ("devnet", "mainnet"):
        raise UsageError(f"there is no set of program addresses named {ids!r}", hint="use devnet or mainnet")
    if rpc is not None and not rpc.startswith(("http://", "https://")):
        raise UsageError(f"{rpc!r} is not an endpoint", hint="write http://... or https://...")
    same = settings is not None and cluster in (None, settings.cluster)
    if settings is not None and same:
        # An endpoint named by itself is taken for one of the settings' cluster; its genesis is checked.
        urls = (rpc,) if rpc is not None else settings.rpc.urls
        return Target(settings.cluster, ids or settings.ids, urls, settings.rpc.timeout)
    if cluster is None and rpc is None:
        raise UsageError(
            "which chain?", hint="name it: --cluster localnet, devnet or mainnet (and --rpc URL), or write settings"
        )
    return Target(cluster, ids, (rpc or PUBLIC[str(cluster)],))


@asynccontextmanager
async def reach(wanted: Target) -> AsyncIterator[tuple[Cluster, Rpc]]:
    """The cluster and an open endpoint of it. Raises RpcUnavailable, or WrongCluster when it serves another chain."""
    async with Rpc(wanted.urls, timeout=wanted.timeout) as rpc:
        yield await _cluster(wanted, rpc), rpc


async def _cluster(wanted: Target, rpc: Rpc) -> Cluster:
    genesis = await rpc.get_genesis_hash()
    served: ClusterName = "localnet"
    for known in (DEVNET, MAINNET):
        if genesis == known.genesis_hash:
            served = known.name
    if wanted.cluster is not None and wanted.cluster != served:
        raise WrongCluster(
            f"the endpoint serves {_spoken(served)}, not {_spoken(wanted.cluster)}",
            hint="check --cluster and --rpc, or `cluster` and `rpc.urls` in the settings",
        )
    if wanted.cluster is None and served == "mainnet":
        raise UsageError("the endpoint serves mainnet: real money", hint="say so with --cluster mainnet")
    if served != "localnet":
        return cluster_named(served)
    if wanted.ids is not None:
        return localnet("mainnet" if wanted.ids == "mainnet" else "devnet")
    # A localnet carries one of the two published address sets: see which jobs program is there.
    devnet, mainnet = await rpc.get_accounts([DEVNET.jobs, MAINNET.jobs])
    return localnet("mainnet" if devnet is None and mainnet is not None else "devnet")


def _spoken(name: str) -> str:
    return "a localnet" if name == "localnet" else name
