"""The rules of the jobs program, by the order in which they are checked."""

from __future__ import annotations

import pytest
from solders.pubkey import Pubkey
from solders.system_program import AssignParams, assign

from .attempts import (
    Attempt,
    Rule,
    argument,
    check_order,
    other_mint,
    readonly,
    same,
    stored,
    stranger,
    tokens_of_stranger,
    unsigned,
)
from .harness import TOKEN
from .market_scene import NODES, TIMEOUT, Scene, ready

# Offsets of stored keys and values.
MARKET_AUTHORITY, MARKET_VAULT, QUEUE_TYPE, QUEUE_LENGTH, QUEUE = 8, 65, 146, 147, 151
JOB_RESULT, JOB_MARKET, JOB_NODE, JOB_PAYER, JOB_PROJECT, JOB_STATE, JOB_END = 40, 72, 104, 136, 176, 208, 209
RUN_JOB, RUN_NODE, RUN_PAYER = 8, 40, 72
STAKE_AUTHORITY = 16

FULL = (314).to_bytes(4, "little")


def someone_pays(attempt: Attempt) -> None:
    """A run account that holds lamports already."""
    attempt.world.svm.airdrop(attempt.accounts["run"], 1_000_000)


def node_waits(attempt: Attempt) -> None:
    """The node itself is in the queue."""
    market = attempt.accounts["market"]
    attempt.world.poke(market, QUEUE_TYPE, bytes([NODES]) + b"\x01\0\0\0" + bytes(attempt.accounts["authority"]))


def queue_of_another(attempt: Attempt) -> None:
    attempt.world.poke(attempt.accounts["market"], QUEUE, bytes(Pubkey.new_unique()))


def stake_elsewhere(attempt: Attempt) -> None:
    """A stake of the right authority that does not lie at its derived address."""
    world = attempt.world
    authority = attempt.accounts["authority"]
    attempt.accounts["stake"] = world.put_stake(authority, address=world.key())


INVALID_MARKET = (stored("job", JOB_MARKET), "InvalidMarketAccount", "job")
PROJECT = (stored("job", JOB_PROJECT), "Unauthorized", "job")
INVALID_VAULT = (stored("market", MARKET_VAULT), "InvalidVault", "market")
NOT_SIGNED = (unsigned("authority"), "AccountNotSigner", "authority")


def frozen(name: str) -> Rule:
    return (readonly(name), "ConstraintMut", name)


def wrong_state(state: int) -> Rule:
    return (stored("job", JOB_STATE, bytes([state])), "JobInWrongState", "job")


def payer_of(name: str, field: str = "payer") -> Rule:
    return (stranger(field), "InvalidPayer", name)


