"""Several endpoints as one: who is asked, who is not, and what is believed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain import horizon
from node.chain.bucket import Bucket, Rate
from node.chain.pool import PROBE_EVERY
from node.chain.rpc import Rpc
from node.chain.standing import LAG_LIMIT, LONGEST_COOL_DOWN, Limits, Standing, lags
from node.errors import RpcBehind, RpcBusy, RpcRejected, RpcUnavailable, TransactionFailed
from node.records import Address
from tests.chain.fakes import FakeClock

HERE = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")
ONE, TWO, THREE = "http://one.test", "http://two.test", "http://three.test"


class Cluster:
    """Endpoints by host, each with a slot and a mood."""

    def __init__(self) -> None:
        self.slots = {"one.test": 100, "two.test": 100, "three.test": 100}
        self.genesis = dict.fromkeys(self.slots, "ours")
        self.moods: dict[str, Callable[[Any], httpx.Response]] = {}
        self.asked: list[tuple[str, str]] = []
        self.demanded: list[int | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        host, call = request.url.host, json.loads(request.content)
        self.asked.append((host, call["method"]))
        mood = self.moods.get(host)
        if mood is not None:
            return mood(call)
        config = call["params"][-1] if call["params"] and isinstance(call["params"][-1], dict) else {}
        self.demanded.append(config.get("minContextSlot"))
        slot = self.slots[host]
        if config.get("minContextSlot", 0) > slot:
            return answer(error={"code": -32016, "message": "Minimum context slot has not been reached"})
        match call["method"]:
            case "getGenesisHash":
                return answer(self.genesis[host])
            case "getSlot":
                return answer(slot)
            case "sendTransaction":
                return answer("signature")
            case _:
                return answer({"context": {"slot": slot}, "value": 5})

    def hosts(self, method: str) -> list[str]:
        """Who was asked a method, in order."""
        return [host for host, name in self.asked if name == method]

    def rpc(self, *urls: str, clock: FakeClock | None = None, limits: Limits | None = None) -> Rpc:
        over = httpx.AsyncClient(transport=httpx.MockTransport(self))
        return Rpc(urls or (ONE, TWO), client=over, clock=clock or FakeClock(), limits=limits)


def answer(result: Any = None, error: Any = None) -> httpx.Response:
    body = {"jsonrpc": "2.0", "id": 1}
    return httpx.Response(200, json=body | ({"error": error} if error else {"result": result}))


def busy(seconds: str) -> Callable[[Any], httpx.Response]:
    return lambda _call: httpx.Response(429, headers={"retry-after": seconds})


def down(_call: Any) -> httpx.Response:
    return httpx.Response(503)


# --- buckets and standings -----------------------------------------------------------------------------------


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=200), st.floats(0.5, 20.0), st.integers(1, 30))
def test_a_bucket_never_gives_more_than_its_rate(pauses: list[float], per_second: float, burst: int) -> None:
    bucket, now, taken = Bucket(Rate(per_second, burst)), 50.0, 0
    for pause in pauses:
        now += pause
        if bucket.wait(now) == 0:
            bucket.take(now)
            taken += 1
    assert taken <= burst + (now - 50.0) * per_second + 1e-6


def test_a_bucket_says_when_the_next_one_may_go() -> None:
    bucket = Bucket(Rate(2.0, 1))
    bucket.take(0.0)
    assert bucket.wait(0.0) == pytest.approx(0.5)
    assert bucket.wait(0.6) == 0
    # What must out is owed.
    bucket.take(0.6)
    bucket.take(0.6)
    assert bucket.wait(0.6) == pytest.approx(1.0)


def test_failures_in_a_row_cool_for_longer_and_one_answer_ends_it() -> None:
    standing, now, pauses = Standing(None), 0.0, []
    for _ in range(10):
        standing.failed(RpcUnavailable("away"), now)
        start = now
        while standing.cooling(now):
            now += 0.5
        pauses.append(now - start)
    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert max(pauses) == LONGEST_COOL_DOWN
    standing.answered(now)
    standing.failed(RpcUnavailable("away"), now)
    assert not standing.cooling(now + 1.0)
    standing.failed(RpcBehind("late"), now + 1.0)
    assert not standing.cooling(now + 1.0)
    standing.failed(RpcBusy("slow down", seconds=30.0), now + 1.0)
    assert standing.cooling(now + 30.0)
    assert not standing.cooling(now + 31.0)


def test_lag_is_measured_against_the_view_ahead_and_a_single_wild_slot_makes_nobody_late() -> None:
    standings = [Standing(None), Standing(None), Standing(None)]
    for standing, slot in zip(standings, (100, 160, 158), strict=True):
        standing.saw("confirmed", slot, 0.0)
    assert lags(standings, 0.0) == [58, 0, 0]
    standings[1].saw("confirmed", 10**9, 0.0)
    assert lags(standings, 0.0)[2] <= 0
    assert lags(standings, 0.0)[0] == 58
    # Seen longer ago, it has moved on as slots do.
    standings[0].saw("confirmed", 200, 4.0)
    assert lags(standings[::2], 4.0) == [0, 32]
    assert lags([Standing(None)], 0.0) == [0]


# --- reads ---------------------------------------------------------------------------------------------------


async def test_the_endpoint_that_lags_is_asked_after_the_others() -> None:
    cluster, clock = Cluster(), FakeClock()
    cluster.slots |= {"one.test": 100, "two.test": 100 + LAG_LIMIT + 5}
    rpc = cluster.rpc(clock=clock)
    looking = asyncio.ensure_future(rpc.run())
    while len(cluster.asked) < 2:
        await asyncio.sleep(0)
    looking.cancel()
    cluster.asked.clear()
    await rpc.get_balance(HERE)
    assert cluster.hosts("getBalance") == ["two.test"]
    one, two = rpc.endpoints
    assert (one.ok, two.ok) == (False, True)
    assert "slots behind" in one.note


async def test_endpoints_are_looked_at_only_where_there_are_several() -> None:
    for urls, looks in (((ONE,), 0), ((ONE, TWO), 2)):
        cluster, clock = Cluster(), FakeClock()
        rpc = cluster.rpc(*urls, clock=clock)
        start = clock.now
        looking = asyncio.ensure_future(rpc.run())
        while clock.now < start + PROBE_EVERY:
            await asyncio.sleep(0)
        looking.cancel()
        assert Counter(cluster.hosts("getSlot")).total() >= looks
        assert bool(cluster.asked) == bool(looks)


async def test_reads_never_go_back_whoever_answers() -> None:
    cluster, clock = Cluster(), FakeClock()
    cluster.slots |= {"one.test": 100, "two.test": 90}
    rpc = cluster.rpc(clock=clock)
    assert await rpc.get_slot() == 100
    cluster.moods["one.test"] = down
    with pytest.raises(RpcUnavailable):
        await rpc.get_balance(HERE)
    cluster.slots["two.test"] = 101
    assert await rpc.get_balance(HERE) == 5
    assert cluster.demanded[-1] == 100
    # Each commitment has a floor of its own.
    cluster.slots["two.test"] = 50
    assert await rpc.get_slot(commitment="finalized") == 50


async def test_a_slot_out_of_nowhere_does_not_silence_the_others_for_good() -> None:
    cluster, clock = Cluster(), FakeClock()
    cluster.slots |= {"one.test": 10**9, "two.test": 90}
    rpc = cluster.rpc(clock=clock)
    assert await rpc.get_slot() == 10**9
    cluster.moods["one.test"] = down
    start = clock.now
    with pytest.raises(RpcUnavailable):
        await rpc.get_slot()
    while True:
        try:
            assert await rpc.get_slot() == 90
            break
        except RpcUnavailable:
            clock.now += 1.0
    assert horizon.PATIENCE <= clock.now - start < horizon.PATIENCE + 30


async def test_an_explicit_floor_holds_however_long_it_takes() -> None:
    cluster, clock = Cluster(), FakeClock()
    rpc = cluster.rpc(ONE, clock=clock)
    for _ in range(10):
        with pytest.raises(RpcUnavailable):
            await rpc.get_balance(HERE, min_context_slot=101)
        clock.now += 10
    cluster.slots["one.test"] = 101
    assert await rpc.get_balance(HERE, min_context_slot=101) == 5


async def test_a_limit_is_obeyed_for_as_long_as_it_says() -> None:
    cluster, clock = Cluster(), FakeClock()
    cluster.moods["one.test"] = busy("30")
    rpc = cluster.rpc(clock=clock)
    for _ in range(5):
        await rpc.get_balance(HERE)
        clock.now += 5
    assert cluster.hosts("getBalance").count("one.test") == 1
    clock.now += 10
    cluster.moods.clear()
    await rpc.get_balance(HERE)
    assert cluster.hosts("getBalance")[-1] == "one.test"


@pytest.mark.parametrize("header", ["", "soon", "-5", "Wed, 21 Oct 2015 07:28:00 GMT", "1e999", "nan"])
async def test_any_retry_header_is_survived(header: str) -> None:
    cluster = Cluster()
    cluster.moods["one.test"] = busy(header)
    assert await cluster.rpc().get_balance(HERE) == 5


async def test_requests_stay_below_the_rate_of_each_endpoint_and_method() -> None:
    cluster, clock = Cluster(), FakeClock()
    rpc = cluster.rpc(clock=clock, limits=Limits(total=Rate(4.0, 8), method=Rate(2.0, 4)))
    start = clock.now
    for _ in range(40):
        await rpc.get_balance(HERE)
    taken = clock.now - start
    counts = Counter(cluster.hosts("getBalance"))
    for host in ("one.test", "two.test"):
        assert counts[host] <= 4 + taken * 2.0 + 1
    assert taken >= (40 - 8) / 4.0 - 1
    # Another method has tokens of its own.
    before = clock.now
    await rpc.get_genesis_hash()
    assert clock.now == before


async def test_this_machine_is_asked_without_limit() -> None:
    cluster, clock = Cluster(), FakeClock()
    cluster.slots["127.0.0.1"] = 100
    rpc = cluster.rpc("http://127.0.0.1:1", clock=clock, limits=Limits(total=Rate(1.0, 1), method=Rate(1.0, 1)))
    start = clock.now
    for _ in range(50):
        await rpc.get_balance(HERE)
    assert clock.now == start


# --- sending -------------------------------------------------------------------------------------------------


async def test_a_transaction_goes_to_all_and_one_that_takes_it_is_enough() -> None:
    cluster = Cluster()
    cluster.moods["one.test"] = down
    assert await cluster.rpc(ONE, TWO, THREE).send_raw(b"x") == "signature"
    assert sorted(cluster.hosts("sendTransaction")) == ["one.test", "three.test", "two.test"]


async def test_a_hanging_endpoint_does_not_hold_a_transaction_up() -> None:
    cluster = Cluster()

    async def handle(request: httpx.Request) -> httpx.Response:
        if request.url.host == "one.test":
            await asyncio.sleep(3600)
        return cluster(request)

    over = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    rpc = Rpc([ONE, TWO], client=over)
    async with asyncio.timeout(5):
        assert await rpc.send_raw(b"x") == "signature"


async def test_what_says_most_is_raised_when_nobody_takes_a_transaction() -> None:
    cluster = Cluster()
    refused = {"code": -32002, "message": "failed", "data": {"err": "BlockhashNotFound", "logs": []}}
    cluster.moods |= {"one.test": down, "two.test": lambda _call: answer(error=refused)}
    with pytest.raises(TransactionFailed):
        await cluster.rpc().send_raw(b"x")
    cluster.moods["two.test"] = lambda _call: answer(error={"code": -32602, "message": "no"})
    with pytest.raises(RpcRejected):
        await cluster.rpc().send_raw(b"x")
    cluster.moods["two.test"] = down
    with pytest.raises(RpcUnavailable):
        await cluster.rpc().send_raw(b"x")


# --- which chain ---------------------------------------------------------------------------------------------


async def test_an_endpoint_of_another_chain_is_not_believed() -> None:
    cluster = Cluster()
    cluster.genesis["one.test"] = "another"
    rpc = cluster.rpc()
    rpc.trust_only("ours")
    for _ in range(3):
        await rpc.get_balance(HERE)
        await rpc.send_raw(b"x")
    assert set(cluster.hosts("getBalance")) == {"two.test"}
    assert set(cluster.hosts("sendTransaction")) == {"two.test"}
    assert cluster.hosts("getGenesisHash") == ["one.test", "two.test"]
    assert rpc.endpoints[0].note == "serves another chain"


async def test_where_all_serve_another_chain_the_error_says_so() -> None:
    cluster = Cluster()
    cluster.genesis |= {"one.test": "a", "two.test": "b"}
    rpc = cluster.rpc()
    rpc.trust_only("ours")
    with pytest.raises(RpcUnavailable, match="another chain"):
        await rpc.get_balance(HERE)
