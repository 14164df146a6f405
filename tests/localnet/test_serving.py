"""`gpunode localnet start` and `faucet` as commands, and a real client of another maker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer

import node
from node.chain.addresses import token_account
from node.errors import RpcRejected, RpcUnavailable
from node.localnet.app import Localnet
from node.localnet.client import ask_faucet
from node.records import Address
from tests.localnet.rpc import address, signed, wallet

COMMAND = [sys.executable, "-c", "from node.cli.localnet import group; group()"]


@contextmanager
def running(*arguments: str) -> Iterator[dict[str, Any]]:
    line = [*COMMAND, "start", "--rpc-port", "0", "--content-port", "0", "--json", *arguments]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=10)
            assert (process.returncode, said) == (0, "")


async def faucet(*arguments: str) -> dict[str, Any]:
    command = [*COMMAND, "faucet", *arguments, "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    answer: dict[str, Any] = json.loads(out)
    return answer


async def test_one_line_when_ready_and_a_clean_stop_that_saves(tmp_path: Path) -> None:
    state, keys = tmp_path / "state.zip", tmp_path / "keys"
    node = str(Pubkey.new_unique())
    with running("--state", str(state), "--keys", str(keys), "--slot-ms", "20") as chain:
        wanted = {"rpc_url", "ws_url", "content_url", "cluster", "programs", "mint", "market", "keys"}
        assert wanted <= chain.keys()
        rpc, ws = (int(chain[name].rsplit(":", 1)[1]) for name in ("rpc_url", "ws_url"))
        assert ws == rpc + 1
        gift = await faucet(node, "--sol", "0.5", "--nos", "2", "--rpc", chain["rpc_url"])
        assert (gift["lamports"], gift["nos"]) == (500_000_000, 2_000_000)
        async with AsyncClient(chain["rpc_url"]) as client:
            assert (await client.get_balance(Pubkey.from_string(node), commitment="confirmed")).value == 500_000_000
    with running("--state", str(state), "--keys", str(keys)) as again:
        assert again["genesis_hash"] == chain["genesis_hash"]
        async with AsyncClient(again["rpc_url"]) as client:
            assert (await client.get_balance(Pubkey.from_string(node))).value == 500_000_000


async def test_history_is_bounded_by_its_setting_alone() -> None:
    payer = Keypair()
    with running("--history", "100", "--slot-ms", "50") as chain:
        async with AsyncClient(chain["rpc_url"], commitment=Confirmed) as client:
            await ask_faucet(chain["rpc_url"], Address(address(payer)), lamports=10**9, nos=0)
            signatures = []
            for number in range(150):
                blockhash = (await client.get_latest_blockhash()).value.blockhash
                to = TransferParams(from_pubkey=payer.pubkey(), to_pubkey=payer.pubkey(), lamports=number)
                signatures.append((await client.send_transaction(signed([transfer(to)], payer, blockhash))).value)
            await client.confirm_transaction(signatures[-1])
            first, last = signatures[:50], signatures[-100:]
            forgotten = await client.get_signature_statuses(first, search_transaction_history=True)
            assert forgotten.value == [None] * 50
            known = await client.get_signature_statuses(last, search_transaction_history=True)
            assert all(status is not None and status.err is None for status in known.value)
            found = (await client.get_signatures_for_address(payer.pubkey())).value
            assert [each.signature for each in found] == last[::-1]
            assert (await client.get_transaction_count()).value > 150, "counted all the same"


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_the_process_that_was_started_is_the_chain_and_runs_this_very_package(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "__init__.py").write_text("raise RuntimeError('another package of that name')")
    root = str(Path(node.__file__).parents[1])
    line = [sys.executable, "-P", "-m", "node.cli", "localnet", "start", "--rpc-port", "0", "--content-port", "0"]
    environment = {**os.environ, "PYTHONPATH": root}
    with subprocess.Popen(
        [*line, "--json"], stdout=subprocess.PIPE, cwd=tmp_path, env=environment, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["cluster"] == "localnet"
            loaded = Path(f"/proc/{process.pid}/maps").read_text()
            assert "solders" in loaded
            assert "pydantic_core" not in loaded, "what reads the command line has gone"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0


def test_an_error_of_the_chain_is_the_command_s_own() -> None:
    with running() as chain:
        port = chain["rpc_url"].rsplit(":", 1)[1]
        line = [*COMMAND, "start", "--rpc-port", port, "--content-port", "0", "--json"]
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert (answer["ok"], answer["error"]["kind"]) == (False, "LocalnetError")
    assert port in answer["error"]["message"]


async def test_the_faucet_makes_the_token_account(localnet: Localnet) -> None:
    node = Address(str(Pubkey.new_unique()))
    gift = await ask_faucet(localnet.rpc_url, node, lamports=0, nos=1_500_000)
    assert gift["tokenAccount"] == token_account(localnet.cluster, node)
    async with AsyncClient(localnet.rpc_url) as client:
        found = await client.get_token_account_balance(Pubkey.from_string(gift["tokenAccount"]), commitment="confirmed")
        assert found.value.amount == "1500000"


async def test_the_faucet_on_this_host_needs_no_proxy(localnet: Localnet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    gift = await ask_faucet(localnet.rpc_url, Address(str(Pubkey.new_unique())), lamports=10**9, nos=0)
    assert gift["lamports"] == 10**9


async def test_the_faucet_says_what_is_wrong(localnet: Localnet) -> None:
    node = Address(str(Pubkey.new_unique()))
    with pytest.raises(RpcUnavailable, match="no localnet answers"):
        await ask_faucet("http://127.0.0.1:9", node, lamports=1, nos=0)
    with pytest.raises(RpcRejected, match="more than nothing"):
        await ask_faucet(localnet.rpc_url, node, lamports=0, nos=0)
    with pytest.raises(RpcUnavailable, match="no localnet answers"):
        await ask_faucet(localnet.content_url, node, lamports=1, nos=0)


async def test_a_solana_client_sends_and_confirms(localnet: Localnet) -> None:
    payer, to = wallet(localnet, sol=2), Keypair()
    async with AsyncClient(localnet.rpc_url, commitment="confirmed") as client:
        assert await client.is_connected()
        dropped = (await client.request_airdrop(payer.pubkey(), 10**9)).value
        await client.confirm_transaction(dropped, commitment="confirmed")
        latest = (await client.get_latest_blockhash()).value
        pays = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to.pubkey(), lamports=10**9))
        sent: Signature = (await client.send_transaction(signed([pays], payer, latest.blockhash))).value
        await client.confirm_transaction(
            sent, commitment="confirmed", last_valid_block_height=latest.last_valid_block_height
        )
        assert (await client.get_balance(to.pubkey())).value == 10**9
        assert (await client.get_balance(payer.pubkey())).value == 2 * 10**9 - 5_000
        found = (await client.get_transaction(sent, max_supported_transaction_version=0)).value
        assert found is not None
        meta = found.transaction.meta
        assert meta is not None
        assert meta.err is None
        assert meta.fee == 5_000
        rows = (await client.get_signatures_for_address(to.pubkey())).value
        assert [row.signature for row in rows] == [sent]
        assert (await client.get_account_info(to.pubkey())).value is not None
        jobs = Pubkey.from_string(localnet.cluster.jobs)
        sized = await client.get_program_accounts(jobs, encoding="base64", filters=[10_224])
        (market,) = sized.value
        assert str(market.pubkey) == localnet.market
        info = (await client.get_epoch_info()).value
        assert info.block_height <= info.absolute_slot
        with_units = (await client.simulate_transaction(signed([pays], payer, latest.blockhash))).value
        assert with_units.err is not None, "the same message was processed already"
        assert address(to)
