"""The builds for both address sets: they do the same, at other addresses, for other administrators."""

from __future__ import annotations

import pytest
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata

from node.chain.clusters import IdSet

from . import holder_scene, market_scene
from .attempts import Attempt
from .harness import World, ata, every_instruction, tag
from .holder_scene import Holder
from .market_scene import Scene

MARKET_ADMINS = {
    "devnet": "XXXxddiNnmoD2h2LbQYaL76Swi21MaQbtBbRynAdQL8",
    "mainnet": "AdmMVMMU3po5BP3bVWsF9GgN6NNEfpfxpTDGTzjgb72S",
}
AUTHORITIES = {
    "devnet": "XXXxddiNnmoD2h2LbQYaL76Swi21MaQbtBbRynAdQL8",
    "mainnet": "NosanarMxfrZbyCx5CotBVrzxiPcrnhj6ickpX9vRkB",
}
SLASHED_TO = {
    "devnet": "HLtABkKqsUjb4ECPEnvad6HN7QYf6ANHahAeZQXrAGgV",
    "mainnet": "A9V8JkR5HihvFpHq1ZbwrpPAGBhsGfeWw5TVcUdGf2dg",
}
CLUSTERS: tuple[IdSet, ...] = ("devnet", "mainnet")


def ready(program: str, name: str, ids: IdSet) -> Attempt:
    if program == "jobs":
        return market_scene.ready(name, Scene(ids=ids))
    return holder_scene.ready(program, name, ids)


@pytest.mark.parametrize(("program", "name"), every_instruction())
def test_every_instruction_of_the_mainnet_build(program: str, name: str) -> None:
    attempt = ready(program, name, "mainnet")
    outcome = attempt.send()
    assert outcome.ok, outcome.logs
    assert outcome.logs[0].startswith(f"Program {attempt.world.programs[program]} invoke")


def test_programs_and_mint_of_the_mainnet_build() -> None:
    world = World("mainnet")
    assert str(world.programs["jobs"]) == "nosJhNRqr2bc9g1nfGDcXXTXvYUmxD4cVwy2pMWhrYM"
    assert str(world.mint) == "nosXBVoaCTtYdLvKY6Csb4AC8JCdQKKAaWYtx2ZMoo7"


@pytest.mark.parametrize("ids", CLUSTERS)
def test_the_mint_of_the_other_cluster_is_refused(ids: IdSet) -> None:
    scene = Scene(ids=ids)
    world = scene.world
    foreign = world.put_mint(World("mainnet" if ids == "devnet" else "devnet").mint)
    market = world.key()
    vault = Pubkey.find_program_address([bytes(market), bytes(foreign)], world.programs["jobs"])[0]
    accounts = {"market": market, "vault": vault, "mint": foreign, "authority": scene.owner}
    outcome = scene.attempt("open", 1, 2, 3, 4, 5, **accounts).send()
    assert (outcome.name, outcome.origin) == ("InvalidMint", "mint")


@pytest.mark.parametrize("ids", CLUSTERS)
def test_the_first_settings(ids: IdSet) -> None:
    holder = Holder(ids)
    holder.do("staking", "init")
    authority, target = Pubkey.from_string(AUTHORITIES[ids]), Pubkey.from_string(SLASHED_TO[ids])
    assert holder.world.data(holder.settings) == tag("SettingsAccount") + bytes(authority) + bytes(target)
    assert target == ata(authority, holder.world.mint)


def unsigned_success(attempt: Attempt, signer: Pubkey) -> bool:
    """Whether the call would succeed if that key, whose secret nobody here has, had signed it."""
    world = attempt.world
    message = Message.new_with_blockhash([attempt.instruction()], world.fees, world.svm.latest_blockhash())
    assert signer in message.account_keys[: message.header.num_required_signatures]
    signatures = [Signature.default()] * message.header.num_required_signatures
    world.svm.with_sigverify(False)
    outcome = world.svm.simulate_transaction(Transaction.populate(message, signatures))
    return not isinstance(outcome, FailedTransactionMetadata)


@pytest.mark.parametrize("name", ["close_admin", "quit_admin", "clean_admin"])
@pytest.mark.parametrize("ids", CLUSTERS)
def test_the_networks_own_market_admin_is_known_as_well(ids: IdSet, name: str) -> None:
    """The localnet's key stands in for it: everybody who has the secret may use the real one."""
    other = "mainnet" if ids == "devnet" else "devnet"
    for cluster, allowed in ((ids, True), (other, False)):
        attempt = ready("jobs", name, ids)
        admin = attempt.accounts["authority"] = Pubkey.from_string(MARKET_ADMINS[cluster])
        attempt.world.give(admin, 10**9)
        attempt.world.fees = admin
        assert unsigned_success(attempt, admin) == allowed


@pytest.mark.parametrize("ids", CLUSTERS)
def test_the_networks_own_authority_is_known_as_well(ids: IdSet) -> None:
    authority = Pubkey.from_string(AUTHORITIES[ids])
    audit = ready("nodes", "audit", ids)
    audit.accounts["authority"] = authority
    assert unsigned_success(audit, authority)
    holder = Holder(ids)
    holder.do("staking", "init")
    target = holder.world.put_tokens(holder.world.key(), holder.wallet, 0)
    accounts = {"new_authority": holder.wallet, "token_account": target, "authority": authority}
    assert unsigned_success(holder.attempt("staking", "update_settings", **accounts), authority)


def test_the_stand_in_governs_only_as_long_as_the_networks_authority_does() -> None:
    holder = Holder()
    target = holder.world.put_tokens(holder.world.key(), holder.wallet, 0)
    holder.do("staking", "init")
    accounts = {"new_authority": holder.wallet, "token_account": target}
    holder.do("staking", "update_settings", **accounts, **holder.authority())
    expected = tag("SettingsAccount") + bytes(holder.wallet) + bytes(target)
    assert holder.world.data(holder.settings) == expected
    late = holder.attempt("staking", "update_settings", **accounts, **holder.authority()).send()
    assert (late.name, late.origin) == ("Unauthorized", "settings")
    holder.do("staking", "update_settings", **accounts)
    holder.lock().do("staking", "slash", 5, token_account=target)
    assert holder.world.tokens(target) == 5
