"""Faults of requests over HTTP, as a client sees them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio

from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions
from tests.chain.fakes import FakeClock
from tests.localnet.rpc import PROCESSED

SLOT = {"jsonrpc": "2.0", "id": 1, "method": "getSlot"}
HEALTH = {"jsonrpc": "2.0", "id": 2, "method": "getHealth"}
STILL = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=0)


class Caller:
    """Plain requests to the chain's endpoints."""

    def __init__(self, net: Localnet, http: httpx.AsyncClient) -> None:
        self.net = net
        self._http = http

    async def post(self, body: Any, endpoint: int = 0) -> httpx.Response:
        return await self._http.post(self.net.rpc_urls[endpoint], json=body)

    async def statuses(self, count: int, body: Any, endpoint: int = 0) -> list[int]:
        return [(await self.post(body, endpoint)).status_code for _ in range(count)]


@pytest_asyncio.fixture
async def caller() -> AsyncIterator[Caller]:
    """Of a chain with two endpoints, whose slots pass only when told and whose seconds are a fake clock's."""
    async with Localnet.start(replace(STILL, endpoints=2, clock=FakeClock())) as net, httpx.AsyncClient() as http:
        yield Caller(net, http)


def clock(net: Localnet) -> FakeClock:
    assert isinstance(net.options.clock, FakeClock)
    return net.options.clock


async def test_429_says_when_to_come_back_and_hits_as_often_as_told(caller: Caller) -> None:
    limit = caller.net.faults.set({"kind": "429", "retry_after": 2.5, "methods": ["getSlot"], "count": 2})
    first = await caller.post(SLOT)
    assert (first.status_code, first.headers["retry-after"]) == (429, "3")
    assert first.json()["error"]["code"] == 429
    assert (await caller.post(HEALTH)).status_code == 200, "another method"
    assert await caller.statuses(3, SLOT) == [429, 200, 200]
    assert (limit.hits, limit.over) == (2, True)


async def test_a_rate_is_allowed_and_no_more(caller: Caller) -> None:
    caller.net.faults.set({"kind": "429", "allow": 3, "window": 10, "retry_after": None})
    assert await caller.statuses(5, SLOT) == [200, 200, 200, 429, 429]
    assert "retry-after" not in (await caller.post(SLOT)).headers
    assert await caller.statuses(1, SLOT, endpoint=1) == [200], "each endpoint counts for itself"
    clock(caller.net).now += 10
    assert await caller.statuses(4, SLOT) == [200, 200, 200, 429]


async def test_a_fault_of_one_endpoint_leaves_the_other_alone(caller: Caller) -> None:
    caller.net.faults.set({"kind": "http", "status": 502, "body": "<html>bad gateway</html>", "endpoint": 1})
    assert await caller.statuses(1, SLOT, endpoint=0) == [200]
    bad = await caller.post(SLOT, endpoint=1)
    assert (bad.status_code, bad.text) == (502, "<html>bad gateway</html>")


async def test_a_fault_begins_and_ends_in_its_time(caller: Caller) -> None:
    caller.net.faults.set({"kind": "http", "after": 5, "lasts": 10})
    seen = []
    for _ in range(4):
        seen += await caller.statuses(1, SLOT)
        clock(caller.net).now += 5
    assert seen == [200, 503, 503, 200]
    assert caller.net.faults.describe()["faults"] == []
    (ended,) = caller.net.faults.describe()["ended"]
    assert (ended["kind"], ended["hits"]) == ("http", 2)


async def test_a_share_of_requests_is_the_same_share_each_time(caller: Caller) -> None:
    runs = []
    for _ in range(2):
        with caller.net.faults.during({"kind": "http", "share": 0.3, "seed": 5}):
            runs.append(await caller.statuses(40, SLOT))
    assert runs[0] == runs[1]
    assert 4 < runs[0].count(503) < 22


