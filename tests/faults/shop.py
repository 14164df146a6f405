"""One chain, one poster and one agent: what one worker of a matrix has, for as many jobs as it likes."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import docker

from node.container.engine import NODE_LABEL
from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions
from node.records import Address, Cid, Signature
from tests.e2e.market_place import Chain, Give, MarketPlace, furnished, settings_tree
from tests.faults.content_proxy import ContentProxy
from tests.faults.engine_proxy import EngineProxy
from tests.faults.keeper import Keeper, Loss, kept
from tests.faults.starts import Starts
from tests.realchain.chain import RealChain

T = TypeVar("T")
SLOT_MS = 80
"""Final after 2.6 s, a blockhash is good for 12 s."""
AGENTS_ENDPOINT = 1
DENIED_IMAGE = "denied/image:1"
"""One that the agent's policy does not run."""
PATIENCE = float(os.environ.get("GPUNODE_FAULTS_PATIENCE", "150"))
"""Seconds for one job to come to rest, whatever was done to it; where starting a process takes minutes, more."""


@dataclass
class Shop:
    """The world of one agent. `chain_of_receipts` is what the chain has shown of it so far, oldest first."""

    place: MarketPlace
    keeper: Keeper
    engine: docker.APIClient
    starts: Starts
    image: str
    content: ContentProxy
    sockets: EngineProxy
    localnet: Localnet | None
    """The embedded chain; None on a real node."""
    chain_of_receipts: list[tuple[Cid, Signature]] = field(default_factory=list)
    paid: int = 0
    """Micro-NOS that the jobs so far have paid by the chain's own figures."""

    @property
    def node(self) -> Address:
        """The agent's key."""
        return self.place.node

    async def until(self, what: str, condition: Callable[[], Awaitable[T]], seconds: float = PATIENCE) -> T:
        """Poll until the condition gives something true. Raises Loss with what was waited for."""
        end = time.monotonic() + seconds
        while not (value := await condition()):
            self.keeper.check()
            if time.monotonic() > end:
                raise Loss(f"not in {seconds:.0f} s: {what}; {await self.describe()}")
            await asyncio.sleep(0.1)
        return value

    async def rest(self) -> None:
        """Until the agent waits in the queue, nothing is under way, and the chain has finalized all that was."""
        await self.until("a queued agent with nothing under way", self.is_at_rest)

    async def is_at_rest(self) -> bool:
        """Whether that is so now."""
        if any(self.rows("SELECT 1 FROM jobs WHERE stage != 'done' LIMIT 1")):
            return False
        if any(self.rows("SELECT 1 FROM outbox LIMIT 1")) or any(self.rows("SELECT 1 FROM uploads LIMIT 1")):
            return False
        if self.leftovers():
            return False
        lanes = (await self.keeper.told(lambda client: client.status()))["lanes"]
        return bool(lanes) and lanes[0]["phase"] == "queued"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the journal's file holds; nothing while there is none."""
        if not self.keeper.journal.exists():
            return []
        with sqlite3.connect(f"file:{self.keeper.journal}?mode=ro", uri=True, timeout=10) as db:
            try:
                return db.execute(query).fetchall()
            except sqlite3.OperationalError:  # the agent died before it made its tables
                return []

    def leftovers(self) -> list[str]:
        """Containers, networks and volumes that carry the agent's key."""
        filters = {"label": f"{NODE_LABEL}={self.node}"}
        containers = [f"container {row['Names']}" for row in self.engine.containers(all=True, filters=filters)]
        networks = [f"network {row['Name']}" for row in self.engine.networks(filters=filters)]
        volumes = [f"volume {row['Name']}" for row in self.engine.volumes(filters=filters).get("Volumes") or ()]
        return containers + networks + volumes

    async def describe(self) -> str:
        """Where things are, for who has to find out."""
        open_jobs = self.rows("SELECT job, stage FROM jobs WHERE stage != 'done'")
        outbox = self.rows("SELECT key, state, attempt, error FROM outbox")
        uploads = self.rows("SELECT name, store, tried FROM uploads")
        lanes = self.rows("SELECT phase, reason, wish FROM lanes")
        return (
            f"lanes {lanes}, open {open_jobs}, outbox {outbox}, uploads {uploads}, leftovers {self.leftovers()}, "
            f"log {self.keeper.folder / 'agent.log'}"
        )


