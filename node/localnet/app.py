"""The embedded chain as a whole: genesis or a saved state, the servers, and the task that makes slots pass."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from solders.keypair import Keypair

from node.chain.addresses import to_address
from node.chain.clusters import Cluster, localnet
from node.localnet import snapshot as snapshots
from node.localnet.archive import Archive
from node.localnet.birth import Born, create, programs_for, restore
from node.localnet.chain_time import Leaps
from node.localnet.content import ContentServer, ContentStore
from node.localnet.faucet import Faucet, Gift
from node.localnet.faults.admin import FaultMethods
from node.localnet.faults.faults import Faults
from node.localnet.genesis import Programs
from node.localnet.keys import write_keys
from node.localnet.minting import Mints
from node.localnet.options import ENDPOINT_STEP, LocalnetOptions
from node.localnet.pace import Pace
from node.localnet.ports import bind, bind_pair
from node.localnet.rpc.admin import AdminMethods
from node.localnet.rpc.methods import node_methods
from node.localnet.rpc.subscriptions import Subscriptions
from node.localnet.server import RpcServer
from node.localnet.slots import Commitment
from node.records import Address


class Localnet:
    """A running chain. Made by `Localnet.start`."""

    def __init__(
        self,
        options: LocalnetOptions,
        born: Born,
        *,
        cluster: Cluster,
        programs: Programs,
        key_files: Mapping[str, Path],
        content: ContentStore,
    ) -> None:
        self.options = options
        self.validator = born.validator
        self.time = born.time
        self.cluster = cluster
        self.empty = born.empty
        """Whether it began with programs only."""
        self._keys = dict(born.keys)
        self.keys: Mapping[str, Keypair] = self._keys
        self.key_files = key_files
        self.market = born.market
        self.mint = cluster.nos_mint
        self.content = content
        self.faucet = Faucet(self.validator, cluster, self.keys)
        self.mints = Mints(self.validator, self.keys)
        self.pace = Pace(self.validator, options.clock, options.slot_ms)
        self.leaps = Leaps(self.validator, self.time, options.slot_ms)
        self.archive = Archive(self, programs)
        self.faults = Faults(self.validator, options.clock, options.endpoints)
        self.rpc_urls: list[str] = []
        """Where the chain answers, one for each endpoint of the options."""
        self.ws_urls: list[str] = []
        self.rpc_url = ""
        self.ws_url = ""
        self.content_url = ""

    @staticmethod
    @asynccontextmanager
    async def start(options: LocalnetOptions | None = None) -> AsyncIterator[Localnet]:
        """Run a chain for as long as the context lasts; then save it, if a state file was named.

        Raises LocalnetError for a port in use, a bad state file or keys that do not fit.
        """
        with tempfile.TemporaryDirectory(prefix="gpunode-content-") as folder:
            net = _make(options or LocalnetOptions(), Path(folder))
            failure: Exception | None = None
            async with AsyncExitStack() as servers:
                await net._listen(servers)
                net.faults.set_all(net.options.faults)
                servers.callback(net.save)
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(net.pace.run()), group.create_task(net._keep_state())]
                    try:
                        yield net
                    except Exception as error:
                        failure = error  # the caller's own: it must not come out wrapped in a group
                    finally:
                        for task in tasks:
                            task.cancel()
            if failure is not None:
                raise failure

    # --- use by tests and commands

    @property
    def programs(self) -> dict[Address, str]:
        """SHA-256 (hex) of each program by address, but for those that every cluster has."""
        found = self.validator.bank.programs()
        return {to_address(program.address): hashlib.sha256(program.code).hexdigest() for program in found}

    def advance(self, slots: int = 1) -> None:
        """Let slots pass at once; the clock stays where it is (see `leaps` for time that passes)."""
        for _ in range(slots):
            self.validator.tick()

    def fund(self, address: Address, *, sol: float = 0, nos: float = 0) -> Gift:
        """SOL and NOS (whole ones, fractions allowed) from the faucet, at once: processed in the newest block."""
        return self.faucet.give(address, lamports=round(sol * 10**9), nos=round(nos * 10**6))

    def endow(self, address: Address, *, sol: float = 0, nos: float = 0) -> Gift:
        """As `fund`, and confirmed when it returns: slots pass at once until it is."""
        given = self.fund(address, sol=sol, nos=nos)
        block = self.validator.slots.head.slot
        while self.validator.slots.at(Commitment.CONFIRMED).slot <= block:
            self.validator.begin_block()
        return given

    def describe(self) -> dict[str, Any]:
        """The chain in JSON: what `gpunode localnet start --json` prints when ready."""
        return {
            "rpc_url": self.rpc_url,
            "ws_url": self.ws_url,
            "content_url": self.content_url,
            "endpoints": [{"rpc_url": rpc, "ws_url": ws} for rpc, ws in zip(self.rpc_urls, self.ws_urls, strict=True)],
            "cluster": self.cluster.name,
            "ids": self.cluster.ids,
            "genesis_hash": str(self.validator.genesis_hash),
            "empty": self.empty,
            "programs": self.programs,
            "mint": self.mint,
            "market": self.market,
            "keys": {
                name: {
                    "address": str(key.pubkey()),
                    "path": str(self.key_files[name]) if name in self.key_files else None,
                }
                for name, key in self.keys.items()
            },
        }

    def save(self) -> None:
        """Write the state file, if one was named."""
        if self.options.state is not None:
            self.archive.save_last(self.options.state)

    def become(self, born: Born) -> None:
        """Be another chain from now on, on the same ports. Faults are over."""
        self.faults.clear()
        self.validator.become(born.validator)
        self.time.ahead = born.time.ahead
        self._keys.clear()
        self._keys.update(born.keys)
        self.market, self.empty = born.market, born.empty

    # --- running

    async def _listen(self, stack: AsyncExitStack) -> None:
        subscriptions = Subscriptions(self.validator)
        self.validator.listeners.append(subscriptions)
        admin = AdminMethods(self.validator, self.faucet, self.mints, self.leaps, self.describe)
        methods = {**node_methods(self.validator, self._places), **admin.public()}
        local = {
            **admin.local(),
            **FaultMethods(self.faults).table(),
            "localnet_pace": lambda _: self.pace.describe(),
        }
        host = self.options.host
        servers = [RpcServer(methods, local, subscriptions, endpoint) for endpoint in self.faults.endpoints]

        async def disconnect() -> None:
            for server in servers:
                await server.disconnect()

        for number, server in enumerate(servers):
            application = server.application()
            application.add_routes(self.archive.routes(disconnect))
            both = await stack.enter_async_context(_running(application))
            first = self.options.rpc_port
            rpc, ws = bind_pair(host, first + number * ENDPOINT_STEP if first else 0)
            for bound in (rpc, ws):
                await web.SockSite(both, bound).start()
            self.rpc_urls.append(f"http://{host}:{rpc.getsockname()[1]}")
            self.ws_urls.append(f"ws://{host}:{ws.getsockname()[1]}")
        content = await stack.enter_async_context(_running(ContentServer(self.content).application()))
        place = bind(host, self.options.content_port)
        await web.SockSite(content, place).start()
        self.rpc_url, self.ws_url = self.rpc_urls[0], self.ws_urls[0]
        self.content_url = f"http://{host}:{place.getsockname()[1]}"

    def _places(self) -> tuple[str, str]:
        return self.rpc_url.removeprefix("http://"), self.ws_url.removeprefix("ws://")

    async def _keep_state(self) -> None:
        path, every = self.options.state, self.options.save_seconds
        if path is not None and every > 0:
            await self.archive.keep(path, every)


@asynccontextmanager
async def _running(application: web.Application) -> AsyncIterator[web.AppRunner]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


def _make(options: LocalnetOptions, content: Path) -> Localnet:
    cluster = localnet(options.ids)
    programs = programs_for(options)
    state = options.state
    if state is not None:
        snapshots.require_place(state)
    if state is not None and state.exists():
        born = restore(options, snapshots.load(state, content), programs)
    else:
        born = create(options, cluster, programs)
    key_files = write_keys(options.keys, born.keys) if options.keys is not None else {}
    return Localnet(
        options, born, cluster=cluster, programs=programs, key_files=key_files, content=ContentStore(content)
    )
