"""A whole market on this machine: a chain, a content store, a poster, and an agent with real Docker."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from node.agent.wiring import run_agent
from node.api.client import ControlClient, NoAgent
from node.chain.clusters import Cluster
from node.chain.outbox import MemoryStore, Outbox
from node.chain.policy import POSTER_KINDS, SpendingPolicy
from node.chain.rpc import Rpc
from node.chain.wallet import Wallet
from node.content.library import Library, open_library
from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions
from node.market.context import MarketContext
from node.market.poster import Posted, Poster
from node.records import Address, Cid, Job
from node.retry import SystemClock
from node.settings import ContentSettings, Settings, StakeSettings
from tests.realchain.chain import RealChain

T = TypeVar("T")


class Chain(Protocol):
    """What a market needs to stand on: the embedded chain has it, and a real node."""

    rpc_url: str
    ws_url: str
    content_url: str
    cluster: Cluster
    market: Address | None
    mint: Address


Give = Callable[[Address, float, float], Awaitable[None]]
"""Gives an address SOL and NOS; confirmed when it returns."""


def settings_tree(net: Chain, folder: Path) -> dict[str, Any]:
    """Settings of an agent on this chain, with its files in `folder`."""
    return {
        "cluster": "localnet",
        "rpc": {"urls": [net.rpc_url], "websocket": net.ws_url},
        "content": {
            "stores": [{"kind": "kubo", "url": net.content_url}],
            "gateways": [f"{net.content_url}/ipfs/"],
        },
        "host": {"country": "NL"},
        # The machine's own packet filter is not a test's to change; tests/container/test_egress.py has one of its own.
        "network": {"filter": "off"},
        "engine": {"stop_grace": 1},
        # It would keep a processor busy beside every test; tests/e2e/test_work_proof.py turns it on.
        "work_proof": {"engine": "off"},
        "limits": {"disk_free": "100 MiB", "memory": "256 MiB", "shm": "64 MiB"},
        "paths": {"data": str(folder / "data"), "control_socket": str(folder / "control.sock")},
        "lanes": [{"name": "main", "wallet": str(folder / "node.json"), "market": net.market}],
    }


def single(image: str, script: str, **args: object) -> dict[str, Any]:
    """A definition of one container that runs a shell script."""
    operation = {"type": "container/run", "id": "op", "args": {"image": image, "cmd": script, **args}}
    return {"version": "0.1", "type": "container", "meta": {"trigger": "cli"}, "ops": [operation]}


PROCESS = """
import asyncio, sys
from pathlib import Path
from node.agent.logs import PlainFormatter, set_up_logging
from node.agent.wiring import run_agent
from node.settings_source import load_settings

set_up_logging(PlainFormatter())
asyncio.run(run_agent(load_settings(Path(sys.argv[1]), environment={})))
"""


@dataclass(frozen=True)
class AgentProcess:
    """A running agent process."""

    process: asyncio.subprocess.Process
    client: ControlClient


@dataclass
class MarketPlace:
    """The chain, a poster with funds, and what an agent needs."""

    net: Chain
    give: Give
    folder: Path
    rpc: Rpc
    library: Library
    poster: Poster
    ledger_context: MarketContext
    settings: Settings
    node: Address
    more: dict[str, Any] = field(default_factory=dict)
    """Settings of the next agent besides the usual ones."""

    def set_up(self, **more: Any) -> None:
        """Give the next agent these settings besides the usual ones."""
        self.more = more
        self.settings = Settings.model_validate({**settings_tree(self.net, self.folder), **more})

    async def post(self, definition: dict[str, Any] | bytes, seconds: int = 600) -> Posted:
        """Upload a definition and list a job."""
        body = definition if isinstance(definition, bytes) else json.dumps(definition).encode()
        cid, _ = await self.library.publish("definition", body)
        return await self.list_job(cid, seconds)

    async def list_job(self, cid: Cid, seconds: int = 600) -> Posted:
        """List a job with a definition that may or may not exist."""
        assert self.net.market is not None
        market = await self.ledger_context.ledger.market(self.net.market)
        return await self.poster.post(market, cid, seconds)

    async def job(self, address: Address) -> Job:
        """The job as it stands."""
        return (await self.poster.view(address)).job

    async def result(self, job: Job) -> dict[str, Any]:
        """A finished job's result document."""
        assert job.result_cid is not None
        fetched = await self.library.fetch(job.result_cid, 1 << 28)
        document = json.loads(fetched.body)
        assert isinstance(document, dict)
        return document

    @asynccontextmanager
    async def agent_process(self) -> AsyncIterator[AgentProcess]:
        """An agent in a process of its own, which can be killed; killed at the end."""
        file = self.folder / "settings.yaml"
        file.write_text(json.dumps({**settings_tree(self.net, self.folder), **self.more}))
        with (self.folder / "agent.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", PROCESS, str(file), stderr=log, cwd=Path(__file__).parents[2]
            )
        try:
            async with ControlClient(self.settings.locations.control_socket) as client:
                await until(lambda: _answers(client))
                yield AgentProcess(process, client)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[ControlClient]:
        """An agent in this process, until the block ends (it is told to stop as a user would)."""
        async with asyncio.TaskGroup() as group:
            running = group.create_task(run_agent(self.settings))
            async with ControlClient(self.settings.locations.control_socket) as client:
                try:
                    await until(lambda: _answers(client), running=running)
                    yield client
                finally:
                    if not running.done():
                        await client.stop()