RULES: dict[str, list[Rule]] = {
    "open": [
        NOT_SIGNED,
        (tokens_of_stranger("vault"), "ConstraintSeeds", "vault"),
        (other_mint, "ConstraintSeeds", "vault"),
    ],
    "update": [NOT_SIGNED, frozen("market"), (stored("market", MARKET_AUTHORITY), "Unauthorized", "market")],
    "close": [
        NOT_SIGNED,
        (same("user", "vault"), "ConstraintDuplicateMutableAccount", "user"),
        frozen("market"),
        (stored("market", MARKET_AUTHORITY), "Unauthorized", "market"),
        INVALID_VAULT,
        frozen("vault"),
        frozen("user"),
    ],
    "close_admin": [
        NOT_SIGNED,
        (same("user", "vault"), "ConstraintDuplicateMutableAccount", "user"),
        frozen("market"),
        INVALID_VAULT,
        frozen("vault"),
        frozen("user"),
        (stranger("authority"), "Unauthorized", "authority"),
    ],
    "list": [
        (unsigned("payer", "authority"), "AccountNotSigner", "payer"),
        (same("user", "vault"), "ConstraintDuplicateMutableAccount", "vault"),
        (same("rewards_vault", "user"), "ConstraintDuplicateMutableAccount", "rewards_vault"),
        frozen("market"),
        INVALID_VAULT,
        frozen("run"),
        (unsigned("run"), "MissingSignature", "run"),
        (someone_pays, "LamportsNonNull", "run"),
        (tokens_of_stranger("user"), "InvalidATA", "user"),
        frozen("vault"),
        frozen("rewards_reflection"),
        frozen("rewards_vault"),
    ],
    "assign": [
        (unsigned("payer", "authority"), "AccountNotSigner", "payer"),
        (same("user", "vault"), "ConstraintDuplicateMutableAccount", "vault"),
        frozen("market"),
        INVALID_VAULT,
        (stored("market", QUEUE_TYPE, b"\x00"), "MarketInWrongState", "market"),
        (tokens_of_stranger("user"), "InvalidATA", "user"),
        (stranger("node"), "NotInMarketQueue", ""),
    ],
    "delist": [
        NOT_SIGNED,
        (same("deposit", "vault"), "ConstraintDuplicateMutableAccount", "vault"),
        frozen("job"),
        payer_of("job"),
        INVALID_MARKET,
        PROJECT,
        wrong_state(2),
        frozen("market"),
        INVALID_VAULT,
        (stored("market", QUEUE_TYPE, b"\x01"), "MarketInWrongState", "market"),
        frozen("deposit"),
        (tokens_of_stranger("deposit"), "InvalidATA", "deposit"),
        frozen("vault"),
        (queue_of_another, "NotInMarketQueue", ""),
    ],
    "extend": [
        (unsigned("authority", "payer"), "AccountNotSigner", "authority"),
        (same("user", "vault"), "ConstraintDuplicateMutableAccount", "vault"),
        frozen("job"),
        INVALID_MARKET,
        PROJECT,
        (stored("job", JOB_PAYER), "Unauthorized", "job"),
        wrong_state(2),
        INVALID_VAULT,
        frozen("user"),
        (tokens_of_stranger("user"), "InvalidATA", "user"),
        frozen("vault"),
        (argument(0, TIMEOUT), "JobTimeoutNotGreater", ""),
    ],
    "end": [
        NOT_SIGNED,
        (same("user", "vault"), "ConstraintDuplicateMutableAccount", "vault"),
        frozen("job"),
        INVALID_MARKET,
        PROJECT,
        INVALID_VAULT,
        frozen("run"),
        payer_of("run"),
        (stored("run", RUN_JOB), "InvalidJobAccount", "run"),
        frozen("deposit"),
        (tokens_of_stranger("deposit"), "InvalidATA", "deposit"),
        frozen("user"),
        (tokens_of_stranger("user"), "InvalidATA", "user"),
        frozen("vault"),
        frozen("payer"),
    ],
    "recover": [
        NOT_SIGNED,
        (same("user", "vault"), "ConstraintDuplicateMutableAccount", "user"),
        frozen("job"),
        payer_of("job"),
        INVALID_MARKET,
        PROJECT,
        wrong_state(0),
        INVALID_VAULT,
        frozen("vault"),
        frozen("user"),
    ],
    "work": [
        (unsigned("payer", "authority"), "AccountNotSigner", "payer"),
        frozen("run"),
        (unsigned("run"), "MissingSignature", "run"),
        (someone_pays, "LamportsNonNull", "run"),
        frozen("market"),
        (node_waits, "NodeAlreadyQueued", "market"),
        (stored("stake", STAKE_AUTHORITY), "Unauthorized", "stake"),
        (stored("market", 130, (1).to_bytes(16, "little")), "NodeNotEnoughStake", "stake"),
        (stake_elsewhere, "InvalidStakeAccount", "stake"),
    ],
    "stop": [
        NOT_SIGNED,
        frozen("market"),
        (stored("market", QUEUE_TYPE, b"\x00"), "MarketInWrongState", "market"),
        (stranger("authority"), "Unauthorized", "authority"),
        (queue_of_another, "NotInMarketQueue", ""),
    ],
    "claim": [
        (unsigned("payer", "authority"), "AccountNotSigner", "payer"),
        frozen("job"),
        INVALID_MARKET,
        wrong_state(0),
        (stored("stake", STAKE_AUTHORITY), "Unauthorized", "stake"),
        (stored("market", 130, (1).to_bytes(16, "little")), "NodeNotEnoughStake", "stake"),
        (stake_elsewhere, "InvalidStakeAccount", "stake"),
    ],
    "finish": [
        NOT_SIGNED,
        (same("user", "vault"), "ConstraintDuplicateMutableAccount", "user"),
        frozen("job"),
        INVALID_MARKET,
        payer_of("job", "payer_job"),
        frozen("run"),
        (stored("run", RUN_JOB), "InvalidJobAccount", "run"),
        payer_of("run", "payer_run"),
        (stored("run", RUN_NODE), "Unauthorized", "run"),
        INVALID_VAULT,
        frozen("vault"),
        frozen("deposit"),
        (tokens_of_stranger("deposit"), "InvalidATA", "deposit"),
        frozen("user"),
        (tokens_of_stranger("user", own_mint=False), "InvalidATA", "user"),
        frozen("payer_run"),
        frozen("payer_job"),
        (argument(0, bytes(32)), "JobResultNull", ""),
    ],
    "complete": [
        NOT_SIGNED,
        frozen("job"),
        wrong_state(0),
        (stored("job", JOB_NODE), "Unauthorized", "job"),
        (stored("job", JOB_RESULT), "JobResultsAlreadySet", "job"),
        (argument(0, bytes(32)), "JobResultNull", ""),
    ],
    "quit": [
        NOT_SIGNED,
        frozen("job"),
        frozen("run"),
        (stored("run", RUN_JOB), "InvalidJobAccount", "run"),
        payer_of("run"),
        (stored("run", RUN_NODE), "Unauthorized", "run"),
        frozen("payer"),
    ],
    "quit_admin": [
        NOT_SIGNED,
        frozen("run"),
        payer_of("run"),
        frozen("payer"),
        (stranger("authority"), "Unauthorized", "authority"),
    ],
    "clean": [
        frozen("job"),
        payer_of("job"),
        wrong_state(0),
        (stored("job", JOB_END, (2**40).to_bytes(8, "little")), "JobNotExpired", "job"),
        frozen("payer"),
    ],
    "clean_admin": [
        NOT_SIGNED,
        frozen("job"),
        payer_of("job"),
        frozen("payer"),
        (stranger("authority"), "Unauthorized", "authority"),
    ],
}


