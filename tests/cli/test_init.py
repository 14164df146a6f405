"""`init` and `wallet new`: what is written, and what is never overwritten."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from node.chain.derivation import Seed
from node.settings_source import load_settings
from tests.cli.conftest import MARKET, Shell

PLACE = ("--country", "NL", "--market", MARKET, "--json")


def test_init_writes_a_private_wallet_and_settings_that_load(shell: Shell) -> None:
    file = shell.init()
    settings = load_settings(file, environment={})
    assert (settings.cluster, settings.host.country, settings.lanes[0].market) == ("localnet", "NL", MARKET)
    key = shell.home / "main.json"
    assert settings.lanes[0].wallet == key
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(json.loads(key.read_text())) == 64
    assert settings.locations.data == shell.home / "data"


def test_init_keeps_a_wallet_and_replaces_settings_only_by_force(shell: Shell) -> None:
    file = shell.init()
    key = (shell.home / "main.json").read_bytes()
    arguments = (
        "init",
        "--settings",
        file,
        "--country",
        "US",
        "--market",
        MARKET,
        "--wallet",
        shell.home / "main.json",
    )
    again = shell(*arguments)
    assert again.status == 1
    assert "is there already" in again.err
    forced = shell(*arguments, "--force", "--json")
    assert forced.status == 0
    assert forced.document["wallet_created"] is False
    assert (shell.home / "main.json").read_bytes() == key
    assert load_settings(file, environment={}).host.country == "US"


def test_init_in_a_new_home_uses_the_users_folders(shell: Shell) -> None:
    answer = shell("init", "--country", "NL", "--market", MARKET, "--json")
    assert answer.status == 0
    home = shell.home / "home"
    assert answer.document["settings"] == str(home / ".config/gpunode/node.yaml")
    assert answer.document["wallet"] == str(home / ".config/gpunode/keys/main.json")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--country", "Holland", "--market", MARKET), "host.country"),
        (("--country", "NL", "--market", "here"), "lanes.0.market"),
        (("--country", "NL", "--market", MARKET, "--rpc", "localhost"), "rpc.urls"),
    ],
)
def test_a_wrong_value_writes_nothing(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    file, key = shell.home / "node.yaml", shell.home / "main.json"
    answer = shell("init", "--settings", file, "--wallet", key, *arguments)
    assert answer.status == 1
    assert said in answer.err
    assert "environment" not in answer.err
    assert not file.exists()
    assert not key.exists()


def test_mainnet_is_only_chosen_by_name(shell: Shell) -> None:
    assert load_settings(shell.init("--market", MARKET), environment={}).cluster == "localnet"
    text = shell.init("--market", MARKET, "--cluster", "mainnet", "--force").read_text()
    assert "cluster: mainnet   # real money" in text


def test_wallet_new(shell: Shell) -> None:
    file = shell.home / "keys" / "new.json"
    made = shell("wallet", "new", file, "--json").document
    assert len(made["address"]) in range(32, 45)
    assert shell("wallet", "new", file).status == 1


def test_a_seed_and_a_group_of_lanes(shell: Shell) -> None:
    done = shell("init", "--seed", "--settings", shell.home / "s.yaml", "--wallet", shell.home / "seed", *PLACE)
    known = done.document
    words = Path(known["wallet"]).read_text()
    assert len(words.split()) == 24
    assert not any(word in done.out for word in words.split()[:2] if len(word) > 6)
    settings = load_settings(Path(known["settings"]), environment={})
    assert not settings.lanes
    (group,) = settings.lane_groups
    assert (group.name, group.wallet, group.market) == ("gpu", Path(known["wallet"]), MARKET)
    assert known["address"] == Seed.from_words(words).account(0).address
    again = shell(
        "init", "--seed", "--settings", known["settings"], "--wallet", known["wallet"], *PLACE, "--force"
    ).document
    assert (again["address"], again["wallet_created"]) == (known["address"], False)
