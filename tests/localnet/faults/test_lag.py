"""An endpoint that has fallen behind: every answer is of an old slot, and sending still works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from solders.keypair import Keypair

from node.errors import LocalnetError
from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions
from tests.localnet.rpc import CONFIRMED, FINALIZED, PROCESSED, RpcClient, address, pay, wallet, wire

STILL = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=0)
VIEWS = (PROCESSED, CONFIRMED, FINALIZED)


@dataclass
class Scene:
    """One chain, asked by way of an endpoint that will lag and of one that will not."""

    net: Localnet
    slow: RpcClient
    fresh: RpcClient
    payer: Keypair

    @property
    def head(self) -> int:
        return self.net.validator.slots.head.slot

    def pass_blocks(self, count: int) -> None:
        for _ in range(count):
            self.net.validator.begin_block()


class _At(RpcClient):
    def __init__(self, net: Localnet, http: httpx.AsyncClient, endpoint: int) -> None:
        super().__init__(net, http)
        self._url = net.rpc_urls[endpoint]
        self._client = http

    async def raw(self, body: Any) -> Any:
        return (await self._client.post(self._url, json=body)).json()


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Localnet.start(replace(STILL, endpoints=2)) as net, httpx.AsyncClient() as http:
        found = Scene(net, _At(net, http, 0), _At(net, http, 1), wallet(net))
        found.pass_blocks(40)
        yield found


async def test_every_answer_is_of_the_old_slot(scene: Scene) -> None:
    to, since = Keypair(), scene.head
    scene.net.faults.set({"kind": "lag", "slot": since, "endpoint": 0})
    scene.pass_blocks(1)
    transaction = pay(scene.payer, to.pubkey(), 5_000_000, await scene.fresh.blockhash())
    signature = await scene.fresh.send(transaction)
    scene.pass_blocks(60)

    expected = [since, since - 1, since - 32]
    assert [await scene.slow.call("getSlot", view) for view in VIEWS] == expected
    answers = [await scene.slow.call("getBalance", address(to), view) for view in VIEWS]
    assert [(each["context"]["slot"], each["value"]) for each in answers] == [(slot, 0) for slot in expected]
    latest = await scene.slow.call("getLatestBlockhash", PROCESSED)
    assert latest["context"]["slot"] == since
    assert (await scene.slow.call("getSignatureStatuses", [signature]))["value"] == [None]
    assert await scene.slow.call("getTransaction", signature, CONFIRMED) is None
    assert await scene.slow.call("getSignaturesForAddress", address(to), CONFIRMED) == []
    owned = await scene.slow.call("getProgramAccounts", "1" * 32, {"encoding": "base64", **PROCESSED})
    assert address(to) not in [row["pubkey"] for row in owned]
    error = await scene.slow.fail("getBlock", since + 5, {"maxSupportedTransactionVersion": 0, **CONFIRMED})
    assert error["code"] == -32004
    error = await scene.slow.fail("getBalance", address(to), {**PROCESSED, "minContextSlot": since + 1})
    assert (error["code"], error["data"]) == (-32016, {"contextSlot": since})

    assert (await scene.fresh.call("getBalance", address(to), FINALIZED))["value"] == 5_000_000
    scene.net.faults.clear()
    assert (await scene.slow.call("getBalance", address(to), FINALIZED))["value"] == 5_000_000


async def test_an_endpoint_can_be_so_many_slots_behind_and_moves_on(scene: Scene) -> None:
    to = Keypair()
    await scene.fresh.send(pay(scene.payer, to.pubkey(), 5_000_000, await scene.fresh.blockhash()))
    landed = scene.head
    scene.pass_blocks(9)
    with scene.net.faults.during({"kind": "lag", "slots": 10, "endpoint": 0}):
        seen = []
        for _ in range(3):
            answer = await scene.slow.call("getBalance", address(to), PROCESSED)
            seen.append((answer["context"]["slot"], answer["value"]))
            scene.pass_blocks(1)
    assert seen == [(landed - 1, 0), (landed, 5_000_000), (landed + 1, 5_000_000)]


async def test_what_is_sent_to_it_lands(scene: Scene) -> None:
    scene.net.faults.set({"kind": "lag", "slots": 5, "endpoint": 0})
    to = Keypair()
    transaction = pay(scene.payer, to.pubkey(), 5_000_000, await scene.fresh.blockhash())
    error = await scene.slow.fail(
        "sendTransaction", wire(transaction), {"encoding": "base64", "preflightCommitment": "processed"}
    )
    assert error["data"]["err"] == "BlockhashNotFound", "its preflight does not know the hash yet"
    await scene.slow.send(transaction, skipPreflight=True)
    assert (await scene.fresh.call("getBalance", address(to), PROCESSED))["value"] == 5_000_000
    assert (await scene.slow.call("getBalance", address(to), PROCESSED))["value"] == 0
    older = pay(scene.payer, to.pubkey(), 4_000_000, await scene.slow.blockhash())
    await scene.slow.send(older)
    assert (await scene.fresh.call("getBalance", address(to), PROCESSED))["value"] == 9_000_000


async def test_a_share_of_requests_goes_to_a_node_behind_a_balancer(scene: Scene) -> None:
    scene.net.faults.set({"kind": "lag", "slots": 5, "share": 0.5, "seed": 1, "endpoint": 0})
    slots = {await scene.slow.call("getSlot", PROCESSED) for _ in range(20)}
    assert slots == {scene.head, scene.head - 5}


async def test_it_is_healthy_until_it_is_far_behind(scene: Scene) -> None:
    scene.net.faults.set({"kind": "lag", "slot": scene.head, "endpoint": 0})
    scene.pass_blocks(128)
    assert await scene.slow.call("getHealth") == "ok"
    scene.pass_blocks(1)
    error = await scene.slow.fail("getHealth")
    assert error == {"code": -32005, "message": "Node is behind by 129 slots", "data": {"numSlotsBehind": 129}}
    assert await scene.fresh.call("getHealth") == "ok"
    async with httpx.AsyncClient() as http:
        texts = [(await http.get(f"{url}/health")).text for url in scene.net.rpc_urls]
    assert texts == ["behind", "ok"]


async def test_a_slot_whose_accounts_are_forgotten_cannot_be_shown(scene: Scene) -> None:
    for _ in range(400):
        key = Keypair()
        scene.net.fund(address(key), sol=0.01)
        scene.pass_blocks(1)
    oldest = scene.net.validator.bank.oldest_view
    assert 0 < oldest < scene.head - 32
    with pytest.raises(LocalnetError, match="not known any more"):
        scene.net.faults.set({"kind": "lag", "slot": oldest - 1})
    scene.net.faults.set({"kind": "lag", "slots": 100_000, "endpoint": 0})
    assert await scene.slow.call("getSlot", PROCESSED) == oldest, "as far behind as can be"


async def test_a_fork_is_not_seen_before_its_time(scene: Scene) -> None:
    keep = scene.head
    scene.net.faults.set({"kind": "lag", "slots": 6, "endpoint": 0})
    scene.pass_blocks(3)
    scene.net.faults.set({"kind": "fork", "slot": keep})
    first = scene.head
    seen = []
    for _ in range(6):
        seen.append(await scene.slow.call("getSlot", PROCESSED))
        scene.pass_blocks(1)
    assert seen == [keep - 2, keep - 1, keep, keep, keep, keep], "the lost blocks never show"
    assert await scene.slow.call("getSlot", PROCESSED) == first
