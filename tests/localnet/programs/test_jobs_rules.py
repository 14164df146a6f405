"""Rules of the jobs program that no call of `test_order.py` can show, and those that are skipped at price 0."""

from __future__ import annotations

import pytest
from solders.pubkey import Pubkey
from solders.system_program import AssignParams, assign

from .attempts import same, stranger, tokens_of_stranger
from .harness import TOKEN
from .job_rules import QUEUE_LENGTH
from .market_scene import Scene, ready


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


@pytest.mark.parametrize("instruction", ["list", "assign", "extend"])
def test_the_accounts_of_the_fee_may_lie_anywhere(instruction: str) -> None:
    """No fee is taken: any token account, and any reflection of the rewards program."""
    attempt = ready(instruction)
    world = attempt.world
    tokens_of_stranger("rewards_vault", own_mint=False)(attempt)
    reflection = world.data(world.reflection)
    attempt.accounts["rewards_reflection"] = world.put(world.key(), world.programs["rewards"], reflection)
    outcome = attempt.send()
    assert outcome.ok, outcome.logs
    assert not any(str(world.programs["rewards"]) in log for log in outcome.logs)
    assert world.data(world.reflection) == reflection
