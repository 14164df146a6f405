"""@nosana/sdk, the client before kit, against the embedded chain: other transactions and reads, another socket port."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from solders.keypair import Keypair

from node.localnet.app import Localnet
from node.records import Address
from tests.interop.client import Client, ClientFailed
from tests.interop.conftest import StartClient
from tests.interop.nodes import new_node

pytestmark = [pytest.mark.interop]

DONE = "COMPLETED"


@pytest_asyncio.fixture
async def start_sdk(clients: Path, localnet: Localnet) -> AsyncIterator[StartClient]:
    """Start one more sdk client with the given wallet."""
    async with AsyncExitStack() as stack:

        async def start(key: Keypair) -> Client:
            client = await stack.enter_async_context(Client.start("sdk", clients))
            assert await client.connect(localnet, key) == str(key.pubkey())
            return client

        yield start


async def post_job(sdk: Client, market: object, seconds: int = 600) -> dict[str, Any]:
    """Post a definition nobody posted before."""
    operation = {"type": "container/run", "id": "one", "args": {"image": "x", "cmd": [secrets.token_hex(8)]}}
    cid = await sdk.call("pin", document={"version": "0.1", "type": "container", "ops": [operation]})
    return {"cid": cid, **await sdk.call("post", market=market, timeout=seconds, cid=cid)}


async def test_a_job_is_posted_extended_and_delisted(start_sdk: StartClient, localnet: Localnet) -> None:
    poster = localnet.keys["poster"]
    sdk = await start_sdk(poster)
    before = (await sdk.call("balance", of=str(poster.pubkey())))["nos"]
    posted = await post_job(sdk, localnet.market)
    job = await sdk.call("job", address=posted["job"])
    assert (job["ipfsJob"], job["timeout"], job["state"]) == (posted["cid"], 600, "QUEUED")
    assert (await sdk.call("market", address=localnet.market))["queue"] == [posted["job"]]
    await sdk.call("extend", job=posted["job"], seconds=60)
    assert (await sdk.call("job", address=posted["job"]))["timeout"] == 660
    listed = await sdk.call("jobs", filters={"project": str(poster.pubkey())})
    assert [entry["pubkey"] for entry in listed] == [posted["job"]]
    await sdk.call("delist", job=posted["job"])
    assert (await sdk.call("balance", of=str(poster.pubkey())))["nos"] == before
    with pytest.raises(ClientFailed):
        await sdk.call("job", address=posted["job"])


async def test_a_node_works_and_delivers(start_sdk: StartClient, localnet: Localnet) -> None:
    key = new_node(localnet)
    sdk, node = await start_sdk(localnet.keys["poster"]), await start_sdk(key)
    await node.call("work", market=localnet.market)
    posted = await post_job(sdk, localnet.market)
    (run,) = await sdk.call("runs", job=posted["job"])
    assert run["account"]["node"] == str(key.pubkey())
    result = await node.call("pin", document={"status": "success"})
    await node.call("finish", run=posted["run"], market=localnet.market, cid=result)
    job = await sdk.call("job", address=posted["job"])
    assert (job["state"], job["ipfsResult"], job["node"]) == (DONE, result, str(key.pubkey()))
    assert await sdk.call("retrieve", cid=result) == {"status": "success"}


async def test_a_running_job_is_ended(start_sdk: StartClient, localnet: Localnet) -> None:
    key = new_node(localnet)
    sdk, node = await start_sdk(localnet.keys["poster"]), await start_sdk(key)
    await node.call("work", market=localnet.market)
    posted = await post_job(sdk, localnet.market)
    await sdk.call("end", job=posted["job"])
    assert (await sdk.call("job", address=posted["job"]))["state"] == DONE


async def test_a_node_cannot_queue_twice(start_sdk: StartClient, localnet: Localnet) -> None:
    node = await start_sdk(new_node(localnet))
    await node.call("work", market=localnet.market)
    with pytest.raises(ClientFailed, match=r"0x177e|NodeAlreadyQueued"):
        await node.call("work", market=localnet.market)


async def test_stakes_are_read(start_sdk: StartClient, localnet: Localnet) -> None:
    key = new_node(localnet)
    sdk = await start_sdk(localnet.keys["poster"])
    stake = await sdk.call("stake", of=Address(str(key.pubkey())))
    assert (stake["authority"], stake["amount"], stake["duration"]) == (str(key.pubkey()), 0, 14 * 86_400)