@pytest.mark.parametrize("instruction", RULES)
def test_rules_are_checked_in_order(instruction: str) -> None:
    def make() -> Attempt:
        attempt = ready(instruction)
        if instruction == "work":
            # An empty queue: with a waiting job nobody can be queued already.
            attempt.world.poke(attempt.accounts["market"], QUEUE_TYPE, b"\xff\0\0\0\0")
        return attempt

    check_order(make, RULES[instruction])


def test_a_market_needs_the_nos_mint() -> None:
    scene = Scene()
    mint, market = scene.world.put_mint(scene.world.key()), scene.world.key()
    vault = Pubkey.find_program_address([bytes(market), bytes(mint)], scene.world.programs["jobs"])[0]
    attempt = scene.attempt("open", 1, 2, 3, 4, 5, market=market, vault=vault, mint=mint, authority=scene.owner)
    outcome = attempt.send()
    assert (outcome.name, outcome.origin) == ("InvalidMint", "mint")


@pytest.mark.parametrize("instruction", ["list", "work"])
def test_a_run_must_be_the_system_programs(instruction: str) -> None:
    attempt = ready(instruction)
    world, run = attempt.world, attempt.accounts["run"]
    # Without lamports an account has an owner of its own only until the transaction ends.
    handed_over = assign(AssignParams(pubkey=run, owner=TOKEN))
    call = world.instruction("jobs", instruction, attempt.accounts, *attempt.args)
    outcome = world.send(handed_over, call)
    assert (outcome.name, outcome.origin) == ("InvalidOwner", "run")


# Rules that are skipped where nothing is paid, by the accounts that may then be any.
FREE = {
    "list": ["user"],
    "assign": ["user"],
    "delist": ["deposit"],
    "extend": ["user"],
    "end": ["user", "deposit"],
    "finish": ["user", "deposit"],
}


@pytest.mark.parametrize("instruction", FREE)
def test_at_price_zero_token_accounts_may_be_anybodys(instruction: str) -> None:
    attempt = ready(instruction, Scene(price=0))
    for name in FREE[instruction]:
        tokens_of_stranger(name, own_mint=False)(attempt)
    outcome = attempt.send()
    assert outcome.ok, outcome.logs
    assert not any(str(TOKEN) in log for log in outcome.logs)


def test_at_price_zero_the_deposit_may_be_the_vault() -> None:
    attempt = ready("finish", Scene(price=0))
    same("deposit", "vault")(attempt)
    assert attempt.send().ok


def test_at_price_zero_accounts_must_still_differ() -> None:
    attempt = ready("finish", Scene(price=0))
    same("user", "vault")(attempt)
    assert attempt.send().name == "ConstraintDuplicateMutableAccount"


def test_at_price_zero_anybody_signs_as_payer_of_an_extension() -> None:
    attempt = ready("extend", Scene(price=0))
    stranger("payer")(attempt)
    assert attempt.send().ok


def test_a_queue_that_says_it_is_longer_than_the_account_does_not_decode() -> None:
    attempt = ready("stop")
    attempt.world.poke(attempt.accounts["market"], QUEUE_LENGTH, (315).to_bytes(4, "little"))
    outcome = attempt.send()
    assert (outcome.name, outcome.origin) == ("AccountDidNotDeserialize", "market")
