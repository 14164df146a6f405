"""Snapshots of a running chain, put back into it and into others; the state file while the chain runs."""

from __future__ import annotations

import asyncio
import json
import stat
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from websockets.asyncio.client import connect

from node.errors import LocalnetError, RpcUnavailable
from node.localnet.app import Localnet
from node.localnet.artefacts import COMPILED
from node.localnet.client import fetch_snapshot, put_snapshot
from node.localnet.options import LocalnetOptions
from node.records import Address
from tests.localnet.commands import chain, done, refused
from tests.localnet.rpc import CONFIRMED, FINALIZED, PROCESSED, RpcClient, address, memo, signed, wallet, wire

QUIET = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=0)
PLAIN = {"encoding": "base64", "preflightCommitment": "processed"}


async def test_a_running_chain_goes_back_to_its_snapshot(rpc: RpcClient, tmp_path: Path) -> None:
    net, file = rpc.net, tmp_path / "chain.zip"
    payer = wallet(net, sol=5)
    kept = signed([memo("kept", payer)], payer, await rpc.blockhash())
    kept_signature = await rpc.send(kept)
    pending = signed([memo("pending", payer)], payer, await rpc.blockhash())
    net.advance(3)
    cid = await net.content.add(b"before")
    assert await fetch_snapshot(net.rpc_url, file) == file.stat().st_size
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    head, described = net.validator.slots.head, net.describe()
    count = await rpc.call("getTransactionCount", PROCESSED)

    lost = await rpc.send(signed([memo("lost", payer)], payer, await rpc.blockhash()))
    net.fund(address(payer), sol=100, nos=7)
    placed = Pubkey.new_unique()
    net.validator.place(placed, Account(1, b"", Pubkey.default(), False))
    net.leaps.seconds(86_400)

    assert await put_snapshot(net.rpc_url, file) == {"slot": head.slot, "blockHeight": head.height}
    assert net.describe() == described
    assert net.validator.slots.head == head
    assert await rpc.call("getTransactionCount", PROCESSED) == count
    assert (await rpc.call("getBalance", str(placed), PROCESSED))["value"] == 0
    assert (await rpc.call("getBalance", address(payer), FINALIZED))["value"] == 5 * 10**9 - 5_000
    states = await rpc.call("getSignatureStatuses", [kept_signature, lost])
    assert [state is not None for state in states["value"]] == [True, False]
    assert (await rpc.fail("sendTransaction", wire(kept), PLAIN))["data"]["err"] == "AlreadyProcessed"
    await rpc.send(pending)
    net.advance(3)
    rows = await rpc.call("getSignaturesForAddress", address(payer), CONFIRMED)
    assert [row["memo"] for row in rows if row["memo"]] == ["[7] pending", "[4] kept"]
    assert net.validator.slots.head.time - head.time < 60, "the leap is gone as well"
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{net.content_url}/ipfs/{cid}")).content == b"before"
    net.endow(address(payer), nos=1)


async def test_another_chain_takes_it_over_keys_and_all(rpc: RpcClient, tmp_path: Path) -> None:
    net, file = rpc.net, tmp_path / "chain.zip"
    await fetch_snapshot(net.rpc_url, file)
    async with Localnet.start(replace(QUIET, empty=False)) as other, httpx.AsyncClient() as http:
        there = RpcClient(other, http)
        assert other.market != net.market
        await put_snapshot(other.rpc_url, file)
        assert (other.market, other.keys) == (net.market, net.keys)
        assert await there.call("getGenesisHash") == await rpc.call("getGenesisHash")
        gift = other.fund(address(Keypair()), sol=1, nos=1)
        assert gift.token_account is not None
    async with Localnet.start(replace(QUIET, state=file)) as third:
        assert third.keys == net.keys


async def test_sockets_are_closed_and_faults_lifted(still_localnet: Localnet, tmp_path: Path) -> None:
    net, file = still_localnet, tmp_path / "chain.zip"
    await fetch_snapshot(net.rpc_url, file)
    async with connect(net.ws_url) as socket:
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe", "params": []}))
        await socket.recv()
        net.faults.set({"kind": "stall"})
        await put_snapshot(net.rpc_url, file)
        async with asyncio.timeout(5):
            await socket.wait_closed()
        assert socket.close_code == 1012
    assert net.faults.describe()["faults"] == []
    async with connect(net.ws_url) as socket:
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe", "params": []}))
        await socket.recv()
        net.advance(2)
        async with asyncio.timeout(5):
            assert json.loads(await socket.recv())["method"] == "slotNotification"