async def _answers(client: ControlClient) -> bool:
    try:
        await client.status()
    except NoAgent:
        return False
    return True


async def until(
    condition: Callable[[], Awaitable[T]], *, seconds: float = 60.0, running: asyncio.Task[None] | None = None
) -> T:
    """Poll until the condition gives something true; its value."""
    async with asyncio.timeout(seconds):
        while not (value := await condition()):
            assert running is None or not running.done(), "the agent ended"
            await asyncio.sleep(0.1)
    return value


async def queued(agent: ControlClient) -> bool:
    """Whether the lane waits in the queue."""
    phase: str = (await agent.status())["lanes"][0]["phase"]
    return phase == "queued"


async def settled(agent: ControlClient, job: Address) -> dict[str, Any]:
    """The job's run once it is settled."""

    async def look() -> dict[str, Any] | None:
        for run in (await agent.jobs())["jobs"]:
            if run["job"] == job and run["stage"] == "done":
                return dict(run)
        return None

    found = await until(look)
    assert found is not None
    return found


async def working(agent: ControlClient, job: Address) -> None:
    """Wait until the job's container runs."""

    async def look() -> bool:
        runs = (await agent.jobs())["jobs"]
        if not any(run["job"] == job for run in runs):
            return False
        operations = (await agent.job(job))["runs"][0]["operations"]
        return bool(operations) and operations[0]["starts"] == 1

    await until(look)


@asynccontextmanager
async def market_place(folder: Path, *, price: int = 1000) -> AsyncIterator[MarketPlace]:
    """An embedded chain with a funded poster and node."""
    options = LocalnetOptions(rpc_port=0, content_port=0, keys=folder / "keys", market_price=price, slot_ms=200)
    async with Localnet.start(options) as net:

        async def give(address: Address, sol: float, nos: float) -> None:
            net.endow(address, sol=sol, nos=nos)

        async with furnished(net, give, folder) as place:
            yield place


@asynccontextmanager
async def real_market_place(folder: Path, *, price: int = 1000) -> AsyncIterator[MarketPlace]:
    """The same on a real node, with slots of 400 ms and commitments as they come there."""
    async with RealChain.start(folder / "genesis", market_price=price) as net:

        async def give(address: Address, sol: float, nos: float) -> None:
            await net.fund(address, sol=sol, nos=nos)

        async with furnished(net, give, folder) as place:
            yield place


@asynccontextmanager
async def furnished(net: Chain, give: Give, folder: Path) -> AsyncIterator[MarketPlace]:
    """A funded poster and a node that can pay its fees, on whichever chain."""
    async with Rpc([net.rpc_url]) as rpc:
        wallet = Wallet.create(folder / "node.json")
        await give(wallet.address, 1, 0)
        poster = Wallet.create(folder / "poster.json")
        await give(poster.address, 1, 100)
        clock = SystemClock()
        signer = poster.signer(SpendingPolicy(net.cluster, POSTER_KINDS))
        context = MarketContext(
            cluster=net.cluster,
            rpc=rpc,
            outbox=Outbox(rpc, signer, MemoryStore(), clock=clock),
            lane="poster",
            node=poster.address,
            payout=None,
            stake=StakeSettings(),
            clock=clock,
        )
        settings = Settings.model_validate(settings_tree(net, folder))
        library = open_library(ContentSettings.model_validate(settings.content.model_dump()), None)
        try:
            yield MarketPlace(net, give, folder, rpc, library, Poster(context), context, settings, wallet.address)
        finally:
            await library.aclose()
