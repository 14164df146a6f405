"""The staking program: its arithmetic, and what moves."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from .attempts import other_mint
from .harness import SOL, START, TOKEN, number, tag, token_data, u128
from .holder_scene import AMOUNT, DAY, DURATION, FUNDS, YEAR, Holder

XNOS_DIVISOR = 4 * YEAR // 12
TEN_15 = 10**15
STAKE_RENT = 1_726_080
VAULT_RENT = 2_039_280

XNOS = 97


def xnos(amount: int, duration: int) -> int:
    return (duration * TEN_15 // XNOS_DIVISOR + TEN_15) * amount // TEN_15


def stake_bytes(holder: Holder, amount: int, duration: int, unstaked: int, weight: int) -> bytes:
    seeds = [b"vault", bytes(holder.world.mint), bytes(holder.wallet)]
    bump = Pubkey.find_program_address(seeds, holder.world.programs["staking"])[1]
    values = struct.pack("<Q32sQq32sB", amount, bytes(holder.wallet), duration, unstaked, bytes(holder.vault), bump)
    return (tag("StakeAccount") + values + u128(weight)).ljust(120, b"\0")


SHARED = Holder()
"""For properties: one world, in which every example overwrites the stake."""


def test_stake() -> None:
    holder = Holder().lock()
    world = holder.world
    assert world.data(holder.stake) == stake_bytes(holder, AMOUNT, DURATION, 0, 11_150_684_931)
    assert world.data(holder.vault) == token_data(world.mint, holder.vault, AMOUNT)
    vault, stake = world.account(holder.vault), world.account(holder.stake)
    assert vault is not None
    assert stake is not None
    assert (vault.owner, vault.lamports) == (TOKEN, VAULT_RENT)
    assert (stake.owner, stake.lamports) == (world.programs["staking"], STAKE_RENT)
    assert world.lamports(holder.wallet) == 10 * SOL - STAKE_RENT - VAULT_RENT
    assert world.tokens(world.nos(holder.wallet)) == FUNDS - AMOUNT


@pytest.mark.parametrize(
    ("duration", "error"),
    [
        (DURATION - 1, "DurationTooShort"),
        (DURATION, ""),
        (YEAR, ""),
        (YEAR + 1, "DurationTooLong"),
        (2**100, "DurationTooLong"),
    ],
)
def test_both_ends_of_the_duration_are_allowed(duration: int, error: str) -> None:
    outcome = Holder().attempt("staking", "stake", 0, duration).send()
    assert outcome.name == error
    assert outcome.ok == (not error)
    assert outcome.origin == ""


def test_stake_of_another_mint() -> None:
    holder = Holder()
    attempt = holder.attempt("staking", "stake", 1, DURATION)
    other_mint(attempt)
    mint, program = bytes(attempt.accounts["mint"]), holder.world.programs["staking"]
    for name in ("vault", "stake"):
        seeds = [name.encode(), mint, bytes(holder.wallet)]
        attempt.accounts[name] = Pubkey.find_program_address(seeds, program)[0]
    outcome = attempt.send()
    assert (outcome.name, outcome.origin) == ("InvalidMint", "mint")


@pytest.mark.parametrize(("duration", "weight"), [(1_209_600, 11_150_684_931), (31_536_000, 40_000_000_000)])
def test_published_weights(duration: int, weight: int) -> None:
    holder = Holder().lock(10**10, duration)
    assert number(holder.world.data(holder.stake), XNOS, 16) == weight
    assert xnos(10**10, duration) == weight


@settings(max_examples=60, deadline=None)
@given(amount=st.integers(0, 2**64 - 2), duration=st.integers(0, YEAR - 1))
def test_weights_of_any_stake(amount: int, duration: int) -> None:
    world = SHARED.world
    world.put_stake(SHARED.wallet, amount=amount, duration=duration)
    assert SHARED.attempt("staking", "extend", 1).send().ok
    assert number(world.data(SHARED.stake), XNOS, 16) == xnos(amount, duration + 1)


def test_topup_and_extend() -> None:
    holder = Holder().lock()
    holder.do("staking", "topup", 77)
    holder.do("staking", "extend", DAY)
    weight = xnos(AMOUNT + 77, DURATION + DAY)
    assert holder.world.data(holder.stake) == stake_bytes(holder, AMOUNT + 77, DURATION + DAY, 0, weight)
    assert holder.world.tokens(holder.vault) == AMOUNT + 77
    outcome = holder.attempt("staking", "extend", YEAR).send()
    assert (outcome.name, outcome.origin) == ("DurationTooLong", "")


def test_unstake_and_restake() -> None:
    holder = Holder().lock()
    holder.pass_time(3)
    holder.do("staking", "unstake")
    assert holder.world.data(holder.stake) == stake_bytes(holder, AMOUNT, DURATION, START + 3, 0)
    holder.pass_time(3 + DURATION // 2)
    holder.do("staking", "withdraw")
    left = holder.world.tokens(holder.vault)
    assert AMOUNT // 2 <= left < AMOUNT // 2 + 100
    holder.do("staking", "restake")
    assert holder.world.data(holder.stake) == stake_bytes(holder, left, DURATION, 0, xnos(left, DURATION))


def test_unstake_looks_at_the_reward() -> None:
    holder = Holder().take_part()
    outcome = holder.attempt("staking", "unstake").send()
    assert (outcome.name, outcome.origin) == ("HasReward", "reward")
    elsewhere = holder.attempt("staking", "unstake", reward=holder.world.wallet()).send()
    assert (elsewhere.name, elsewhere.origin) == ("InvalidAccount", "reward")
    holder.world.poke(holder.reward, 0, b"\xff" * 8)
    assert holder.attempt("staking", "unstake").send().ok


@pytest.mark.parametrize(
    ("amount", "elapsed", "duration", "paid"),
    [
        (5_000_000_000_000, 86_400, 1_209_600, 357_141_792_300),
        (123_456_789_012, 1_000, 31_536_000, 3_914_761),
        (AMOUNT, DURATION, DURATION, AMOUNT),
        (AMOUNT, DURATION + 1, DURATION, AMOUNT),
        (AMOUNT, 0, DURATION, 0),
    ],
)
def test_withdraw(amount: int, elapsed: int, duration: int, paid: int) -> None:
    holder = Holder()
    world = holder.world
    seeds = [b"vault", bytes(world.mint), bytes(holder.wallet)]
    bump = Pubkey.find_program_address(seeds, world.programs["staking"])[1]
    world.put_stake(holder.wallet, amount=amount, duration=duration, unstaked=START)
    world.poke(holder.stake, 96, bytes([bump]))
    world.put_tokens(holder.vault, holder.vault, amount)
    holder.pass_time(elapsed)
    outcome = holder.attempt("staking", "withdraw").send()
    assert outcome.ok, outcome.logs
    assert world.tokens(world.nos(holder.wallet)) == FUNDS + paid
    assert world.tokens(holder.vault) == amount - paid
    assert number(world.data(holder.stake), 8) == amount
    assert any(str(TOKEN) in log for log in outcome.logs) == (paid > 0)


@settings(max_examples=40, deadline=None)
@given(
    amount=st.integers(1, 10**15),
    taken=st.fractions(0, 1),
    duration=st.integers(DURATION, YEAR),
    part=st.fractions(0, 1),
)
def test_withdraw_of_any_stake(amount: int, taken: float, duration: int, part: float) -> None:
    holder, world = SHARED, SHARED.world
    elapsed = int(duration * part)
    balance = max(1, amount - int(amount * part * taken))
    seeds = [b"vault", bytes(world.mint), bytes(holder.wallet)]
    bump = Pubkey.find_program_address(seeds, world.programs["staking"])[1]
    world.put_stake(holder.wallet, amount=amount, duration=duration, unstaked=START)
    world.poke(holder.stake, 96, bytes([bump]))
    world.put_tokens(holder.vault, holder.vault, balance)
    world.put_tokens(world.nos(holder.wallet), holder.wallet, 0)
    holder.pass_time(elapsed)
    outcome = holder.attempt("staking", "withdraw").send()
    holder.pass_time(0)
    if elapsed >= duration:
        paid = balance
    else:
        precision = (2**64 - 1) // max(amount, elapsed) - 1
        paid = elapsed * precision // duration * amount // precision - (amount - balance)
    assert outcome.ok == (paid >= 0)
    assert world.tokens(world.nos(holder.wallet)) == max(paid, 0)


def test_a_donation_to_the_vault_stops_early_withdrawals() -> None:
    holder = Holder().release()
    holder.world.put_tokens(holder.vault, holder.vault, AMOUNT + 1)
    holder.pass_time(DAY)
    outcome = holder.attempt("staking", "withdraw").send()
    assert not outcome.ok
    assert outcome.line == ""


@pytest.mark.parametrize(("elapsed", "closed"), [(DURATION, False), (DURATION + 1, True)])
def test_close(elapsed: int, closed: bool) -> None:
    holder = Holder().release()
    holder.pass_time(DURATION)
    holder.do("staking", "withdraw")
    holder.pass_time(elapsed)
    outcome = holder.attempt("staking", "close").send()
    assert outcome.ok == closed
    if not closed:
        assert (outcome.name, outcome.origin) == ("Locked", "stake")
        return
    assert holder.world.account(holder.stake) is None
    assert holder.world.account(holder.vault) is None
    assert holder.world.lamports(holder.wallet) == 10 * SOL
    assert holder.world.tokens(holder.world.nos(holder.wallet)) == FUNDS


def test_settings() -> None:
    holder = Holder()
    holder.do("staking", "init")
    authority = Pubkey.from_string("XXXxddiNnmoD2h2LbQYaL76Swi21MaQbtBbRynAdQL8")
    target = Pubkey.from_string("HLtABkKqsUjb4ECPEnvad6HN7QYf6ANHahAeZQXrAGgV")
    expected = tag("SettingsAccount") + bytes(authority) + bytes(target)
    assert holder.world.data(holder.settings) == expected
    again = holder.attempt("staking", "init").send()
    assert not again.ok
    assert again.line == ""


@pytest.mark.parametrize("unstaked", [False, True])
def test_slash(unstaked: bool) -> None:
    holder = Holder()
    target = holder.govern()
    holder.lock()
    if unstaked:
        holder.do("staking", "unstake")
    holder.do("staking", "slash", 1_000, token_account=target, **holder.authority())
    weight = 0 if unstaked else xnos(AMOUNT - 1_000, DURATION)
    since = START if unstaked else 0
    assert holder.world.data(holder.stake) == stake_bytes(holder, AMOUNT - 1_000, DURATION, since, weight)
    assert holder.world.tokens(holder.vault) == AMOUNT - 1_000
    assert holder.world.tokens(target) == 1_000


def test_slash_needs_the_settings_at_their_address() -> None:
    holder = Holder()
    target = holder.govern()
    copy = holder.world.put(holder.world.key(), holder.world.programs["staking"], holder.world.data(holder.settings))
    holder.lock()
    accounts = {"token_account": target, "settings": copy} | holder.authority()
    outcome = holder.attempt("staking", "slash", 1, **accounts).send()
    assert (outcome.name, outcome.origin) == ("ConstraintSeeds", "settings")
