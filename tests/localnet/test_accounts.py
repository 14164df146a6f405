"""Reading accounts: encodings, slices, filters, token accounts, and what is refused."""

from __future__ import annotations

import base64
import shutil
import subprocess

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from node.base58 import b58decode, b58encode
from node.chain.accounts import MARKET_DISCRIMINATOR, RawAccount, decode_market
from node.localnet.rpc.accounts_json import zstd_frame
from node.localnet.spl import amount_json
from node.records import QueueType
from tests.localnet.rpc import CONFIRMED, PROCESSED, RpcClient, address, wallet

TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"


async def test_the_market_of_genesis_was_opened_by_the_program(rpc: RpcClient) -> None:
    net = rpc.net
    assert net.market is not None
    found = (await rpc.call("getAccountInfo", net.market, {"encoding": "base64"}))["value"]
    assert set(found) == {"data", "executable", "lamports", "owner", "rentEpoch", "space"}
    assert (found["owner"], found["space"], found["lamports"]) == (net.cluster.jobs, 10_224, 72_049_920)
    raw = RawAccount(net.market, net.cluster.jobs, found["lamports"], base64.b64decode(found["data"][0]))
    market = decode_market(raw, net.cluster)
    assert market.authority == address(net.keys["market-authority"])
    assert market.job_price == net.options.market_price > 0
    assert market.queue_type is QueueType.EMPTY
    vault = (await rpc.call("getAccountInfo", market.vault, {"encoding": "jsonParsed"}))["value"]
    assert vault["data"]["parsed"]["info"]["owner"] == market.vault


async def test_encodings_and_slices(rpc: RpcClient) -> None:
    key, view = rpc.net.mint, PROCESSED
    whole = base64.b64decode(
        (await rpc.call("getAccountInfo", key, {"encoding": "base64", **view}))["value"]["data"][0]
    )
    assert len(whole) == 82
    text, name = (await rpc.call("getAccountInfo", key, {"encoding": "base58", **view}))["value"]["data"]
    assert (b58decode(text), name) == (whole, "base58")
    assert (await rpc.call("getAccountInfo", key, view))["value"]["data"] == b58encode(whole)
    part = {"offset": 4, "length": 32}
    sliced = await rpc.call("getAccountInfo", key, {"encoding": "base64", "dataSlice": part, **view})
    assert base64.b64decode(sliced["value"]["data"][0]) == whole[4:36]
    assert sliced["value"]["space"] == 82
    beyond = {"encoding": "base64", "dataSlice": {"offset": 100, "length": 8}, **view}
    assert (await rpc.call("getAccountInfo", key, beyond))["value"]["data"] == ["", "base64"]
    error = await rpc.fail("getAccountInfo", rpc.net.market, {"encoding": "base58"})
    assert error["code"] == -32600
    parsed = await rpc.call("getAccountInfo", key, {"encoding": "jsonParsed", **view})
    info = parsed["value"]["data"]["parsed"]
    assert (info["type"], info["info"]["decimals"]) == ("mint", 6)
    plain = await rpc.call("getAccountInfo", address(rpc.net.keys["poster"]), {"encoding": "jsonParsed", **view})
    assert plain["value"]["data"] == ["", "base64"], "what cannot be parsed comes as base64"


@pytest.mark.skipif(shutil.which("zstd") is None, reason="the zstd command is not here to read the frames with")
@pytest.mark.parametrize("size", [0, 1, 300, 128 * 1024, 128 * 1024 + 1, 300_000])
def test_zstandard_frames_are_read_by_its_own_tool(size: int) -> None:
    data = bytes(index * 7 % 251 for index in range(size))
    done = subprocess.run(["zstd", "-d", "-c"], input=zstd_frame(data), capture_output=True, check=True)
    assert done.stdout == data


async def test_accounts_in_zstandard(rpc: RpcClient) -> None:
    found = await rpc.call("getAccountInfo", rpc.net.mint, {"encoding": "base64+zstd", **PROCESSED})
    text, name = found["value"]["data"]
    plain = await rpc.call("getAccountInfo", rpc.net.mint, {"encoding": "base64", **PROCESSED})
    assert name == "base64+zstd"
    assert base64.b64decode(text) == zstd_frame(base64.b64decode(plain["value"]["data"][0]))


INTERFACE = "Hzm1HYHMYB5G1rcH8xeWon7PAHFYRQMPcBKHDPpBUHhv"
"""The jobs program's own description, which clients read."""


async def test_program_accounts_with_every_filter(rpc: RpcClient) -> None:
    jobs, disc = rpc.net.cluster.jobs, MARKET_DISCRIMINATOR

    async def found(*filters: object) -> list[str]:
        rows = await rpc.call("getProgramAccounts", jobs, {"encoding": "base64", "filters": list(filters)})
        return [row["pubkey"] for row in rows]

    market = [rpc.net.market]
    assert sorted(await found()) == sorted([rpc.net.market, INTERFACE])
    assert await found({"dataSize": 10_224}) == market
    assert await found({"dataSize": 240}) == []
    assert await found({"memcmp": {"offset": 0, "bytes": b58encode(disc), "encoding": "base58"}}) == market
    assert await found({"memcmp": {"offset": 0, "bytes": b58encode(disc)}}) == market
    assert (
        await found({"memcmp": {"offset": 0, "bytes": base64.b64encode(disc).decode(), "encoding": "base64"}}) == market
    )
    owner = address(rpc.net.keys["market-authority"])
    assert await found({"memcmp": {"offset": 8, "bytes": owner}}, {"dataSize": 10_224}) == market
    assert await found({"memcmp": {"offset": 9, "bytes": owner}}) == []
    assert await found({"memcmp": {"offset": 20_000, "bytes": "2"}}) == []
    framed = await rpc.call("getProgramAccounts", jobs, {"encoding": "base64", "withContext": True})
    assert sorted(row["pubkey"] for row in framed["value"]) == sorted([rpc.net.market, INTERFACE])
    assert framed["context"]["slot"] == await rpc.call("getSlot")


