"""Tokens out of nothing, and accounts put in place past all rules."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from websockets.asyncio.client import connect

from node.errors import LocalnetError
from node.localnet import spl
from node.localnet.account_files import account_json
from node.localnet.app import Localnet
from tests.localnet.commands import chain, done, refused
from tests.localnet.rpc import CONFIRMED, FINALIZED, PROCESSED, RpcClient, address

U64 = 2**64 - 1


def put_mint(net: Localnet, authority: Pubkey | None, program: Pubkey = spl.TOKEN_PROGRAM, supply: int = 0) -> str:
    """A mint with two decimals."""
    key = Pubkey.new_unique()
    data = spl.mint_bytes(authority, decimals=2, supply=supply)
    net.validator.place(key, Account(net.validator.bank.minimum_rent(len(data)), data, program, False))
    return str(key)


async def holding(rpc: RpcClient, account: str) -> int:
    return int((await rpc.call("getTokenAccountBalance", account, PROCESSED))["value"]["amount"])


async def supply(rpc: RpcClient, mint: str) -> int:
    return int((await rpc.call("getTokenSupply", mint, PROCESSED))["value"]["amount"])


@pytest.mark.parametrize("program", [spl.TOKEN_PROGRAM, spl.TOKEN_2022_PROGRAM])
@pytest.mark.parametrize("ours", [True, False])
async def test_any_mint(rpc: RpcClient, program: Pubkey, ours: bool) -> None:
    authority = rpc.net.keys["mint-authority"].pubkey() if ours else Pubkey.new_unique()
    mint, owner = put_mint(rpc.net, authority, program, supply=5), address(Keypair())
    first = await rpc.call("localnet_mint", mint, owner, 150)
    assert (await holding(rpc, first["tokenAccount"]), await supply(rpc, mint)) == (150, 155)
    held = await rpc.call("getTokenAccountsByOwner", owner, {"mint": mint}, {"encoding": "jsonParsed", **PROCESSED})
    assert [row["pubkey"] for row in held["value"]] == [first["tokenAccount"]]
    again = await rpc.call("localnet_mint", mint, first["tokenAccount"], 50)
    assert again["tokenAccount"] == first["tokenAccount"]
    assert (await holding(rpc, first["tokenAccount"]), await supply(rpc, mint)) == (200, 205)
    assert first["signature"] is not None, "the account was made by a transaction"
    assert (again["signature"] is not None) is ours


async def test_a_mint_that_nobody_may_mint_any_more(rpc: RpcClient) -> None:
    mint = put_mint(rpc.net, None)
    done = await rpc.call("localnet_mint", mint, address(Keypair()), 1)
    assert (done["amount"], await supply(rpc, mint)) == (1, 1)


async def test_what_cannot_be_minted(rpc: RpcClient) -> None:
    net, owner = rpc.net, address(Keypair())
    mint, other = put_mint(net, None, supply=U64 - 5), put_mint(net, None)
    account = (await rpc.call("localnet_mint", other, owner, 1))["tokenAccount"]
    for arguments, said in (
        ((owner, owner, 1), "is no token mint on this chain"),
        ((mint, owner, 6), "a supply is at most"),
        ((mint, owner, 0), "0 cannot be minted"),
        ((mint, account, 1), "is a token account of another mint"),
        (("So11111111111111111111111111111111111111112", owner, 1), "wrapped SOL is not minted"),
    ):
        error = await rpc.fail("localnet_mint", *arguments)
        assert said in error["message"]
        assert error["data"]["hint"]
    assert await supply(rpc, mint) == U64 - 5
    assert (await rpc.fail("localnet_mint", mint, owner))["code"] == -32602
    assert (await rpc.fail("localnet_mint", mint, owner, -1))["code"] == -32602


async def test_the_faucet_gives_nos_of_a_mint_it_has_no_authority_of(rpc: RpcClient) -> None:
    net = rpc.net
    data = spl.mint_bytes(Pubkey.new_unique(), decimals=6)
    net.validator.place(Pubkey.from_string(net.mint), Account(10**9, data, spl.TOKEN_PROGRAM, False))
    gift = net.fund(address(Keypair()), sol=1, nos=2)
    assert gift.token_account is not None
    assert await holding(rpc, gift.token_account) == 2_000_000
    assert gift.signature


async def test_an_account_is_set_in_the_newest_block(rpc: RpcClient) -> None:
    net, key = rpc.net, Pubkey.new_unique()
    wanted = Account(10**9, b"data of mine", Pubkey.new_unique(), False)
    done = await rpc.call("localnet_setAccount", account_json(key, wanted))
    assert done == {"slot": net.validator.slots.head.slot, "accounts": [str(key)]}

    async def seen(view: dict[str, str]) -> Any:
        return (await rpc.call("getAccountInfo", str(key), {"encoding": "base64", **view}))["value"]

    assert await seen(CONFIRMED) is None, "it is as settled as a transaction of that block"
    found = await seen(PROCESSED)
    assert (found["lamports"], found["owner"]) == (10**9, str(wanted.owner))
    assert base64.b64decode(found["data"][0]) == b"data of mine"
    owned = await rpc.call("getProgramAccounts", str(wanted.owner), PROCESSED)
    assert [row["pubkey"] for row in owned] == [str(key)]
    net.advance(40)
    assert (await seen(FINALIZED))["lamports"] == 10**9
    await rpc.call("localnet_setAccount", {"pubkey": str(key), "lamports": 5})
    assert (await seen(PROCESSED))["data"] == found["data"], "what is not named stays"
    assert (await seen(FINALIZED))["lamports"] == 10**9
    await rpc.call("localnet_setAccount", {"pubkey": str(key), "lamports": 0})
    assert await seen(PROCESSED) is None


async def test_all_accounts_are_set_or_none(rpc: RpcClient) -> None:
    one, two = (str(Pubkey.new_unique()) for _ in range(2))
    error = await rpc.fail("localnet_setAccount", {"pubkey": one, "lamports": 1}, {"pubkey": two, "lamports": -1})
    assert "`lamports` is no amount" in error["message"]
    assert (await rpc.call("getBalance", one, PROCESSED))["value"] == 0
    done = await rpc.call("localnet_setAccount", {"pubkey": one, "lamports": 1}, {"pubkey": two, "lamports": 2})
    assert done["accounts"] == [one, two]
    assert (await rpc.fail("localnet_setAccount"))["code"] == -32602


async def test_what_the_bank_refuses(rpc: RpcClient) -> None:
    sysvar = {"owner": "Sysvar1111111111111111111111111111111111111", "data": "YWJj", "lamports": 1}
    clock = {"pubkey": "SysvarC1ock11111111111111111111111111111111", **sysvar}
    program = {"pubkey": str(Pubkey.new_unique()), "executable": True, "lamports": 10**9, "data": "YWJj"}
    for document in (clock, program):
        error = await rpc.fail("localnet_setAccount", document)
        assert "cannot be put in place" in error["message"]
        assert error["data"]["hint"]
    rpc.net.advance(40)
    with pytest.raises(LocalnetError):
        rpc.net.validator.place(Pubkey.new_unique(), Account(1, b"x", spl.TOKEN_PROGRAM, True))


async def test_subscribers_hear_of_it(still_localnet: Localnet) -> None:
    net, key = still_localnet, Pubkey.new_unique()
    async with connect(net.ws_url) as socket:
        for commitment in ("processed", "confirmed"):
            params = [str(key), {"encoding": "base64", "commitment": commitment}]
            await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "accountSubscribe", "params": params}))
            await socket.recv()
        net.validator.place(key, Account(struct.unpack("<Q", b"gpunode!")[0], b"", Pubkey.default(), False))
        net.advance(3)
        async with asyncio.timeout(5):
            told = [json.loads(await socket.recv())["params"]["result"] for _ in range(2)]
        assert {each["value"]["lamports"] for each in told} == {struct.unpack("<Q", b"gpunode!")[0]}


@pytest.mark.long
async def test_the_commands(tmp_path: Path) -> None:
    who, mint, fixed = str(Keypair().pubkey()), tmp_path / "mint.json", tmp_path / "fixed.json"
    keys = [Pubkey.new_unique(), Pubkey.new_unique()]
    for key, file, decimals in zip(keys, (mint, fixed), (2, 0), strict=True):
        data = spl.mint_bytes(None, decimals=decimals)
        file.write_text(json.dumps([account_json(key, Account(10**9, data, spl.TOKEN_PROGRAM, False))]))
    async with chain("--slot-ms", 50) as net:
        at = ("--rpc", net["rpc_url"])
        assert (await done("set-account", mint, fixed, *at))["accounts"] == [str(key) for key in keys]
        assert (await done("mint", keys[0], who, "2.5", *at))["amount"] == 250
        assert (await done("mint", net["mint"], who, 1, *at))["amount"] == 1_000_000
        for amount, status, said in (
            ("2.505", 2, "2.505 of this token cannot be minted"),
            ("0", 2, "0 of this token cannot be minted"),
            ("much", 2, "'much' is no amount"),
            ("NaN", 2, "'NaN' is no amount"),
        ):
            error = await refused("mint", keys[0], who, amount, *at)
            assert (error["status"], said in error["message"]) == (status, True), error
        assert (await refused("mint", keys[1], who, "0.5", *at))["hint"] == "it has 0 decimals"
        assert "is no token mint" in (await refused("mint", who, who, 1, *at))["message"]
        assert "not a Solana address" in (await refused("mint", "abc", who, 1, *at))["message"]
        bad = tmp_path / "bad.json"
        bad.write_text("[{}]")
        assert "`pubkey` is no address" in (await refused("set-account", bad, *at))["message"]
        bad.write_text("{")
        assert "it is not JSON" in (await refused("set-account", bad, *at))["message"]
        assert "No such file" in (await refused("set-account", tmp_path / "none.json", *at))["message"]
