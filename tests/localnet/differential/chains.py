"""Both chains with one genesis: the same keys, and so the same addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from solders.keypair import Keypair

from node.chain.clusters import Cluster
from node.localnet.app import Localnet
from node.localnet.export import export_chain
from node.localnet.keys import OWN_NAMES, write_keys
from node.localnet.options import LocalnetOptions
from node.records import Address
from tests.localnet.differential.remote import Chain
from tests.localnet.differential.world import key
from tests.realchain.chain import FAST_TICKS
from tests.realchain.process import running_validator


@dataclass(frozen=True)
class _Node:
    rpc_url: str
    ws_url: str
    cluster: Cluster
    keys: Mapping[str, Keypair]
    market: Address | None
    mint: Address


@asynccontextmanager
async def embedded(folder: Path, *, slot_ms: int = 50) -> AsyncIterator[Localnet]:
    """The embedded chain."""
    write_keys(folder / "keys", {name: key(f"genesis {name}") for name in OWN_NAMES})
    options = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=slot_ms, keys=folder / "keys")
    async with Localnet.start(options) as net:
        yield net


@asynccontextmanager
async def real(folder: Path) -> AsyncIterator[Chain]:
    """The real node on what the embedded chain exports. Raises ValidatorFailed."""
    async with embedded(folder, slot_ms=0) as net:
        command = export_chain(net, folder / "genesis")
        cluster, keys, market, mint = net.cluster, dict(net.keys), net.market, net.mint
    async with running_validator([*command[1:], "--ticks-per-slot", str(FAST_TICKS)]) as node:
        yield _Node(node.rpc_url, node.ws_url, cluster, keys, market, mint)