async def test_what_cannot_be_restored_changes_nothing(rpc: RpcClient, tmp_path: Path) -> None:
    net, good = rpc.net, tmp_path / "good.zip"
    before = net.describe()
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"nonsense")
    with pytest.raises(LocalnetError, match="the snapshot is not a saved chain") as error:
        await put_snapshot(net.rpc_url, bad)
    assert error.value.hint
    async with Localnet.start(replace(QUIET, ids="mainnet")) as other:
        await fetch_snapshot(other.rpc_url, good)
    with pytest.raises(LocalnetError, match="the saved chain has the mainnet addresses, not the devnet ones"):
        await put_snapshot(net.rpc_url, good)
    with pytest.raises(LocalnetError, match=r"none.zip cannot be read"):
        await put_snapshot(net.rpc_url, tmp_path / "none.zip")
    with pytest.raises(LocalnetError, match="gives no snapshots"):
        await put_snapshot(net.content_url, good)
    with pytest.raises(RpcUnavailable):
        await put_snapshot("http://127.0.0.1:9", good)
    with pytest.raises(LocalnetError, match="cannot be written"):
        await fetch_snapshot(net.rpc_url, tmp_path / "none" / "chain.zip")
    assert net.describe() == before


async def test_a_chain_with_key_files_takes_no_other_keys(tmp_path: Path) -> None:
    file = tmp_path / "chain.zip"
    async with Localnet.start(QUIET) as other:
        await fetch_snapshot(other.rpc_url, file)
    async with Localnet.start(replace(QUIET, keys=tmp_path / "keys")) as net:
        before = net.describe()
        with pytest.raises(LocalnetError, match="holds another key than the chain's"):
            await put_snapshot(net.rpc_url, file)
        assert net.describe() == before


async def test_added_programs_are_saved_and_the_packages_are_not(tmp_path: Path) -> None:
    extra, replaced = Address(str(Pubkey.new_unique())), Address("nosNeZR64wiEhQc5j251bsP4WqDabT6hmz4PHyoHLGD")
    code = COMPILED / "devnet" / "staking.so"
    state = tmp_path / "chain.zip"
    async with Localnet.start(replace(QUIET, state=state, programs={extra: code, replaced: code})) as net:
        first = net.programs
        assert first[extra] == first[replaced] == first[net.cluster.staking]
    with zipfile.ZipFile(state) as archive:
        saved = {row[0] for row in json.loads(archive.read("accounts.json"))}
    assert {extra, replaced} <= saved
    assert net.cluster.staking not in saved
    async with Localnet.start(replace(QUIET, state=state)) as net, httpx.AsyncClient() as http:
        assert net.programs == first
        rpc, payer = RpcClient(net, http), wallet(net)
        from solders.instruction import Instruction

        call = Instruction(Pubkey.from_string(extra), bytes(8), [])
        error = await rpc.fail("sendTransaction", wire(signed([call], payer, await rpc.blockhash())), PLAIN)
        assert "DeclaredProgramIdMismatch" in "".join(error["data"]["logs"]), "it runs, and says where it belongs"


async def test_the_state_is_saved_while_the_chain_runs(tmp_path: Path) -> None:
    state = tmp_path / "chain.zip"

    async def saved() -> Any:
        async with asyncio.timeout(10):
            while not state.exists():
                await asyncio.sleep(0.02)
        with zipfile.ZipFile(state) as archive:
            return json.loads(archive.read("chain.json"))

    async with Localnet.start(replace(QUIET, state=state, save_seconds=0.05)) as net:
        await asyncio.sleep(0.2)
        assert not state.exists(), "nothing happened but time"
        net.fund(address(Keypair()), sol=1)
        assert (await saved())["transaction_count"] == net.validator.transaction_count
        state.unlink()
        net.leaps.seconds(100)
        assert (await saved())["ahead"] == 100 * 10**9
        net.fund(address(Keypair()), sol=1)
        count = net.validator.transaction_count
    assert (await saved())["transaction_count"] == count, "the last word is the one at the end"


@pytest.mark.long
async def test_the_commands(tmp_path: Path) -> None:
    who = str(Keypair().pubkey())
    file = tmp_path / "chain.zip"
    async with chain("--slot-ms", 50) as net:
        rpc = net["rpc_url"]
        taken = await done("snapshot", file, "--rpc", rpc)
        assert (taken["file"], taken["bytes"]) == (str(file), file.stat().st_size)
        await done("faucet", who, "--sol", 3, "--rpc", rpc)
        back = await done("restore", file, "--rpc", rpc)
        assert back["slot"] >= back["blockHeight"]
        async with httpx.AsyncClient() as http:
            body = {"jsonrpc": "2.0", "id": 1, "method": "getBalance", "params": [who, PROCESSED]}
            assert (await http.post(rpc, json=body)).json()["result"]["value"] == 0
        error = await refused("restore", tmp_path / "none.zip", "--rpc", rpc)
        assert (error["status"], error["hint"] != "") == (1, True)
        assert "cannot be written" in (await refused("snapshot", "/proc/none/x", "--rpc", rpc))["message"]
    assert "no localnet answers" in (await refused("snapshot", file, "--rpc", rpc))["message"]


async def test_snapshots_are_for_this_machine_only() -> None:
    from aiohttp.test_utils import make_mocked_request

    async with Localnet.start(QUIET) as net:

        async def disconnect() -> None:
            return None

        for route in net.archive.routes(disconnect):
            request = make_mocked_request(route.method, "/snapshot")  # of a peer without an address
            answer = await route.handler(request)  # type: ignore[arg-type, misc]
            assert answer.status == 403
