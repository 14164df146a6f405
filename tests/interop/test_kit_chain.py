"""@nosana/kit against the embedded chain and its programs: what a poster and a market owner do with it."""

from __future__ import annotations

import asyncio
import base64
import json
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

QUEUE_EMPTY, QUEUE_OF_JOBS, QUEUE_OF_NODES = 255, 0, 1
QUEUED, DONE, STOPPED = 0, 2, 3
DYNAMIC_FEES = {"type": "dynamic", "strategy": "medium", "min": 10_000, "max": 15_000_000}


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
    return round((await kit.call("balance", of=str(owner)))["nos"] * 1e6)


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


async def test_a_waiting_node_gets_the_job_and_is_paid_for_its_result(
    kit: Client, start_kit: StartClient, localnet: Localnet
) -> None:
    key = new_node(localnet)
    node = await start_kit(key)
    await node.call("work", market=localnet.market)
    market = await kit.call("market", address=localnet.market)
    assert (market["queueType"], market["queue"]) == (QUEUE_OF_NODES, [str(key.pubkey())])

    before = await nos(kit, localnet.keys["poster"].pubkey())
    posted = await post_job(kit, localnet.market, seconds=600)
    (run,) = await kit.call("runs", job=posted["job"])
    assert (run["address"], run["node"]) == (posted["run"], str(key.pubkey()))
    assert (await kit.call("market", address=localnet.market))["queueType"] == QUEUE_EMPTY

    result = await node.call("pin", document={"status": "success"})
    await node.call("finish", job=posted["job"], cid=result)
    job = await kit.call("job", address=posted["job"])
    assert (job["state"], job["ipfsResult"], job["node"]) == (DONE, result, str(key.pubkey()))
    assert await kit.call("retrieve", cid=job["ipfsResult"]) == {"status": "success"}
    pay = 1000 * min(job["timeEnd"] - job["timeStart"], 600)
    assert await nos(kit, key.pubkey()) == 1_000_000 + pay
    assert before - await nos(kit, localnet.keys["poster"].pubkey()) == pay
    assert await kit.call("runs", job=posted["job"]) == []


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


async def test_a_node_leaves_the_queue_and_quits_a_run(kit: Client, start_kit: StartClient, localnet: Localnet) -> None:
    key = new_node(localnet)
    node = await start_kit(key)
    await node.call("work", market=localnet.market)
    await node.call("stop", market=localnet.market)
    assert (await kit.call("market", address=localnet.market))["queue"] == []
    posted = await post_job(kit, localnet.market)
    joined = await node.call("work", market=localnet.market)
    await node.call("quit", run=joined["run"])
    job = await kit.call("job", address=posted["job"])
    assert (job["state"], job["node"]) == (STOPPED, "11111111111111111111111111111111")
    assert await kit.call("runs", job=posted["job"]) == []


async def test_program_errors_reach_the_client_by_name(kit: Client, start_kit: StartClient, localnet: Localnet) -> None:
    node = await start_kit(new_node(localnet))
    await node.call("work", market=localnet.market)
    with pytest.raises(ClientFailed) as twice:
        await node.call("work", market=localnet.market)
    assert any("NodeAlreadyQueued" in line for line in twice.value.logs), (str(twice.value), twice.value.logs)

    posted = await post_job(kit, localnet.market)
    stranger = await start_kit(new_node(localnet))
    with pytest.raises(ClientFailed) as foreign:
        await stranger.call("end", job=posted["job"])
    assert any("Unauthorized" in line for line in foreign.value.logs), (str(foreign.value), foreign.value.logs)


async def test_dynamic_fees_are_asked_for_and_paid(start_kit: StartClient, localnet: Localnet) -> None:
    kit = await start_kit(localnet.keys["poster"], fees=DYNAMIC_FEES)
    posted = await post_job(kit, localnet.market)
    assert (await kit.call("job", address=posted["job"]))["state"] == QUEUED


async def test_the_monitor_sees_a_job_appear(kit: Client, start_kit: StartClient, localnet: Localnet) -> None:
    watcher = await start_kit(Keypair())
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watcher.call("watch", kind="job"))
        posted: list[str] = []
        while not watching.done():
            posted.append((await post_job(kit, localnet.market))["job"])
    assert watching.result()["address"] in posted


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


async def test_an_airdrop_lands(kit: Client, localnet: Localnet) -> None:
    to = str(Keypair().pubkey())
    await kit.call("airdrop", to=to, amount=2_000_000_000)
    localnet.advance(2)
    assert (await kit.call("balance", of=to))["lamports"] == 2_000_000_000


async def test_both_ways_to_pin_give_the_cid_of_the_bytes(kit: Client, tmp_path: Any) -> None:
    document = {"version": "0.1", "type": "container", "ops": [], "text": "ü" * 10}
    file = tmp_path / "job.json"
    # As the client itself writes it, so that both are the same bytes.
    file.write_text(json.dumps(document, separators=(",", ":"), ensure_ascii=False))
    cid = await kit.call("pin_file", path=str(file))
    assert cid == await kit.call("pin", document=document)
    assert await kit.call("retrieve", cid=cid) == document
