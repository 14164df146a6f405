"""What the network's own clients compute and send, accepted by the programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from .harness import Outcome, World, pda
from .market_scene import DEPOSIT, FUNDS, Scene, job_bytes, run_bytes

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "chain" / "vectors.json").read_text(encoding="utf-8"))
INSTRUCTIONS = {entry["name"]: entry for entry in VECTORS["instructions"]["list"]}
WALLET = Keypair.from_seed(bytes.fromhex(VECTORS["auth"]["secret_seed_hex"]))
MARKET = Pubkey.from_string(VECTORS["instructions"]["market"])


class ClientScene(Scene):
    """The wallet and the market of the vectors, at their addresses; the wallet is poster, node and owner."""

    def __init__(self) -> None:
        super().__init__()
        world = self.world
        wallet = world.key(WALLET)
        world.give(wallet, 10**10)
        world.put_tokens(world.nos(wallet), wallet, FUNDS)
        world.put_stake(wallet)
        self.poster = self.node = self.owner = wallet
        # Nobody has the market's key: its account is put there as `open` would have made it.
        vault = world.market_vault(MARKET)
        bump = Pubkey.find_program_address([bytes(MARKET), bytes(world.mint)], world.programs["jobs"])[1]
        account = world.account(self.market)
        assert account is not None
        world.put(MARKET, world.programs["jobs"], bytes(account.data))
        world.poke(MARKET, 8, bytes(wallet))
        world.poke(MARKET, 65, bytes(vault) + bytes([bump]))
        world.put_tokens(vault, vault, 0)
        self.market, self.vault = MARKET, vault

    def replay(self, name: str) -> Outcome:
        """Sends the instruction byte by byte as the client built it, with our keys for its new accounts."""
        entry = INSTRUCTIONS[name]
        metas = []
        for account in entry["accounts"]:
            placeholder = account["address"].startswith("<")
            role = account["role"]
            address = self._fresh(account["address"]) if placeholder else Pubkey.from_string(account["address"])
            metas.append(AccountMeta(address, "signer" in role, "writable" in role))
        program = Pubkey.from_string(entry["program"])
        return self.world.send(Instruction(program, bytes.fromhex(entry["data_hex"]), metas), payer=WALLET.pubkey())

    def _fresh(self, placeholder: str) -> Pubkey:
        return self.job if "job" in placeholder else self.run


def accepted(outcome: Outcome) -> None:
    assert outcome.ok, outcome.logs


def test_list_as_clients_send_it() -> None:
    scene = ClientScene()
    accepted(scene.replay("list"))
    data = bytes.fromhex(INSTRUCTIONS["list"]["data_hex"])
    expected = job_bytes(scene)
    assert scene.world.data(scene.job) == expected[:8] + data[8:40] + expected[40:]
    assert scene.world.tokens(scene.vault) == DEPOSIT


def test_work_and_stop_as_clients_send_them() -> None:
    scene = ClientScene()
    accepted(scene.replay("work (no access key)"))
    assert scene.queue()[1] == [scene.node]
    accepted(scene.replay("stop"))
    assert scene.queue()[1] == []


def test_close_as_clients_send_it() -> None:
    scene = ClientScene()
    accepted(scene.replay("close"))
    assert scene.world.account(MARKET) is None


@pytest.mark.parametrize("entry", VECTORS["pda"]["list"], ids=lambda entry: str(entry["label"]))
def test_derived_addresses(entry: dict[str, Any]) -> None:
    seeds = [_seed(seed) for seed in entry["seeds"]]
    assert str(pda(seeds, Pubkey.from_string(entry["program"]))) == entry["address"]


def _seed(text: str) -> bytes:
    return text.encode() if len(text) < 32 else bytes(Pubkey.from_string(text))


@pytest.mark.parametrize("kind", ["JobAccount", "RunAccount"])
def test_accounts_as_clients_encode_them(kind: str) -> None:
    entry = next(item for item in VECTORS["accounts"]["list"] if item["type"] == kind)
    scene, args = ClientScene(), entry["args"]
    encoded = bytes.fromhex(entry["data_hex"])
    if kind == "JobAccount":
        accepted(scene.replay("list"))
        scene.expect(scene.attempt("extend", int(args["timeout"])))
        mine = scene.world.data(scene.job)
    else:
        job, node, payer = (Pubkey.from_string(args[name]) for name in ("job", "node", "payer"))
        mine = run_bytes(job, node, payer, int(args["time"]))
    assert mine[: entry["borsh_len"]] == encoded


def test_both_builds_derive_the_published_vaults() -> None:
    """A market opens only with the vault that the program derives itself."""
    labels = {entry["label"]: entry["address"] for entry in VECTORS["pda"]["list"]}
    world = World("mainnet")
    assert str(world.market_vault(MARKET)) == labels["market vault mainnet"]
    assert str(world.rewards_vault) == labels["rewards vault (mainnet NOS)"]
