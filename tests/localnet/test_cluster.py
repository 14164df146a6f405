"""The JSON-RPC envelope, and the methods about slots, epochs, blockhashes and fees."""

from __future__ import annotations

import httpx
import pytest
from solders.compute_budget import set_compute_unit_price
from solders.hash import Hash
from solders.pubkey import Pubkey

from node.localnet.server import is_loopback
from tests.localnet.rpc import CONFIRMED, PROCESSED, RpcClient, address, memo, signed, wallet

# What the official clients send, method by method (recorded from @nosana/kit and @nosana/sdk).
MINIMUM_SET = [
    "getHealth",
    "getVersion",
    "getGenesisHash",
    "getSlot",
    "getBlockHeight",
    "getBlockTime",
    "getEpochInfo",
    "getLatestBlockhash",
    "isBlockhashValid",
    "getBalance",
    "getAccountInfo",
    "getMultipleAccounts",
    "getProgramAccounts",
    "getTokenAccountsByOwner",
    "getTokenAccountBalance",
    "getMinimumBalanceForRentExemption",
    "getRecentPrioritizationFees",
    "getSignatureStatuses",
    "getTransaction",
    "simulateTransaction",
    "sendTransaction",
    "requestAirdrop",
]


@pytest.mark.parametrize("method", MINIMUM_SET)
async def test_every_method_that_clients_need_is_there(rpc: RpcClient, method: str) -> None:
    answer = await rpc.raw({"jsonrpc": "2.0", "id": "1", "method": method, "params": []})
    assert answer.get("error", {}).get("code") in (None, -32602)


async def test_ids_come_back_as_they_were(rpc: RpcClient) -> None:
    for identity in ("0", "d2c7b1e0-11aa-4ef0", 0, 17, None):
        answer = await rpc.raw({"jsonrpc": "2.0", "id": identity, "method": "getHealth"})
        assert answer == {"jsonrpc": "2.0", "result": "ok", "id": identity}


async def test_batches(rpc: RpcClient) -> None:
    answers = await rpc.raw(
        [
            {"jsonrpc": "2.0", "id": "a", "method": "getHealth"},
            {"jsonrpc": "2.0", "method": "getHealth"},
            {"jsonrpc": "2.0", "id": 2, "method": "nothing"},
            {"id": 3, "method": "getHealth"},
            {"id": 4},
        ]
    )
    assert [entry.get("id") for entry in answers] == ["a", 2, 3, 4]
    assert answers[1]["error"] == {"code": -32601, "message": "Method not found"}
    assert answers[2]["error"] == {"code": -32600, "message": "Unsupported JSON-RPC protocol version"}
    assert answers[3]["error"] == {"code": -32600, "message": "Invalid request"}
    broken = await rpc.raw([{"jsonrpc": "2.0", "id": "a", "method": "getHealth"}, 5])
    assert broken["error"]["code"] == -32700, "one member that is no call spoils the batch"


async def test_what_is_no_request(rpc: RpcClient) -> None:
    async with httpx.AsyncClient() as http:
        broken = (await http.post(rpc.net.rpc_url, content=b"{")).json()
        assert broken == {"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": None}
        deep = (await http.post(rpc.net.rpc_url, content=b"[" * 10_000)).json()
        assert deep["error"]["code"] == -32700
        assert (await http.post(rpc.net.rpc_url, content=b" " * 60_000)).status_code == 413
        assert (await http.get(rpc.net.rpc_url + "/health")).text == "ok"
        assert (await http.get(rpc.net.rpc_url)).status_code == 405
        assert (await http.request("OPTIONS", rpc.net.rpc_url)).headers["access-control-allow-origin"] == "*"
    named = await rpc.raw({"jsonrpc": "2.0", "id": 1, "method": "getSlot", "params": {"commitment": "processed"}})
    assert named["error"]["code"] == -32602


