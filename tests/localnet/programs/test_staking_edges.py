"""Stakes at the ends of their amounts, durations and times."""

from __future__ import annotations

import struct

import pytest
from solders.pubkey import Pubkey

from .harness import SOL, START, SYSTEM, Outcome, number, pda
from .holder_rules import STAKE_DURATION, STAKE_XNOS, TOKEN_AMOUNT
from .holder_scene import AMOUNT, DURATION, FUNDS, YEAR, Holder
from .test_staking import stake_bytes, xnos


def aborted(outcome: Outcome, reason: str) -> bool:
    told = any(log.endswith(f"\n{reason}") for log in outcome.logs)
    return outcome.kind == "ProgramFailedToComplete" and outcome.line == "" and told


def unstaked(amount: int, balance: int, duration: int = DURATION) -> Holder:
    """A stake unstaked at START, of which the vault holds the balance."""
    holder = Holder()
    world = holder.world
    seeds = [b"vault", bytes(world.mint), bytes(holder.wallet)]
    bump = Pubkey.find_program_address(seeds, world.programs["staking"])[1]
    world.put_stake(holder.wallet, amount=amount, duration=duration, unstaked=START)
    world.poke(holder.stake, 96, bytes([bump]))
    world.put_tokens(holder.vault, holder.vault, balance)
    return holder


def test_a_holder_stakes_once() -> None:
    holder = Holder().lock()
    outcome = holder.attempt("staking", "stake", 1, DURATION).send()
    assert (outcome.kind, outcome.line) == ("Custom(0)", "")
    assert f"Allocate: account Address {{ address: {holder.vault}, base: None }} already in use" in outcome.logs


def test_a_stake_of_nothing() -> None:
    holder = Holder().lock(0, YEAR)
    assert holder.world.data(holder.stake) == stake_bytes(holder, 0, YEAR, 0, 0)
    holder.do("staking", "topup", 3)
    assert holder.world.data(holder.stake) == stake_bytes(holder, 3, YEAR, 0, xnos(3, YEAR))
    assert xnos(3, YEAR) == 12


def test_the_longest_stake_cannot_be_extended() -> None:
    holder = Holder().lock(AMOUNT, YEAR - 1)
    holder.do("staking", "extend", 1)
    assert number(holder.world.data(holder.stake), STAKE_DURATION) == YEAR
    assert holder.attempt("staking", "extend", 1).send().name == "DurationTooLong"


@pytest.mark.parametrize("seconds", [2**64 - 1, 2**64 - DURATION])
def test_an_extension_beyond_all_numbers_aborts(seconds: int) -> None:
    outcome = Holder().lock().attempt("staking", "extend", seconds).send()
    assert aborted(outcome, "attempt to add with overflow")


def test_a_topup_beyond_all_numbers_aborts() -> None:
    outcome = Holder().lock().attempt("staking", "topup", 2**64 - AMOUNT).send()
    assert aborted(outcome, "attempt to add with overflow")
    refused = Holder().lock().attempt("staking", "topup", 2**64 - AMOUNT - 1).send()
    assert (refused.kind, refused.line) == ("Custom(1)", "")


@pytest.mark.parametrize("lamports", [1, SOL])
def test_lamports_at_the_address_of_a_reward_are_no_reward(lamports: int) -> None:
    holder = Holder().lock()
    holder.world.give(holder.reward, lamports)
    holder.do("staking", "unstake")
    assert number(holder.world.data(holder.stake), STAKE_XNOS, 16) == 0


def test_anything_at_the_address_of_a_reward_is_one() -> None:
    holder = Holder().lock()
    for data in (b"", b"\xff" * 7, bytes(8), b"\xff" * 7 + b"\xfe"):
        holder.world.put(holder.reward, holder.world.programs["rewards"], data)
        outcome = holder.attempt("staking", "unstake").send()
        assert (outcome.name, outcome.origin) == ("HasReward", "reward")
    holder.world.put(holder.reward, holder.world.programs["jobs"], b"\xff" * 8)
    holder.do("staking", "unstake")


def test_the_reward_of_another_does_not_count() -> None:
    holder = Holder().lock()
    other = pda([b"reward", bytes(holder.world.wallet())], holder.world.programs["rewards"])
    outcome = holder.attempt("staking", "unstake", reward=other).send()
    assert (outcome.name, outcome.origin) == ("InvalidAccount", "reward")


@pytest.mark.parametrize(
    ("amount", "balance", "elapsed", "reason"),
    [
        # The precision is what is left of 64 bits beside the amount: 0 divides nothing.
        (2**63, 2**63, 60, "attempt to divide by zero"),
        (2**64 - 1, 1, 60, "attempt to divide by zero"),
        (0, 5, 0, "attempt to divide by zero"),
        # More in the vault than was staked.
        (10, 11, 60, "attempt to subtract with overflow"),
        # More was taken than is free.
        (1_000_000, 1, 60, "attempt to subtract with overflow"),
        (AMOUNT, AMOUNT, -1, "number out of range"),
    ],
)
def test_withdrawals_that_abort(amount: int, balance: int, elapsed: int, reason: str) -> None:
    holder = unstaked(amount, balance)
    holder.pass_time(elapsed)
    outcome = holder.attempt("staking", "withdraw").send()
    assert aborted(outcome, reason), outcome.logs
    assert holder.world.tokens(holder.vault) == balance


