"""Both chains with one genesis: the same keys, and so the same addresses."""

from __future__ import annotations

import asyncio
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
from tests.localnet.differential.names import key
from tests.localnet.differential.remote import Chain
from tests.realchain.chain import FAST_TICKS
from tests.realchain.process import running_validator

_PAUSE = 0.02
"""Seconds between two slots of the embedded chain."""


@dataclass(frozen=True)
class _Node:
    rpc_url: str
    ws_url: str
    cluster: Cluster
    keys: Mapping[str, Keypair]
    market: Address | None
    mint: Address


class Slots:
    """Lets the slots of an embedded chain pass, fast, until it is told to stop."""

    def __init__(self, net: Localnet) -> None:
        self._net = net
        self._passing = True

    def stop(self) -> None:
        """No slot passes any more."""
        self._passing = False

    async def run(self) -> None:
        """Until stopped."""
        while self._passing:
            self._net.advance()
            await asyncio.sleep(_PAUSE)


@asynccontextmanager
async def still(folder: Path) -> AsyncIterator[Localnet]:
    """The embedded chain; no slot passes by itself."""
    write_keys(folder / "keys", {name: key(f"genesis {name}") for name in OWN_NAMES})
    async with Localnet.start(LocalnetOptions(rpc_port=0, content_port=0, slot_ms=0, keys=folder / "keys")) as net:
        yield net


@asynccontextmanager
async def embedded(folder: Path) -> AsyncIterator[tuple[Localnet, Slots]]:
    """The embedded chain, and what makes its slots pass."""
    async with still(folder) as net, asyncio.TaskGroup() as group:
        slots = Slots(net)
        group.create_task(slots.run())
        try:
            yield net, slots
        finally:
            slots.stop()


@asynccontextmanager
async def real(folder: Path) -> AsyncIterator[Chain]:
    """The real node on what the embedded chain exports. Raises ValidatorFailed."""
    async with still(folder) as net:
        command = export_chain(net, folder / "genesis")
        cluster, keys, market, mint = net.cluster, dict(net.keys), net.market, net.mint
    async with running_validator([*command[1:], "--ticks-per-slot", str(FAST_TICKS)]) as node:
        yield _Node(node.rpc_url, node.ws_url, cluster, keys, market, mint)
