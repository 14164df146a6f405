"""A chain written out for `solana-test-validator`, and that node with it."""

from __future__ import annotations

import json
import shlex
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from node.errors import LocalnetError
from node.localnet.account_files import account_json, read_accounts
from node.localnet.app import Localnet
from node.localnet.artefacts import COMPILED, load_programs
from node.localnet.export import export_chain
from node.localnet.keys import KEY_NAMES, read_keys
from node.localnet.loaders import UPGRADEABLE_LOADER
from node.localnet.options import LocalnetOptions
from tests.localnet.commands import chain, done, refused
from tests.localnet.deploying import deploy
from tests.localnet.rpc import CONFIRMED, address, wallet
from tests.realchain.process import running_validator

QUIET = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=0)
CODE = COMPILED / "devnet" / "nodes.so"


def values(command: list[str], option: str, count: int) -> list[list[str]]:
    """What follows each mention of an option."""
    return [command[at + 1 : at + 1 + count] for at, part in enumerate(command) if part == option]


async def test_programs_accounts_and_keys(still_localnet: Localnet, tmp_path: Path) -> None:
    net, folder = still_localnet, tmp_path / "chain"
    command = export_chain(net, folder)
    assert command[:2] == ["solana-test-validator", "--reset"]
    assert values(command, "--mint", 1) == [[address(net.keys["faucet"])]]
    assert values(command, "--account-dir", 1) == [[str(folder / "accounts")]]
    programs = {at: Path(path).read_bytes() for at, path in values(command, "--bpf-program", 2)}
    assert programs == {program.address: program.elf for program in load_programs("devnet")}
    written = dict(read_accounts(folder / "accounts", net.validator.bank.minimum_rent))
    faucet = net.keys["faucet"].pubkey()
    held = {key: account for key, account in net.validator.bank.dump() if account.owner != UPGRADEABLE_LOADER}
    assert written == {key: account for key, account in held.items() if key != faucet}
    assert Pubkey.from_string(net.market or "") in written
    assert sorted(path.stem for path in (folder / "keys").iterdir()) == sorted(KEY_NAMES)
    assert read_keys(folder / "keys")["poster"] == net.keys["poster"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (folder / "keys").iterdir())
    script = folder / "start.sh"
    assert script.read_text() == f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n'
    assert script.stat().st_mode & 0o111


async def test_an_export_is_written_over_and_nothing_else(still_localnet: Localnet, tmp_path: Path) -> None:
    net, folder = still_localnet, tmp_path / "chain"
    export_chain(net, folder)
    stale = folder / "accounts" / "old.json"
    stale.write_text("{}")
    export_chain(net, folder)
    assert not stale.exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter").write_text("dear")
    for place, said in ((mine, "is not empty, and no export"), (mine / "letter" / "x", "cannot be written to")):
        with pytest.raises(LocalnetError, match=said) as error:
            export_chain(net, place)
        assert error.value.hint
    assert [path.name for path in mine.iterdir()] == ["letter"]
    async with Localnet.start(QUIET) as other:
        with pytest.raises(LocalnetError, match="holds another key"):
            export_chain(other, folder)


async def test_a_program_deployed_by_transactions_keeps_its_authority(still_localnet: Localnet, tmp_path: Path) -> None:
    net, program = still_localnet, Keypair()
    payer = wallet(net, sol=10)
    deploy(net, payer, program, CODE.read_bytes())
    command = export_chain(net, tmp_path)
    ((at, path, authority),) = values(command, "--upgradeable-program", 3)
    assert (at, authority) == (address(program), address(payer))
    assert Path(path).read_bytes() == CODE.read_bytes()


@pytest.mark.long
async def test_the_command(tmp_path: Path) -> None:
    extra, folder = str(Pubkey.new_unique()), tmp_path / "a b"
    (tmp_path / "account.json").write_text(json.dumps(account_json(Pubkey.new_unique(), SAMPLE)))
    fresh = await done("export", folder, "--ids", "mainnet", "--empty", "--program", f"{extra}={CODE}")
    assert fresh["line"] == shlex.join(fresh["command"])
    assert len(values(fresh["command"], "--bpf-program", 2)) == 5
    assert sorted(path.stem for path in (folder / "keys").iterdir()) == ["faucet", "market-admin", "network-authority"]
    async with chain("--account", tmp_path / "account.json", "--slot-ms", 50) as net:
        who = str(Keypair().pubkey())
        await done("faucet", who, "--sol", 1, "--rpc", net["rpc_url"])
        running = tmp_path / "running"
        taken = await done("export", running, "--rpc", net["rpc_url"])
        assert values(taken["command"], "--mint", 1) == [[net["keys"]["faucet"]["address"]]]
        accounts = {path.stem for path in (running / "accounts").iterdir()}
        assert {who, net["market"], net["mint"]} < accounts
        again = await refused("export", tmp_path / "x", "--rpc", net["rpc_url"], "--empty")
        assert (again["status"], again["message"]) == (2, "a running chain is exported as it is")
    assert "is not empty" in (await refused("export", tmp_path))["message"]
    assert "no localnet answers" in (await refused("export", tmp_path / "y", "--rpc", "http://127.0.0.1:9"))["message"]


SAMPLE = Account(2_000_000, b"an account of nobody's", Pubkey.new_unique(), False)


@pytest.mark.realchain
async def test_the_real_node_shows_the_same_accounts(validator_binary: str, tmp_path: Path) -> None:
    assert validator_binary
    extra, program, sample = Pubkey.new_unique(), Keypair(), Pubkey.new_unique()
    (tmp_path / "sample.json").write_text(json.dumps(account_json(sample, SAMPLE)))
    options = replace(QUIET, programs={str(extra): CODE}, accounts=(tmp_path / "sample.json",))  # type: ignore[dict-item]
    async with Localnet.start(options) as net, httpx.AsyncClient() as http:

        async def seen(url: str, key: Pubkey) -> Any:
            params = [str(key), {"encoding": "base64", **CONFIRMED}]
            body = {"jsonrpc": "2.0", "id": 1, "method": "getAccountInfo", "params": params}
            return (await http.post(url, json=body)).json()["result"]["value"]

        deploy(net, wallet(net, sol=10), program, CODE.read_bytes())
        net.advance(40)
        command = export_chain(net, tmp_path / "chain")
        assert {str(sample)} < {path.stem for path in (tmp_path / "chain" / "accounts").iterdir()}
        async with running_validator(command[1:]) as node:
            for key, _ in net.validator.bank.dump():
                here, there = await seen(net.rpc_url, key), await seen(node.rpc_url, key)
                # What is there from genesis was deployed in slot 0; the faucet of a fresh node has given nothing yet.
                for each in (here, there):
                    each.pop("rentEpoch")
                    if key == net.keys["faucet"].pubkey():
                        each.pop("lamports")
                    if _code_of(program, key):
                        each["data"][0] = each["data"][0][:5] + each["data"][0][16:]
                assert here == there, key


def _code_of(program: Keypair, key: Pubkey) -> bool:
    return key == Pubkey.find_program_address([bytes(program.pubkey())], UPGRADEABLE_LOADER)[0]
