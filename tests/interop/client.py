"""Talking to an official client's driver: JSON lines over the pipes of a Node.js process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from solders.keypair import Keypair

from node.chain.clusters import Cluster
from node.localnet.app import Localnet
from tests.interop.packages import CLIENTS

ANSWER_SECONDS = 60.0
LINE_LIMIT = 32 * 1024 * 1024
# In the client's preset for both networks; no program of ours stands there, but the client insists on an address.
POOLS = "nosPdZrfDzND1LAR28FLMDEATUPK53K8xbRBXAirevD"
MERKLE_DISTRIBUTOR = "merkp8F8f5EgYSYKadk3YiuQQdo3JPdnJWKviaaF425"


def program_addresses(cluster: Cluster) -> dict[str, str]:
    """The addresses that the clients' settings want, by their names for them."""
    return {
        "nosTokenAddress": cluster.nos_mint,
        "jobsAddress": cluster.jobs,
        "rewardsAddress": cluster.rewards,
        "stakeAddress": cluster.staking,
        "nodesAddress": cluster.nodes,
        "poolsAddress": POOLS,
        "merkleDistributorAddress": MERKLE_DISTRIBUTOR,
    }


class ClientFailed(Exception):
    """The client threw; `logs` are the program logs it was given, if any."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['name']}: {error['message']}")
        self.code = error.get("code")
        self.logs = list(error.get("logs") or ())


class Client:
    """One client process. Calls may overlap; each waits for its own answer."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    @staticmethod
    @contextlib.asynccontextmanager
    async def start(driver: str, folder: Path) -> AsyncIterator[Client]:
        """Run `clients/<driver>.mjs` with the packages in `folder` until the block ends."""
        source = CLIENTS / f"{driver}.mjs"
        digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
        # A module finds packages beside itself, so the driver runs from a copy beside them.
        copy = folder / f"{driver}-{digest}.mjs"
        shutil.copy(source, copy)
        process = await asyncio.create_subprocess_exec(
            "node",
            str(copy),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
        )
        client = Client(process)
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(client._read())
                try:
                    yield client
                finally:
                    reading.cancel()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def call(self, method: str, **params: Any) -> Any:
        """The method's result. Raises ClientFailed when the client threw."""
        assert self._process.stdin is not None
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        request = json.dumps({"id": number, "method": method, "params": params})
        self._process.stdin.write(request.encode() + b"\n")
        await self._process.stdin.drain()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await waiting
        finally:
            del self._waiting[number]

    async def connect(self, net: Localnet, key: Keypair, *, fees: dict[str, Any] | None = None) -> str:
        """Point the client at a localnet, with `key` as its wallet; the wallet's address."""
        cluster = net.cluster
        wallet = await self.call(
            "connect",
            network=cluster.ids,
            rpc=net.rpc_url,
            ws=net.ws_url,
            content=net.content_url,
            secret=list(bytes(key)),
            market=net.market,
            fees=fees,
            programs=program_addresses(cluster),
        )
        return str(wallet)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            answer = json.loads(line)
            waiting = self._waiting.get(answer["id"])
            if waiting is None or waiting.done():
                continue
            if "error" in answer:
                waiting.set_exception(ClientFailed(answer["error"]))
            else:
                waiting.set_result(answer["result"])
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError("the client's process ended"))