async def test_tokens_of_an_owner(rpc: RpcClient) -> None:
    owner = Keypair()
    gift = rpc.net.fund(address(owner), nos=2.5)
    by_mint = await rpc.call(
        "getTokenAccountsByOwner", address(owner), {"mint": rpc.net.mint}, {"encoding": "jsonParsed", **PROCESSED}
    )
    (row,) = by_mint["value"]
    assert row["pubkey"] == gift.token_account
    data = row["account"]["data"]
    assert (data["program"], data["space"], data["parsed"]["type"]) == ("spl-token", 165, "account")
    info = data["parsed"]["info"]
    assert (info["mint"], info["owner"], info["state"], info["isNative"]) == (
        rpc.net.mint,
        address(owner),
        "initialized",
        False,
    )
    assert info["tokenAmount"] == amount_json(2_500_000, 6)
    by_program = await rpc.call(
        "getTokenAccountsByOwner", address(owner), {"programId": TOKEN}, {"encoding": "base64", **PROCESSED}
    )
    assert base64.b64decode(by_program["value"][0]["account"]["data"][0])[32:64] == bytes(owner.pubkey())
    holders = await rpc.call(
        "getProgramAccounts",
        TOKEN,
        {
            "encoding": "jsonParsed",
            "filters": [{"dataSize": 165}, {"memcmp": {"offset": 0, "bytes": rpc.net.mint, "encoding": "base58"}}],
            **PROCESSED,
        },
    )
    assert gift.token_account in [holder["pubkey"] for holder in holders]
    supply = (await rpc.call("getTokenSupply", rpc.net.mint, PROCESSED))["value"]
    total = sum(int(holder["account"]["data"]["parsed"]["info"]["tokenAmount"]["amount"]) for holder in holders)
    assert int(supply["amount"]) == total
    largest = (await rpc.call("getTokenLargestAccounts", rpc.net.mint, PROCESSED))["value"]
    assert largest[0]["amount"] == "1000000000000"
    nobody = await rpc.call("getTokenAccountsByOwner", str(Pubkey.new_unique()), {"mint": rpc.net.mint}, CONFIRMED)
    assert nobody["value"] == []


async def test_several_accounts_at_once(rpc: RpcClient) -> None:
    key = wallet(rpc.net, sol=3)
    asked = [address(key), str(Pubkey.new_unique()), rpc.net.mint]
    found = (await rpc.call("getMultipleAccounts", asked, PROCESSED))["value"]
    assert [entry and entry["lamports"] for entry in found] == [3 * 10**9, None, 1_461_600]
    assert found[2]["data"][1] == "base64"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("getAccountInfo", []),
        ("getAccountInfo", ["not an address"]),
        ("getAccountInfo", [5]),
        ("getAccountInfo", ["1" * 32, {"encoding": "hex"}]),
        ("getTokenSupply", ["1" * 32, {"commitment": "sure"}]),
        ("getAccountInfo", ["1" * 32, {"dataSlice": {"offset": 1}}]),
        ("getAccountInfo", ["1" * 32, {"minContextSlot": -1}]),
        ("getAccountInfo", ["1" * 32, 7]),
        ("getBalance", [None]),
        ("getMultipleAccounts", [["1" * 32] * 101]),
        ("getMultipleAccounts", ["1" * 32]),
        ("getProgramAccounts", ["1" * 32, {"filters": [{"dataSize": -1}]}]),
        ("getProgramAccounts", ["1" * 32, {"filters": [{"memcmp": {"offset": 0}}]}]),
        ("getProgramAccounts", ["1" * 32, {"filters": [{"memcmp": {"bytes": "1"}}]}]),
        ("getProgramAccounts", ["1" * 32, {"filters": [{"memcmp": {"offset": 0, "bytes": "0"}}]}]),
        ("getProgramAccounts", ["1" * 32, {"filters": [{"dataSize": 1}] * 5}]),
        ("getProgramAccounts", ["1" * 32, {"filters": [{"size": 1}]}]),
        ("getTokenAccountBalance", ["1" * 32]),
        ("getTokenAccountsByOwner", ["1" * 32]),
        ("getTokenAccountsByOwner", ["1" * 32, {"mint": "1" * 31 + "2"}]),
        ("getTokenAccountsByOwner", ["1" * 32, {"programId": "1" * 32}]),
        ("getMinimumBalanceForRentExemption", ["1"]),
        ("getBlockTime", [1.5]),
        ("requestAirdrop", ["1" * 32]),
        ("getInflationGovernor", [{"commitment": 3}]),
        ("getSlot", [{"minContextSlot": "3"}]),
    ],
)
async def test_parameters_that_are_refused(rpc: RpcClient, method: str, params: list[object]) -> None:
    error = await rpc.fail(method, *params)
    assert error["code"] == -32602
    assert error["message"]
