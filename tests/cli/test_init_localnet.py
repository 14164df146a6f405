"""`init` on a localnet that runs: what it need not be told; and the next steps it prints, which must work."""

from __future__ import annotations

import shlex

import pytest

from node.settings_source import load_settings
from tests.cli.conftest import MARKET, Chain, Shell


def test_market_addresses_and_store_are_asked_of_the_chain(shell: Shell, chain: Chain) -> None:
    settings = load_settings(shell.init("--rpc", chain.rpc_url), environment={})
    assert settings.lanes[0].market == chain.market
    assert settings.ids == "devnet"
    assert settings.rpc.urls == (chain.rpc_url,)
    assert settings.content.stores[0].url == chain.content_url


def test_what_is_named_weighs_more_than_what_the_chain_says(shell: Shell, chain: Chain) -> None:
    file = shell.init("--rpc", chain.rpc_url, "--ids", "mainnet", "--content", "http://127.0.0.1:7")
    settings = load_settings(file, environment={})
    assert (settings.ids, settings.content.stores[0].url) == ("mainnet", "http://127.0.0.1:7")
    assert load_settings(shell.init("--market", MARKET, "--force"), environment={}).lanes[0].market == MARKET


def test_without_a_chain_to_ask_it_says_what_to_give(shell: Shell) -> None:
    answer = shell("init", "--country", "NL", "--rpc", "http://127.0.0.1:9")
    assert answer.status == 2
    assert answer.err.splitlines()[0] == "error: --market is required"
    assert "gpunode localnet start" in answer.err
    devnet = shell("init", "--country", "NL", "--cluster", "devnet")
    assert "gpunode market list --cluster devnet" in devnet.err
    assert not (shell.home / "home").exists()


@pytest.mark.parametrize("named", [True, False])
def test_the_next_steps_work_as_printed(shell: Shell, chain: Chain, named: bool) -> None:
    where = ("--settings", shell.home / "my node.yaml") if named else ()
    answer = shell("init", "--country", "NL", "--rpc", chain.rpc_url, *where)
    assert answer.status == 0
    steps = [shlex.split(line) for line in answer.out.partition("Next:\n")[2].splitlines()]
    assert [step[:2] for step in steps] == [["gpunode", "localnet"], ["gpunode", "doctor"], ["gpunode", "run"]]
    assert shell(*steps[0][1:]).status == 0
    findings = {row["name"]: row["ok"] for row in shell(*steps[1][1:], "--json").document["findings"]}
    assert findings["settings"] is True
    assert findings["market of main"] is True
    assert findings["SOL of main"] is True
    assert ("--settings" in steps[2]) is named


def test_on_a_public_cluster_the_store_of_results_is_asked_for(shell: Shell) -> None:
    answer = shell("init", "--country", "NL", "--cluster", "devnet", "--market", MARKET)
    assert answer.status == 0
    assert "content.stores" in answer.out
    assert "faucet" not in answer.out


def test_a_packet_filter_that_cannot_be_had_is_switched_off_by_name(
    shell: Shell, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written where everybody can read it, with the reason, and on a localnet only."""
    monkeypatch.setattr("node.container.egress.ability.why_not", lambda: "this user may not see the packet filter")
    file = shell.init("--rpc", chain.rpc_url)
    assert load_settings(file, environment={}).network.filter == "off"
    assert "this user may not see the packet filter" in file.read_text()
    monkeypatch.setattr("node.container.egress.ability.why_not", lambda: "")
    assert load_settings(shell.init("--rpc", chain.rpc_url, "--force"), environment={}).network.filter == "required"
    public = shell.init("--cluster", "devnet", "--market", MARKET, "--force")
    assert load_settings(public, environment={}).network.filter == "required"
    assert "RELAXED" not in public.read_text()