@pytest.mark.parametrize(("amount", "balance"), [(2**63, 5), (10, 2**40), (0, 7), (2**64 - 1, 1)])
def test_after_the_duration_everything_is_free(amount: int, balance: int) -> None:
    holder = unstaked(amount, balance)
    holder.pass_time(DURATION)
    holder.do("staking", "withdraw")
    assert holder.world.tokens(holder.world.nos(holder.wallet)) == FUNDS + balance
    again = holder.attempt("staking", "withdraw").send()
    assert (again.name, again.origin) == ("VaultEmpty", "vault")


def test_two_withdrawals_give_what_one_would() -> None:
    holder = unstaked(AMOUNT, AMOUNT)
    holder.pass_time(DURATION // 4)
    holder.do("staking", "withdraw")
    holder.pass_time(DURATION // 2)
    holder.do("staking", "withdraw")
    once = unstaked(AMOUNT, AMOUNT)
    once.pass_time(DURATION // 2)
    once.do("staking", "withdraw")
    assert holder.world.tokens(holder.vault) == once.world.tokens(once.vault)
    # Nothing new is free in the same second.
    nothing = holder.attempt("staking", "withdraw").send()
    assert nothing.ok
    assert holder.world.tokens(holder.vault) == once.world.tokens(once.vault)


def test_withdrawals_go_to_any_nos_account_and_to_no_other() -> None:
    holder = unstaked(AMOUNT, AMOUNT)
    holder.pass_time(DURATION)
    world = holder.world
    foreign = world.put_tokens(world.key(), world.key(), 0, world.put_mint(world.key()))
    assert holder.attempt("staking", "withdraw", user=foreign).send().kind == "Custom(3)"
    other = world.wallet(nos=0)
    holder.do("staking", "withdraw", user=world.nos(other))
    assert world.tokens(world.nos(other)) == AMOUNT


def test_restaking_counts_what_is_in_the_vault() -> None:
    holder = unstaked(AMOUNT, AMOUNT + 55)
    holder.do("staking", "restake")
    weight = xnos(AMOUNT + 55, DURATION)
    assert holder.world.data(holder.stake) == stake_bytes(holder, AMOUNT + 55, DURATION, 0, weight)


@pytest.mark.parametrize(("amount", "left"), [(0, AMOUNT), (AMOUNT, 0)])
def test_slashing_nothing_and_everything(amount: int, left: int) -> None:
    holder = Holder()
    target = holder.govern()
    holder.lock()
    holder.do("staking", "slash", amount, token_account=target, **holder.authority())
    assert holder.world.data(holder.stake) == stake_bytes(holder, left, DURATION, 0, xnos(left, DURATION))
    assert holder.world.tokens(target) == AMOUNT - left


def test_slashing_more_than_is_left_in_the_vault() -> None:
    """What was withdrawn is still counted in the stake; the token program finds too little."""
    holder = Holder()
    target = holder.govern()
    holder.empty()
    outcome = holder.attempt("staking", "slash", 1, token_account=target, **holder.authority()).send()
    assert (outcome.kind, outcome.line) == ("Custom(1)", "")


def test_slashing_moves_into_the_account_of_the_settings_whatever_it_is() -> None:
    """An account of the vault's own holder, for one."""
    holder = Holder()
    holder.govern()
    own = holder.world.nos(holder.wallet)
    accounts = {"new_authority": holder.network, "token_account": own}
    holder.do("staking", "update_settings", **accounts, **holder.authority())
    holder.lock()
    holder.do("staking", "slash", 9, token_account=own, **holder.authority())
    assert holder.world.tokens(own) == FUNDS - AMOUNT + 9


def test_closing_asks_for_any_token_account() -> None:
    holder = Holder().empty()
    world = holder.world
    foreign = world.put_tokens(world.key(), world.key(), 8, world.put_mint(world.key()))
    holder.do("staking", "close", user=foreign)
    assert world.account(holder.stake) is None
    assert world.tokens(foreign) == 8


def test_a_stake_that_is_closed_to_itself() -> None:
    """Reached with a stake at an address that can sign; a derived one cannot."""
    holder = Holder().empty()
    world = holder.world
    strange = world.key()
    world.put_stake(strange, unstaked=1, address=strange)
    world.poke(strange, 64, bytes(holder.vault))
    outcome = holder.attempt("staking", "close", stake=strange, authority=strange).send()
    assert (outcome.name, outcome.origin) == ("ConstraintClose", "stake")


def test_a_vault_that_was_filled_again_is_not_closed() -> None:
    holder = Holder().empty()
    holder.world.poke(holder.vault, TOKEN_AMOUNT, struct.pack("<Q", 1))
    outcome = holder.attempt("staking", "close").send()
    assert (outcome.name, outcome.origin) == ("VaultNotEmpty", "vault")
    holder.do("staking", "withdraw")
    holder.do("staking", "close")
    account = holder.world.account(holder.vault)
    assert account is None or account.owner == SYSTEM
