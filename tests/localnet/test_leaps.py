"""Time that passes at once: the clock, slots, blocks, blockhashes and subscriptions stay true to each other."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from node.errors import LocalnetError
from node.localnet.app import Localnet
from node.localnet.chain_time import MOST_SLOTS
from node.localnet.options import LocalnetOptions
from node.localnet.slots import Commitment, SkipRule
from tests.localnet.commands import chain, done, refused
from tests.localnet.rpc import CONFIRMED, FINALIZED, PROCESSED, RpcClient, memo, signed, wallet, wire

CLOCK = "SysvarC1ock11111111111111111111111111111111"
QUIET = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=0)
DAY = 86_400


async def clock(rpc: RpcClient) -> tuple[int, int]:
    """Slot and Unix seconds as programs see them in the newest block."""
    found = await rpc.call("getAccountInfo", CLOCK, {"encoding": "base64", **PROCESSED})
    slot, _, _, _, seconds = struct.unpack("<QqQQq", base64.b64decode(found["value"]["data"][0]))
    return slot, seconds


async def test_seconds_move_clock_and_slots_alike(rpc: RpcClient) -> None:
    (slot, before) = await clock(rpc)
    head = await rpc.call("localnet_advance", {"seconds": 10})
    after = await clock(rpc)
    assert after[0] == head["slot"]
    assert 25 <= after[0] - slot <= 26, "slots of 0.4 s; one more where the last has no block"
    assert 10 <= after[1] - before <= 11
    assert head["time"] == after[1]
    assert await rpc.call("getBlockTime", head["slot"]) == head["time"]


async def test_every_block_of_a_short_leap_has_its_time(rpc: RpcClient) -> None:
    first = rpc.net.validator.slots.head
    rpc.net.leaps.slots(100)
    blocks = rpc.net.validator.slots.between(first.slot, rpc.net.validator.slots.tip)
    assert len(blocks) > 90
    for earlier, later in zip([first, *blocks], blocks, strict=False):
        assert later.height == earlier.height + 1
        assert later.parent == earlier.slot
        assert abs(later.time - first.time - (later.slot - first.slot) * 0.4) < 2


async def test_a_long_leap_ages_blockhashes_and_finalizes_everything(rpc: RpcClient) -> None:
    payer = wallet(rpc.net)
    old = await rpc.blockhash()
    before = rpc.net.validator.slots.head
    head = await rpc.call("localnet_advance", {"seconds": 14 * DAY})
    assert head["time"] - before.time in (14 * DAY, 14 * DAY + 1)
    assert head["slot"] - before.slot in (3_024_000, 3_024_001)
    assert head["blockHeight"] - before.height < 514
    assert (await rpc.call("getBalance", str(payer.pubkey()), FINALIZED))["value"] == 10**9
    assert not (await rpc.call("isBlockhashValid", str(old), PROCESSED))["value"]
    error = await rpc.fail("sendTransaction", wire(signed([memo("late", payer)], payer, old)), {"encoding": "base64"})
    assert error["data"]["err"] == "BlockhashNotFound"
    await rpc.send(signed([memo("now", payer)], payer, await rpc.blockhash()))
    info = await rpc.call("getEpochInfo", PROCESSED)
    assert info["epoch"] == head["slot"] // 432_000


async def test_time_goes_on_from_where_it_leapt_to(rpc: RpcClient) -> None:
    rpc.net.leaps.seconds(DAY)
    there = rpc.net.validator.slots.head.time
    rpc.net.advance(3)
    assert rpc.net.validator.slots.head.time - there in (0, 1)


async def test_subscribers_hear_of_every_block(still_localnet: Localnet) -> None:
    net = still_localnet
    async with connect(net.ws_url) as socket:
        for kind in ("slot", "root"):
            await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": f"{kind}Subscribe", "params": []}))
            await socket.recv()
        before = net.validator.slots.head.slot
        net.leaps.slots(1_000)
        blocks = net.validator.slots.between(before, net.validator.slots.tip)
        seen: list[int] = []
        roots: list[int] = []
        async with asyncio.timeout(5):
            while len(seen) < len(blocks) or roots[-1] != net.validator.slots.at(Commitment.FINALIZED).slot:
                told = json.loads(await socket.recv())
                if told["method"] == "slotNotification":
                    seen.append(told["params"]["result"]["slot"])
                else:
                    roots.append(told["params"]["result"])
        assert seen == [block.slot for block in blocks]
        assert roots == sorted(set(roots))


@pytest.mark.parametrize(
    "wanted", [{"seconds": 0}, {"seconds": -1}, {"seconds": 1e12}, {"slots": 0}, {"slots": 10**11}]
)
async def test_what_is_no_leap(rpc: RpcClient, wanted: dict[str, float]) -> None:
    before = rpc.net.validator.slots.tip
    error = await rpc.fail("localnet_advance", wanted)
    assert "cannot move on" in error["message"]
    assert error["data"]["hint"]
    assert rpc.net.validator.slots.tip == before


@pytest.mark.parametrize("wanted", [{}, {"seconds": 1, "slots": 1}, {"seconds": "1"}, {"seconds": True}, {"slots": -1}])
async def test_parameters_that_are_refused(rpc: RpcClient, wanted: dict[str, object]) -> None:
    assert (await rpc.fail("localnet_advance", wanted))["code"] == -32602


async def test_a_leap_ends_with_a_block_even_where_slots_are_skipped() -> None:
    async with Localnet.start(replace(QUIET, skip=SkipRule(2))) as net:
        for _ in range(20):
            net.leaps.slots(1)
            assert net.validator.slots.head.slot == net.validator.slots.tip
        with pytest.raises(LocalnetError):
            net.leaps.slots(MOST_SLOTS + 1)


async def test_a_saved_chain_stays_ahead(tmp_path: Path) -> None:
    options = replace(QUIET, state=tmp_path / "chain.zip")
    async with Localnet.start(options) as net:
        net.leaps.seconds(30 * DAY)
        time = net.validator.slots.head.time
    async with Localnet.start(options) as net, httpx.AsyncClient() as http:
        rpc = RpcClient(net, http)
        assert await clock(rpc) == (net.validator.slots.head.slot, time), "the Clock is that of the last block"
        net.advance()
        assert 0 <= net.validator.slots.head.time - time < 60


@pytest.mark.long
async def test_the_command() -> None:
    async with chain("--slot-ms", 50) as net:
        rpc = net["rpc_url"]
        first = await done("advance", "--slots", 1, "--rpc", rpc)
        second = await done("advance", "--seconds", DAY, "--rpc", rpc)
        assert DAY <= second["time"] - first["time"] < DAY + 30
        assert second["slot"] - first["slot"] >= DAY * 20, "slots of 50 ms"
        assert (await refused("advance", "--rpc", rpc))["status"] == 2
        assert (await refused("advance", "--slots", 1, "--seconds", 1, "--rpc", rpc))["status"] == 2
        none = await refused("advance", "--seconds", 0, "--rpc", rpc)
        assert (none["status"], none["message"]) == (1, "the clock cannot move on by 0 seconds")
        assert none["hint"]
        async with httpx.AsyncClient() as http:
            body = {"jsonrpc": "2.0", "id": 1, "method": "getSlot", "params": [CONFIRMED]}
            assert (await http.post(rpc, json=body)).json()["result"] >= second["slot"] - 1
    assert "no localnet answers" in (await refused("advance", "--slots", 1, "--rpc", rpc))["message"]
