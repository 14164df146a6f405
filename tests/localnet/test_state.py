"""A chain that is saved and loaded, key files, ports, and what is refused at start."""

from __future__ import annotations

import json
import socket
import stat
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from solders.keypair import Keypair

from node.errors import LocalnetError
from node.localnet.app import Localnet
from node.localnet.keys import KEY_NAMES
from node.localnet.options import LocalnetOptions
from node.localnet.ports import bind, bind_pair
from tests.localnet.rpc import CONFIRMED, FINALIZED, PROCESSED, RpcClient, address, memo, signed, wallet, wire

QUIET = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=0)


async def test_a_chain_goes_on_where_it_stopped(tmp_path: Path) -> None:
    options = replace(QUIET, state=tmp_path / "chain.zip")
    async with Localnet.start(options) as net, httpx.AsyncClient() as http:
        rpc = RpcClient(net, http)
        payer = wallet(net, sol=2)
        gift = net.fund(address(payer), nos=3)
        net.advance(5)
        last = signed([memo("kept", payer)], payer, await rpc.blockhash())
        signature = await rpc.send(last)
        unsent = signed([memo("later", payer)], payer, await rpc.blockhash())
        cid = await net.content.add(b"hello world\n")
        before = net.describe()
        slot, height = net.validator.slots.head.slot, net.validator.slots.head.height
        balance = (await rpc.call("getBalance", address(payer), PROCESSED))["value"]
    assert stat.S_IMODE(options.state.stat().st_mode) == 0o600  # type: ignore[union-attr]
    async with Localnet.start(options) as net, httpx.AsyncClient() as http:
        rpc = RpcClient(net, http)
        after = net.describe()
        for same in ("genesis_hash", "market", "mint", "programs", "keys"):
            assert after[same] == before[same]
        assert (net.validator.slots.head.slot, net.validator.slots.head.height) == (slot, height)
        assert (await rpc.call("getBalance", address(payer), FINALIZED))["value"] == balance
        tokens = await rpc.call("getTokenAccountBalance", gift.token_account, FINALIZED)
        assert tokens["value"]["uiAmount"] == 3.0
        error = await rpc.fail(
            "sendTransaction", wire(last), {"encoding": "base64", "preflightCommitment": "processed"}
        )
        assert error["data"]["err"] == "AlreadyProcessed", "a copy is still refused"
        await rpc.send(unsent)
        net.advance(3)
        rows = await rpc.call("getSignaturesForAddress", address(payer), CONFIRMED)
        assert [row["memo"] for row in rows[:2]] == ["[5] later", "[4] kept"]
        found = await rpc.call("getTransaction", signature, {**CONFIRMED, "maxSupportedTransactionVersion": 0})
        assert found["slot"] == slot
        assert (await http.get(f"{net.content_url}/ipfs/{cid}")).content == b"hello world\n"
        net.fund(address(payer), sol=1, nos=1)
        markets = [{"dataSize": 10_224}]
        (market,) = await rpc.call("getProgramAccounts", net.cluster.jobs, {"encoding": "base64", "filters": markets})
        assert market["pubkey"] == net.market


async def test_a_state_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"nonsense")
    with pytest.raises(LocalnetError, match="is not a saved chain"):
        async with Localnet.start(replace(QUIET, state=bad)):
            pass
    assert bad.read_bytes() == b"nonsense", "what could not be read is not written over"
    good = tmp_path / "good.zip"
    async with Localnet.start(replace(QUIET, state=good)):
        pass
    with pytest.raises(LocalnetError, match="has the devnet addresses") as refused:
        async with Localnet.start(replace(QUIET, state=good, ids="mainnet")):
            pass
    assert "--ids devnet" in refused.value.hint


async def test_mainnet_addresses() -> None:
    async with Localnet.start(replace(QUIET, ids="mainnet")) as net:
        assert net.cluster.jobs == "nosJhNRqr2bc9g1nfGDcXXTXvYUmxD4cVwy2pMWhrYM"
        assert net.mint == "nosXBVoaCTtYdLvKY6Csb4AC8JCdQKKAaWYtx2ZMoo7"
        assert net.cluster.jobs in net.programs
        assert net.market is not None


async def test_key_files_are_written_once_and_used_again(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    async with Localnet.start(replace(QUIET, keys=keys)) as net:
        first = net.describe()
    for name in KEY_NAMES:
        path = keys / f"{name}.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        key = Keypair.from_bytes(bytes(json.loads(path.read_text())))
        assert first["keys"][name] == {"address": address(key), "path": str(path)}
    async with Localnet.start(replace(QUIET, keys=keys)) as net:
        second = net.describe()
    assert second["keys"] == first["keys"]
    assert second["market"] == first["market"]
    assert second["genesis_hash"] != first["genesis_hash"], "a chain of its own all the same"
    (keys / "poster.json").write_text("[1, 2]")
    with pytest.raises(LocalnetError, match=r"poster.json is not a key file"):
        async with Localnet.start(replace(QUIET, keys=keys)):
            pass


async def test_a_saved_chain_does_not_take_other_keys(tmp_path: Path) -> None:
    options = replace(QUIET, state=tmp_path / "chain.zip", keys=tmp_path / "one")
    async with Localnet.start(options):
        pass
    async with Localnet.start(replace(QUIET, keys=tmp_path / "two")):
        pass
    with pytest.raises(LocalnetError, match="holds another key"):
        async with Localnet.start(replace(options, keys=tmp_path / "two")):
            pass


async def test_a_port_in_use_is_named() -> None:
    async with Localnet.start(QUIET) as net:
        port = int(net.rpc_url.rsplit(":", 1)[1])
        with pytest.raises(LocalnetError, match=f"port {port} on 127.0.0.1 cannot be used"):
            async with Localnet.start(replace(QUIET, rpc_port=port)):
                pass


async def test_the_port_after_the_rpc_port_must_be_free_as_well() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LocalnetError, match=f"the port after {port - 1}"):
            async with Localnet.start(replace(QUIET, rpc_port=port - 1)):
                pass


async def test_an_error_of_the_caller_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with Localnet.start(QUIET):
            raise KeyError("mine")


async def test_a_place_where_nothing_can_be_saved_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalnetError, match="cannot be saved to"):
        async with Localnet.start(replace(QUIET, state=tmp_path / "file" / "chain.zip")):
            pass
    async with Localnet.start(replace(QUIET, state=tmp_path / "new" / "chain.zip")):
        assert list((tmp_path / "new").iterdir()) == [], "the trial leaves nothing"


def test_a_port_belongs_to_the_first_who_binds_it() -> None:
    first, second = bind_pair("127.0.0.1", 0)
    with first, second:
        for held in (first, second):
            with pytest.raises(LocalnetError, match="cannot be used"):
                bind("127.0.0.1", held.getsockname()[1])
