"""Commands that speak to a chain: wallet, market, stake, job, register, doctor, verify."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from node.chain.wallet import Wallet
from node.content.cid import file_cid
from node.records import Address
from tests.cli.conftest import Chain, Shell

DEFINITION: dict[str, Any] = {
    "version": "0.1",
    "type": "container",
    "ops": [{"type": "container/run", "id": "hello", "args": {"image": "busybox", "cmd": ["echo", "hello"]}}],
}


@pytest.fixture
def poster(shell: Shell, chain: Chain) -> Path:
    """A funded wallet of its own for each test."""
    file = shell.home / "poster.json"
    address = Wallet.create(file).address
    chain.do(lambda net: net.endow(address, sol=2, nos=100))
    return file


@pytest.fixture
def definition(shell: Shell) -> Path:
    file = shell.home / "job.json"
    file.write_text(json.dumps(DEFINITION))
    return file


def _post(shell: Shell, chain: Chain, poster: Path, definition: Path, *more: str) -> dict[str, Any]:
    answer = shell(
        *("job", "post", definition, "--market", chain.market, "--timeout", "10m", "--wallet", poster),
        *("--content", chain.content_url, *chain.flags, "--json", *more),
    )
    assert answer.status == 0, answer.err + answer.out
    known: dict[str, Any] = answer.document
    return known


def _address(file: Path) -> Address:
    return Wallet.load(file).address


def test_wallet_show_and_send(shell: Shell, chain: Chain, poster: Path) -> None:
    shown = shell("wallet", "--wallet", poster, *chain.flags)
    assert shown.status == 0
    assert "2 SOL" in shown.out
    assert "100 NOS" in shown.out
    friend = Wallet.create(shell.home / "friend.json").address
    sent = shell("wallet", "send", friend, "--sol", "0.5", "--wallet", poster, *chain.flags, "--json").document
    assert sent["lamports"] == 500_000_000
    assert sent["signature"]
    assert shell("wallet", "send", friend, "--nos", "1.5", "--wallet", poster, *chain.flags).status == 0
    known = shell("wallet", "show", "--wallet", shell.home / "friend.json", *chain.flags, "--json").document
    assert (known["lamports"], known["nos"], known["token_account_exists"]) == (500_000_000, 1_500_000, True)
    broke = shell("wallet", "send", friend, "--sol", "50", "--wallet", poster, *chain.flags)
    assert broke.status == 1
    assert "50.000900880 are needed" in broke.err
    assert shell("wallet", "send", friend, "--nos", "500", "--wallet", poster, *chain.flags).status == 1


def test_the_same_transfer_twice_sends_twice(shell: Shell, chain: Chain, poster: Path) -> None:
    friend = Wallet.create(shell.home / "friend.json").address
    for _ in range(2):
        assert shell("wallet", "send", friend, "--sol", "0.1", "--wallet", poster, *chain.flags).status == 0
    known = shell("wallet", "--wallet", shell.home / "friend.json", *chain.flags, "--json").document
    assert known["lamports"] == 200_000_000


def test_market_list_and_show(shell: Shell, chain: Chain) -> None:
    listed = shell("market", *chain.flags)
    assert listed.status == 0
    assert chain.market in listed.out
    known = shell("market", "list", *chain.flags, "--json").document["markets"]
    assert [each["price"] for each in known if each["address"] == chain.market] == [1000]
    shown = shell("market", "show", chain.market, *chain.flags)
    assert "0.001 NOS a second, 3.6 NOS an hour" in shown.out
    unknown = shell("market", "show", _some_address(shell), *chain.flags)
    assert unknown.status == 1
    assert "there is no market" in unknown.err


@pytest.mark.long
def test_stake_from_create_to_withdraw(shell: Shell, chain: Chain, poster: Path) -> None:
    flags = ("--wallet", poster, *chain.flags)
    none = shell("stake", *flags)
    assert none.status == 0
    assert "gpunode stake create" in none.out
    missing = shell("stake", "topup", "1", *flags)
    assert missing.status == 1
    assert "has no stake account" in missing.err
    assert shell("stake", "create", "10", "--days", "14", *flags, "--json").document["stake"]["amount"] == 10_000_000
    for total in (11, 12):
        topped = shell("stake", "topup", "1", *flags, "--json").document
        assert topped["stake"]["amount"] == total * 1_000_000
    again = shell("stake", "create", *flags)
    assert again.status == 1
    extended = shell("stake", "extend", "1d", *flags, "--json").document["stake"]
    assert extended["duration"] == 15 * 86_400
    assert extended["xnos"] > 12_000_000
    too_much = shell("stake", "topup", "1000", *flags)
    assert "are asked for" in too_much.err
    locked = shell("stake", "withdraw", *flags)
    assert locked.status == 1
    assert "gpunode stake unstake" in locked.err
    unstaked = shell("stake", "unstake", *flags, "--json").document["stake"]
    assert unstaked["xnos"] == 0
    assert unstaked["unlocks_at"] == unstaked["unstaked_at"] + 15 * 86_400
    refused = shell("stake", "unstake", *flags)
    assert refused.status == 1
    assert "is being taken out already" in refused.err
    assert shell("stake", "withdraw", *flags).status == 0
    assert "unlocks" in shell("stake", "show", *flags).out


def test_job_post_get_extend_stop(shell: Shell, chain: Chain, poster: Path, definition: Path) -> None:
    posted = _post(shell, chain, poster, definition)
    assert posted["definition_cid"] == file_cid(definition.read_bytes())
    assert posted["deposit"] == 600_000
    assert posted["warnings"] == []
    job, flags = posted["job"], ("--wallet", poster, *chain.flags)
    got = shell("job", "get", job, *chain.flags, "--content", chain.content_url, "--json").document
    assert (got["phase"], got["project"], got["timeout"], got["result"]) == ("queued", _address(poster), 600, None)
    assert "queued" in shell("job", "get", job, *chain.flags).out
    assert job in shell("job", "list", *flags).out
    assert shell("job", "extend", job, "--seconds", "60", *flags, "--json").document["timeout"] == 660
    strangers = shell("job", "stop", job, "--wallet", chain.poster, *chain.flags)
    assert strangers.status == 1
    assert "belongs to" in strangers.err
    assert shell("job", "recover", job, *flags).status == 1
    assert shell("job", "clean", job, *flags).status == 1
    assert shell("job", "stop", job, *flags, "--json").document["did"] == "delist"
    gone = shell("job", "get", job, *chain.flags)
    assert gone.status == 1
    assert "there is no job" in gone.err
    assert shell("wallet", *flags, "--json").document["nos"] == 100_000_000


def test_a_public_secret_is_warned_of_without_being_shown(
    shell: Shell, chain: Chain, poster: Path, definition: Path
) -> None:
    leaky = json.loads(json.dumps(DEFINITION))
    leaky["ops"][0]["args"]["env"] = {"HF_TOKEN": "supersecretvalue"}
    definition.write_text(json.dumps(leaky))
    answer = shell(
        *("job", "post", definition, "--market", chain.market, "--timeout", "5", "--wallet", poster),
        *("--content", chain.content_url, *chain.flags),
    )
    assert answer.status == 0
    assert "warning: the definition is public" in answer.err
    assert "HF_TOKEN" in answer.err
    assert "supersecretvalue" not in answer.err + answer.out


def test_posting_without_enough_nos_or_sol(shell: Shell, chain: Chain, poster: Path, definition: Path) -> None:
    flags = ("--market", chain.market, "--content", chain.content_url, *chain.flags)
    much = shell("job", "post", definition, "--timeout", "90d", "--wallet", poster, *flags)
    assert much.status == 1
    assert "lacks 7676.000000 NOS" in much.err
    beggar = shell.home / "beggar.json"
    address = Wallet.create(beggar).address
    chain.do(lambda net: net.endow(address, nos=5))
    poor = shell("job", "post", definition, "--timeout", "5", "--wallet", beggar, *flags)
    assert poor.status == 1
    assert "SOL" in poor.err
    assert len(poor.err.splitlines()) == 2


def test_posting_to_an_unknown_market_uploads_nothing(
    shell: Shell, chain: Chain, poster: Path, definition: Path
) -> None:
    answer = shell(
        *("job", "post", definition, "--market", _some_address(shell), "--timeout", "5", "--wallet", poster),
        *("--content", "http://127.0.0.1:9", *chain.flags),
    )
    assert answer.status == 1
    assert "there is no market" in answer.err


def test_wrong_cluster_and_unreachable_endpoint(shell: Shell, chain: Chain) -> None:
    wrong = shell("market", "--cluster", "devnet", "--rpc", chain.rpc_url)
    assert wrong.status == 1
    assert "serves a localnet, not devnet" in wrong.err
    found = shell("market", "--rpc", chain.rpc_url, "--json")
    assert found.status == 0


def test_doctor_names_what_is_missing(shell: Shell, chain: Chain) -> None:
    settings = shell.init("--market", chain.market, "--rpc", chain.rpc_url, "--content", chain.content_url)
    address = _address(shell.home / "main.json")
    poor = shell("doctor", "--settings", settings, "--json")
    assert poor.status == 3
    rows = {row["name"]: row for row in poor.document["findings"]}
    assert poor.document["ok"] is False
    assert rows["SOL of main"]["ok"] is False
    assert address in rows["SOL of main"]["fix"]
    assert rows["market of main"]["ok"] is True
    assert rows["agent"] == {"name": "agent", "ok": None, "seen": "not running", "fix": "gpunode run"}
    chain.do(lambda net: net.endow(address, sol=1))
    rich = shell("doctor", "--settings", settings)
    assert "✔ SOL of main" in rich.out
    assert "simulated" in rich.out or "driver" in rich.out
    (shell.home / "main.json").chmod(0o644)
    assert "chmod 600" in shell("doctor", "--settings", settings).out


def test_register_show_of_a_node_nobody_knows(shell: Shell, chain: Chain) -> None:
    address = _some_address(shell)
    answer = shell("register", "show", address, *chain.flags, "--content", chain.content_url)
    assert (answer.status, answer.out) == (0, f"node {address} is not registered\n")


@pytest.mark.long
def test_register_this_host_and_read_its_signed_card(shell: Shell, chain: Chain) -> None:
    settings = shell.init("--market", chain.market, "--rpc", chain.rpc_url, "--content", chain.content_url)
    address = _address(shell.home / "main.json")
    poor = shell("register", "--settings", settings)
    assert poor.status == 1
    assert "lacks" in poor.err
    chain.do(lambda net: net.endow(address, sol=1))
    first = shell("register", "--settings", settings, "--json").document
    assert first["changed"] is True
    assert shell("register", "--settings", settings, "--json").document == {
        **first,
        "changed": False,
        "signature": None,
    }
    shown = shell("register", "show", "--settings", settings, "--json").document
    assert (shown["node"], shown["account"], shown["registered"]) == (address, first["account"], True)
    assert shown["profile"]["gpu"] == len(shown["card"]["gpus"])
    assert shown["card"]["node"] == address


def test_verify_of_a_job_that_is_not_settled(shell: Shell, chain: Chain, poster: Path, definition: Path) -> None:
    job = _post(shell, chain, poster, definition)["job"]
    answer = shell("verify", job, *chain.flags, "--gateway", f"{chain.content_url}/ipfs/")
    assert answer.status == 1
    assert "Traceback" not in answer.err
    assert answer.err.startswith("error: ") or "does not verify" in answer.out


def test_localnet_faucet(shell: Shell, chain: Chain) -> None:
    address = _some_address(shell)
    given = shell(
        "localnet", "faucet", address, "--sol", "0.25", "--nos", "3", "--rpc", chain.rpc_url, "--json"
    ).document
    assert given["lamports"] == 250_000_000
    assert given["nos"] == 3_000_000


def _some_address(shell: Shell) -> Address:
    return Wallet.create(shell.home / f"some{len(list(shell.home.iterdir()))}.json").address
