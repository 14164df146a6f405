"""Blocks of the past."""

from __future__ import annotations

from dataclasses import replace

import httpx

from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions
from node.localnet.validator import History
from tests.localnet.rpc import CONFIRMED, PROCESSED, RpcClient, address, memo, signed, wallet, wire

V0 = {**CONFIRMED, "maxSupportedTransactionVersion": 0}


async def test_a_block_with_its_transactions(rpc: RpcClient) -> None:
    payer = wallet(rpc.net)
    rpc.net.advance()
    transaction = signed([memo("x", payer)], payer, await rpc.blockhash())
    signature = await rpc.send(transaction)
    slot = await rpc.call("getSlot", PROCESSED)
    assert (await rpc.fail("getBlock", slot, V0))["code"] == -32004, "not confirmed yet"
    rpc.net.advance(3)
    block = await rpc.call("getBlock", slot, V0)
    assert set(block) == {
        "blockHeight",
        "blockTime",
        "blockhash",
        "parentSlot",
        "previousBlockhash",
        "rewards",
        "transactions",
    }
    (entry,) = block["transactions"]
    assert entry["version"] == 0
    found = await rpc.call("getTransaction", signature, V0)
    assert (entry["transaction"], entry["meta"]) == (found["transaction"], found["meta"])
    parent = await rpc.call("getBlock", block["parentSlot"], {**V0, "transactionDetails": "none", "rewards": False})
    assert parent["blockhash"] == block["previousBlockhash"]
    assert parent["blockHeight"] == block["blockHeight"] - 1
    assert parent.keys().isdisjoint({"transactions", "signatures", "rewards"})
    names = await rpc.call("getBlock", slot, {**V0, "transactionDetails": "signatures"})
    assert names["signatures"] == [signature]
    accounts = await rpc.call("getBlock", slot, {**V0, "transactionDetails": "accounts"})
    keys = accounts["transactions"][0]["transaction"]["accountKeys"]
    assert keys[0] == {"pubkey": address(payer), "signer": True, "source": "transaction", "writable": True}
    binary = await rpc.call("getBlock", slot, {**V0, "encoding": "base64"})
    assert binary["transactions"][0]["transaction"] == [wire(transaction), "base64"]
    assert (await rpc.fail("getBlock", slot, CONFIRMED))["code"] == -32015
    assert (await rpc.fail("getBlock", slot, {**V0, **PROCESSED}))["code"] == -32602
    assert (await rpc.fail("getBlock", slot, {**V0, "transactionDetails": "all"}))["code"] == -32602


async def test_lists_of_blocks_leave_skipped_slots_out(rpc: RpcClient) -> None:
    rpc.net.advance(60)
    newest = await rpc.call("getSlot", CONFIRMED)
    slots = await rpc.call("getBlocks", 10, CONFIRMED)
    skipped = set(range(10, newest + 1)) - set(slots)
    assert skipped
    assert slots == sorted(slots)
    assert slots[-1] == newest
    for slot in skipped:
        assert (await rpc.fail("getBlock", slot, V0))["code"] == -32007
    assert await rpc.call("getBlocks", 10, 20, CONFIRMED) == [slot for slot in slots if slot <= 20]
    assert await rpc.call("getBlocks", 10, None, CONFIRMED) == slots
    assert await rpc.call("getBlocksWithLimit", 10, 5, CONFIRMED) == slots[:5]
    assert (await rpc.fail("getBlocks", 0, 1, PROCESSED))["code"] == -32602


async def test_what_was_forgotten_is_said_to_be_gone() -> None:
    options = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=0)
    async with (
        Localnet.start(replace(options, history=History(transactions=5, blocks=100))) as net,
        httpx.AsyncClient() as http,
    ):
        rpc = RpcClient(net, http)
        payer = wallet(net)
        first = await rpc.send(signed([memo("first", payer)], payer, await rpc.blockhash()))
        slot = await rpc.call("getSlot", PROCESSED)
        net.advance(3)
        for number in range(5):
            await rpc.send(signed([memo(str(number), payer)], payer, await rpc.blockhash()))
        net.advance(3)
        assert len(net.validator.ledger) == 5
        assert await rpc.call("getTransaction", first, V0) is None
        assert len(await rpc.call("getSignaturesForAddress", address(payer), CONFIRMED)) == 5
        assert (await rpc.fail("getBlock", slot, V0))["code"] == -32001
        bare = await rpc.call("getBlock", slot, {**V0, "transactionDetails": "none"})
        assert bare["blockTime"] == await rpc.call("getBlockTime", slot)
        net.advance(150)
        assert (await rpc.fail("getBlockTime", slot))["code"] == -32001
        assert await rpc.call("getFirstAvailableBlock") > slot