@asynccontextmanager
async def shop(
    folder: Path, engine: docker.APIClient, starts: Starts, image: str, *, proxied: bool = False
) -> AsyncIterator[Shop]:
    """A fresh chain with a fresh agent, at rest. With `proxied`, content and engine can be made to fail."""
    folder.mkdir(parents=True, exist_ok=True)
    # The agent has an endpoint of its own, so that what is wrong with it is not the poster's trouble.
    options = LocalnetOptions(rpc_port=0, content_port=0, keys=folder / "keys", slot_ms=SLOT_MS, endpoints=2)
    async with Localnet.start(options) as net:

        async def give(address: Address, sol: float, nos: float) -> None:
            net.endow(address, sol=sol, nos=nos)

        async with opened(folder, net, give, engine, starts, image, localnet=net, proxied=proxied) as made:
            made.keeper.start()
            await made.rest()
            yield made


@asynccontextmanager
async def real_shop(folder: Path, engine: docker.APIClient, starts: Starts, image: str) -> AsyncIterator[Shop]:
    """The same on a real node, which fails only as it likes; raises LocalnetError where none can be run."""
    folder.mkdir(parents=True, exist_ok=True)
    async with RealChain.start(folder / "genesis", market_price=1000) as net:

        async def give(address: Address, sol: float, nos: float) -> None:
            await net.fund(address, sol=sol, nos=nos)

        async with opened(folder, net, give, engine, starts, image, localnet=None) as made:
            made.keeper.start()
            await made.rest()
            yield made


@asynccontextmanager
async def opened(
    folder: Path,
    net: Chain,
    give: Give,
    engine: docker.APIClient,
    starts: Starts,
    image: str,
    *,
    localnet: Localnet | None,
    proxied: bool = False,
) -> AsyncIterator[Shop]:
    """The same on any chain, with an agent that was never started."""
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(furnished(net, give, folder))
        content = await stack.enter_async_context(ContentProxy.before(net.content_url))
        sockets = await stack.enter_async_context(EngineProxy.before(folder / "engine.sock"))
        tree = settings(net, folder)
        if localnet is not None:
            tree["rpc"] |= {
                "urls": [localnet.rpc_urls[AGENTS_ENDPOINT]],
                "websocket": localnet.ws_urls[AGENTS_ENDPOINT],
            }
        if proxied:
            tree["content"]["stores"][0]["url"] = content.url
            tree["content"]["gateways"] = [f"{content.url}/ipfs/"]
            tree["engine"]["socket"] = str(sockets.path)
        keeper = await stack.enter_async_context(kept(folder, tree))
        made = Shop(place, keeper, engine, starts, image, content, sockets, localnet)
        stack.callback(clear, made)
        yield made


def settings(net: Chain, folder: Path) -> dict[str, Any]:
    """Settings whose patience is that of a test."""
    tree = settings_tree(net, folder)
    tree["rpc"]["timeout"] = 3
    tree["content"]["timeout"] = 3
    tree["health"] = {"ballast": "1 MiB"}
    tree["shutdown"] = {"keep_queue_place": False}
    # Images that were pulled are in nobody's way only until their job is over.
    tree["limits"]["image_cache"] = 1
    tree["policy"] = {**tree.get("policy", {}), "deny_images": [DENIED_IMAGE]}
    return tree


def clear(made: Shop) -> None:
    """Leave nothing of the agent's in the engine."""
    filters = {"label": f"{NODE_LABEL}={made.node}"}
    for row in made.engine.containers(all=True, filters=filters):
        made.engine.remove_container(row["Id"], force=True, v=True)
    for network in made.engine.networks(filters=filters):
        made.engine.remove_network(network["Id"])