async def test_epoch_slot_and_height(rpc: RpcClient) -> None:
    rpc.net.advance(60)
    info = await rpc.call("getEpochInfo", CONFIRMED)
    assert set(info) == {"absoluteSlot", "blockHeight", "epoch", "slotIndex", "slotsInEpoch", "transactionCount"}
    assert info["absoluteSlot"] == await rpc.call("getSlot", CONFIRMED)
    assert info["blockHeight"] == await rpc.call("getBlockHeight", CONFIRMED)
    assert info["blockHeight"] < info["absoluteSlot"], "some slots were skipped"
    found = await rpc.call("getLatestBlockhash", CONFIRMED)
    assert found["context"]["slot"] == info["absoluteSlot"]
    assert found["value"]["lastValidBlockHeight"] == info["blockHeight"] + 150
    assert (await rpc.call("isBlockhashValid", str(Hash.new_unique()), CONFIRMED))["value"] is False


async def test_block_times_and_skipped_slots(rpc: RpcClient) -> None:
    rpc.net.advance(60)
    head = await rpc.call("getSlot", PROCESSED)
    assert abs(await rpc.call("getBlockTime", head) - rpc.net.options.clock.time()) <= 2
    skipped = next(slot for slot in range(head) if rpc.net.validator.slots.find(slot) is None)
    assert (await rpc.fail("getBlockTime", skipped))["code"] == -32007
    assert (await rpc.fail("getBlockTime", head + 1_000))["code"] == -32004


async def test_every_chain_has_a_genesis_hash_of_its_own(rpc: RpcClient) -> None:
    text = await rpc.call("getGenesisHash")
    assert text == rpc.net.describe()["genesis_hash"]
    assert str(Hash.from_string(text)) == text


async def test_fees_and_rent(rpc: RpcClient) -> None:
    assert await rpc.call("getRecentPrioritizationFees") == [], "no block with transactions yet"
    payer, other = wallet(rpc.net), Pubkey.new_unique()
    gift = rpc.net.validator.slots.head.slot
    rpc.net.advance()
    instructions = [set_compute_unit_price(777), memo("priced", payer)]
    await rpc.send(signed(instructions, payer, await rpc.blockhash()))
    priced = rpc.net.validator.slots.head.slot
    rpc.net.advance(40)
    assert await rpc.call("getRecentPrioritizationFees", [str(other)]) == [
        {"slot": gift, "prioritizationFee": 0},
        {"slot": priced, "prioritizationFee": 777},
    ]
    assert await rpc.call("getMinimumBalanceForRentExemption", 165) == 2_039_280
    assert await rpc.call("getMinimumBalanceForRentExemption", 0) == 890_880


async def test_airdrops_of_the_same_size_are_two_gifts(rpc: RpcClient) -> None:
    key = address(rpc.net.keys["market"])
    before = (await rpc.call("getBalance", key, PROCESSED))["value"]
    first = await rpc.call("requestAirdrop", key, 10**9)
    second = await rpc.call("requestAirdrop", key, 10**9)
    assert first != second
    assert (await rpc.call("getBalance", key, PROCESSED))["value"] == before + 2 * 10**9
    error = await rpc.fail("requestAirdrop", key, 10**18)
    assert error["code"] == -32603
    assert "at most" in error["message"]


def test_admin_calls_are_for_this_machine_only() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.7")
    assert not is_loopback(None)
    assert not is_loopback("nonsense")


async def test_admin_calls(rpc: RpcClient) -> None:
    assert await rpc.call("localnet_info") == rpc.net.describe()
    owner = address(rpc.net.keys["faucet"])
    gift = await rpc.call("localnet_faucet", owner, {"nos": 7})
    balance = await rpc.call("getTokenAccountBalance", gift["tokenAccount"], PROCESSED)
    assert balance["value"]["amount"] == "7"
    assert (await rpc.fail("localnet_faucet", owner, {}))["code"] == -32603
