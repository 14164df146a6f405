"""What @nosana/kit reads of accounts, and what our own decoders read of them, are the same."""

from __future__ import annotations

import base64
import secrets
from typing import Any

import httpx
import pytest
from solders.keypair import Keypair

from node.chain import accounts, addresses
from node.chain.instructions import staking
from node.localnet.app import Localnet
from node.localnet.sending import send
from node.records import Address
from tests.interop.client import Client, ClientFailed
from tests.interop.conftest import StartClient
from tests.interop.nodes import new_node

pytestmark = [pytest.mark.interop]

QUEUE_EMPTY, QUEUE_OF_JOBS = 255, 0
QUEUED, DONE = 0, 2


async def read_account(net: Localnet, address: str) -> accounts.RawAccount:
    """An account by plain JSON-RPC."""
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "getAccountInfo",
        "params": [address, {"encoding": "base64", "commitment": "confirmed"}],
    }
    async with httpx.AsyncClient() as client:
        value = (await client.post(net.rpc_url, json=request)).json()["result"]["value"]
    return accounts.RawAccount(
        address=Address(address),
        owner=Address(value["owner"]),
        lamports=value["lamports"],
        data=base64.b64decode(value["data"][0]),
    )


async def post_job(kit: Client, market: object, *, seconds: int = 600) -> dict[str, Any]:
    """Post a definition nobody posted before; the job's, run's and definition's names."""
    operation = {"type": "container/run", "id": "one", "args": {"image": "x", "cmd": [secrets.token_hex(8)]}}
    cid = await kit.call("pin", document={"version": "0.1", "type": "container", "ops": [operation]})
    return {"cid": cid, **await kit.call("post", market=market, timeout=seconds, cid=cid)}


async def nos(kit: Client, owner: object) -> int:
    """Micro-NOS as the client tells them (it counts in whole NOS)."""
    whole: float = (await kit.call("balance", of=str(owner)))["nos"]
    return round(whole * 1e6)


async def test_a_job_is_posted_extended_and_delisted(kit: Client, localnet: Localnet) -> None:
    poster = localnet.keys["poster"].pubkey()
    before = await nos(kit, poster)
    posted = await post_job(kit, localnet.market, seconds=600)

    seen = await kit.call("job", address=posted["job"])
    ours = accounts.decode_job(await read_account(localnet, posted["job"]), localnet.cluster)
    assert (seen["ipfsJob"], seen["ipfsResult"]) == (ours.definition_cid, ours.result_cid) == (posted["cid"], None)
    assert (seen["market"], seen["project"], seen["payer"]) == (ours.market, ours.project, ours.payer)
    assert (
        (seen["price"], seen["timeout"], seen["state"]) == (ours.price, ours.timeout, ours.state) == (1000, 600, QUEUED)
    )
    market = await kit.call("market", address=localnet.market)
    assert (market["queueType"], market["queue"]) == (QUEUE_OF_JOBS, [posted["job"]])
    assert before - await nos(kit, poster) == 600 * 1000

    await kit.call("extend", job=posted["job"], seconds=60)
    assert (await kit.call("job", address=posted["job"]))["timeout"] == 660
    assert before - await nos(kit, poster) == 660 * 1000

    await kit.call("delist", job=posted["job"])
    assert await nos(kit, poster) == before
    assert (await kit.call("market", address=localnet.market))["queueType"] == QUEUE_EMPTY
    with pytest.raises(ClientFailed, match="Account not found"):
        await kit.call("job", address=posted["job"])


async def test_a_market_is_opened_and_closed(kit: Client, localnet: Localnet) -> None:
    opened = await kit.call("open", price=7, timeout=3600, expiration=600)
    seen = await kit.call("market", address=opened["market"])
    ours = accounts.decode_market(await read_account(localnet, opened["market"]), localnet.cluster)
    assert (seen["jobPrice"], seen["jobTimeout"], seen["jobExpiration"]) == (7, 3600, 600)
    assert (ours.job_price, ours.job_timeout, ours.job_expiration) == (7, 3600, 600)
    assert (seen["authority"], seen["vault"]) == (ours.authority, ours.vault)
    assert {localnet.market, opened["market"]} <= {market["address"] for market in await kit.call("markets")}
    await kit.call("close", market=opened["market"])
    with pytest.raises(ClientFailed, match="Account not found"):
        await kit.call("market", address=opened["market"])


async def test_a_running_job_is_extended_and_ended(kit: Client, start_kit: StartClient, localnet: Localnet) -> None:
    key = new_node(localnet)
    node = await start_kit(key)
    await node.call("work", market=localnet.market)
    posted = await post_job(kit, localnet.market)
    await kit.call("extend", job=posted["job"], seconds=30)
    await kit.call("end", job=posted["job"])
    job = await kit.call("job", address=posted["job"])
    assert (job["state"], job["ipfsResult"], job["timeout"]) == (DONE, None, 630)
    ours = accounts.decode_job(await read_account(localnet, posted["job"]), localnet.cluster)
    assert (ours.node, ours.result_cid) == (str(key.pubkey()), None)


async def test_stakes_are_read(kit: Client, localnet: Localnet) -> None:
    key = Keypair()
    address = Address(str(key.pubkey()))
    localnet.endow(address, sol=1, nos=20)
    days = 30 * 86_400
    send(localnet.validator, key, [staking.stake(localnet.cluster, authority=address, amount=5_000_000, duration=days)])
    localnet.advance(2)
    account = addresses.stake_account(localnet.cluster, address)
    seen = await kit.call("stake", address=account)
    ours = accounts.decode_stake(await read_account(localnet, account), localnet.cluster)
    assert (seen["authority"], seen["amount"], seen["duration"]) == (address, 5_000_000, days)
    assert (seen["xnos"], seen["vault"], seen["timeUnstake"]) == (ours.xnos, ours.vault, ours.time_unstake)
    assert account in {stake["address"] for stake in await kit.call("stakes")}