async def test_a_json_rpc_error_of_choice_is_answered_call_by_call(caller: Caller) -> None:
    caller.net.faults.set({"kind": "error", "code": -32005, "data": {"numSlotsBehind": 9}, "methods": ["getS*"]})
    response = await caller.post([SLOT, HEALTH])
    assert response.status_code == 200
    refused, fine = response.json()
    assert refused["error"] == {"code": -32005, "message": "Node is unhealthy", "data": {"numSlotsBehind": 9}}
    assert (refused["id"], fine["result"]) == (1, "ok")


@pytest.mark.parametrize(("at", "moves"), [("request", 2), ("answer", 0)])
async def test_a_delayed_request_is_looked_at_late_and_a_delayed_answer_is_old(
    still_localnet: Localnet, at: str, moves: int
) -> None:
    """It hangs until the fault is cleared: nothing here waits by the clock."""
    net = still_localnet
    delay = net.faults.set({"kind": "delay", "seconds": 1_000_000, "at": at})
    before = net.validator.slots.head.slot
    async with httpx.AsyncClient() as http, asyncio.TaskGroup() as group:
        waiting = group.create_task(http.post(net.rpc_url, json={**SLOT, "params": [PROCESSED]}))
        while not delay.hits:
            await asyncio.sleep(0.005)
        for _ in range(2):
            net.validator.begin_block()
        assert not waiting.done()
        net.faults.clear()
    assert waiting.result().json()["result"] == before + moves


async def test_the_last_delayed_request_waits_like_the_others(caller: Caller) -> None:
    caller.net.faults.set({"kind": "delay", "seconds": 7, "count": 2})
    start = clock(caller.net).now
    assert await caller.statuses(3, SLOT) == [200, 200, 200]
    assert clock(caller.net).now == start + 14


async def test_a_cut_after_the_answer_was_made_has_done_the_work(caller: Caller) -> None:
    transfers = caller.net.validator.transaction_count
    caller.net.faults.set({"kind": "cut", "at": "answer", "methods": ["requestAirdrop"], "count": 1})
    airdrop = {"jsonrpc": "2.0", "id": 1, "method": "requestAirdrop", "params": [caller.net.mint, 5]}
    with pytest.raises(httpx.RemoteProtocolError):
        await caller.post(airdrop)
    assert caller.net.validator.transaction_count == transfers + 1
    caller.net.faults.set({"kind": "cut", "methods": ["requestAirdrop"], "count": 1})
    with pytest.raises(httpx.HTTPError):
        await caller.post(airdrop)
    assert caller.net.validator.transaction_count == transfers + 1
    assert "result" in (await caller.post(airdrop)).json()


async def test_an_endpoint_that_is_down_answers_nothing_but_the_localnets_own_calls(caller: Caller) -> None:
    with caller.net.faults.during({"kind": "down", "endpoint": 0}):
        for body in (SLOT, [SLOT, HEALTH], "nonsense"):
            with pytest.raises(httpx.HTTPError):
                await caller.post(body)
        async with httpx.AsyncClient() as http:
            with pytest.raises(httpx.HTTPError):
                await http.get(f"{caller.net.rpc_url}/health")
        assert (await caller.post(SLOT, endpoint=1)).status_code == 200
        own = await caller.post({"jsonrpc": "2.0", "id": 1, "method": "localnet_faults", "params": ["list"]})
        assert own.json()["result"]["faults"][0]["kind"] == "down"
    assert (await caller.post(SLOT)).status_code == 200


@pytest.mark.parametrize("fault", [{"kind": "429"}, {"kind": "http"}, {"kind": "error"}, {"kind": "cut"}])
async def test_no_fault_touches_the_localnets_own_calls(caller: Caller, fault: dict[str, Any]) -> None:
    caller.net.faults.set(fault)

    def call(*params: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": 1, "method": "localnet_faults", "params": list(params)}

    assert (await caller.post(call("clear"))).json()["result"]["faults"] == []
    assert (await caller.post(SLOT)).status_code == 200
