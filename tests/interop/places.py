"""Chains for the clients' flows, with the accounts beside them that these want: a localnet, and a real validator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from node.chain.clusters import IdSet
from node.localnet.app import Localnet
from node.localnet.export import export_chain
from node.localnet.options import LocalnetOptions
from tests.interop.flows import describe
from tests.interop.staging import stage
from tests.realchain.chain import FAST_TICKS
from tests.realchain.process import running_validator


@asynccontextmanager
async def local_place(ids: IdSet) -> AsyncIterator[dict[str, Any]]:
    """What a flow is told of a localnet that runs while the block lasts."""
    async with Localnet.start(LocalnetOptions(rpc_port=0, content_port=0, slot_ms=50, ids=ids)) as net:
        yield describe(net, rpc_url=net.rpc_url, ws_url=net.ws_url, staged=stage(net))


@asynccontextmanager
async def real_place(folder: Path, ids: IdSet) -> AsyncIterator[dict[str, Any]]:
    """What a flow is told of a real validator that runs while the block lasts; content is a localnet's."""
    options = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=0, ids=ids)
    async with Localnet.start(options) as net:
        staged = stage(net)
        command = export_chain(net, folder)
        async with running_validator([*command[1:], "--ticks-per-slot", str(FAST_TICKS)]) as node:
            yield describe(net, rpc_url=node.rpc_url, ws_url=node.ws_url, staged=staged)
