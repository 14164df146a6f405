"""The rewards program against the same arithmetic in Python."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from .attempts import other_mint
from .harness import SOL, TOKEN, number, tag, token_data, u128
from .holder_rules import POT_RATE, POT_REFLECTION, POT_XNOS, REWARD_REFLECTION, REWARD_XNOS, STAKE_XNOS
from .holder_scene import FUNDS, Holder, ready

FIRST_RATE = 3402823669209384634633746
XNOS = 11_150_684_931
"""Of the holder's stake."""


@dataclass
class Model:
    """Pot and share as the program must keep them."""

    rate: int = FIRST_RATE
    total_reflection: int = 0
    total_xnos: int = 0
    reflection: int = 0
    xnos: int = 0

    def enter(self, xnos: int) -> None:
        self._count_in(xnos * self.rate, xnos)

    def add_fee(self, amount: int) -> None:
        self.total_xnos += amount
        self.rate = self.total_reflection // self.total_xnos

    def claim(self, xnos: int) -> int:
        earned = self.reflection // self.rate - self.xnos
        if earned:
            self.total_xnos -= self.xnos + earned
            self.total_reflection -= self.reflection
            self._count_in(xnos * self.rate, xnos)
        return earned

    def sync(self, xnos: int) -> None:
        earned = self.reflection // self.rate - self.xnos
        self.total_reflection -= self.reflection
        self.total_xnos -= self.xnos
        self._count_in((xnos + earned) * self.rate, xnos)

    def _count_in(self, reflection: int, xnos: int) -> None:
        self.total_reflection += reflection
        self.total_xnos += xnos
        self.reflection, self.xnos = reflection, xnos


def state(holder: Holder) -> Model:
    pot, reward = holder.world.data(holder.world.reflection), holder.world.data(holder.reward)
    return Model(
        number(pot, POT_RATE, 16),
        number(pot, POT_REFLECTION, 16),
        number(pot, POT_XNOS, 16),
        number(reward, REWARD_REFLECTION, 16),
        number(reward, REWARD_XNOS, 16),
    )


def test_init() -> None:
    holder = Holder()
    holder.do("rewards", "init")
    world = holder.world
    bump = Pubkey.find_program_address([bytes(world.mint)], world.programs["rewards"])[1]
    values = u128(FIRST_RATE) + bytes(32) + bytes(world.rewards_vault) + bytes([bump])
    assert world.data(world.reflection) == (tag("ReflectionAccount") + values).ljust(96, b"\0")
    assert world.data(world.rewards_vault) == token_data(world.mint, world.rewards_vault, 0)
    again = holder.attempt("rewards", "init").send()
    assert not again.ok
    assert again.line == ""


def test_init_needs_the_nos_mint() -> None:
    attempt = ready("rewards", "init")
    other_mint(attempt)
    mint = bytes(attempt.accounts["mint"])
    attempt.accounts["vault"] = Pubkey.find_program_address([mint], attempt.world.programs["rewards"])[0]
    outcome = attempt.send()
    assert (outcome.name, outcome.origin) == ("InvalidMint", "mint")


def test_a_life_of_a_share() -> None:
    holder = Holder().take_part()
    world, model = holder.world, Model()
    model.enter(XNOS)
    bump = Pubkey.find_program_address([b"reward", bytes(holder.wallet)], world.programs["rewards"])[1]
    values = bytes(holder.wallet) + bytes([bump]) + u128(XNOS * FIRST_RATE) + u128(XNOS)
    assert world.data(holder.reward) == (tag("RewardAccount") + values).ljust(80, b"\0")
    assert state(holder) == model

    quiet = holder.attempt("rewards", "claim").send()
    assert quiet.ok
    assert not any(str(TOKEN) in log for log in quiet.logs)
    assert state(holder) == model

    holder.do("rewards", "add_fee", 1_000_000)
    model.add_fee(1_000_000)
    assert state(holder) == model
    assert world.tokens(world.rewards_vault) == 1_000_000

    before = world.tokens(world.nos(holder.wallet))
    holder.do("rewards", "claim")
    earned = model.claim(XNOS)
    assert 999_990 <= earned <= 1_000_000
    assert state(holder) == model
    assert world.tokens(world.nos(holder.wallet)) == before + earned

    lamports = world.lamports(holder.wallet)
    rent = world.lamports(holder.reward)
    holder.do("rewards", "close")
    assert world.account(holder.reward) is None
    assert world.lamports(holder.wallet) == lamports + rent < 10 * SOL
    pot = world.data(world.reflection)
    assert number(pot, POT_REFLECTION, 16) == model.total_reflection - model.reflection
    assert number(pot, POT_XNOS, 16) == model.total_xnos - model.xnos


def test_sync_needs_no_signature_and_keeps_what_was_earned() -> None:
    holder = Holder().take_part()
    model = Model()
    model.enter(XNOS)
    holder.do("rewards", "add_fee", 500)
    model.add_fee(500)
    holder.world.poke(holder.stake, STAKE_XNOS, u128(2 * XNOS))
    holder.do("rewards", "sync")
    model.sync(2 * XNOS)
    assert state(holder) == model
    holder.do("rewards", "claim")
    model.claim(2 * XNOS)
    assert state(holder) == model


SHARED = Holder().take_part()


@settings(max_examples=80, deadline=None)
@given(
    # All NOS there are, locked for a year, are 4 * 10**14; their reflection must stay below 2**128.
    xnos=st.integers(1, 3 * 10**13),
    new_xnos=st.integers(0, 3 * 10**13),
    others=st.integers(0, 3 * 10**13),
    fee=st.integers(1, 10**12),
    instruction=st.sampled_from(["claim", "sync"]),
)
def test_shares_of_any_size(xnos: int, new_xnos: int, others: int, fee: int, instruction: str) -> None:
    holder, world = SHARED, SHARED.world
    model = Model()
    model.enter(xnos)
    model.total_reflection += others * FIRST_RATE
    model.total_xnos += others
    model.add_fee(fee)
    totals = u128(model.rate) + u128(model.total_reflection) + u128(model.total_xnos)
    world.poke(world.reflection, POT_RATE, totals)
    world.poke(holder.reward, REWARD_REFLECTION, u128(model.reflection) + u128(model.xnos))
    world.poke(holder.stake, STAKE_XNOS, u128(max(new_xnos, xnos)))
    world.put_tokens(world.rewards_vault, world.rewards_vault, fee)
    world.put_tokens(world.nos(holder.wallet), holder.wallet, FUNDS)
    outcome = holder.attempt("rewards", instruction).send()
    assert outcome.ok, outcome.logs
    earned = 0
    if instruction == "claim":
        earned = model.claim(max(new_xnos, xnos))
    else:
        model.sync(max(new_xnos, xnos))
    assert state(holder) == model
    assert world.tokens(world.nos(holder.wallet)) == FUNDS + earned


@pytest.mark.parametrize(
    ("xnos", "rate", "fits"),
    [
        (2**64, 2**63, True),
        (2**64, 2**64, False),
        (2**100, 2**27, True),
        (2**27 + 1, 2**101, False),
        (2**127, 2, False),
    ],
)
def test_products_beyond_128_bits_abort(xnos: int, rate: int, fits: bool) -> None:
    holder = Holder().lock()
    holder.do("rewards", "init")
    holder.world.poke(holder.world.reflection, POT_RATE, u128(rate))
    holder.world.poke(holder.stake, STAKE_XNOS, u128(xnos))
    outcome = holder.attempt("rewards", "enter").send()
    assert outcome.ok == fits
    assert outcome.line == ""
    if fits:
        assert state(holder).reflection == xnos * rate


@settings(max_examples=80, deadline=None)
@given(reflection=st.integers(0, 2**128 - 1), xnos=st.integers(1, 2**128 - 2**64))
def test_quotients_of_any_size(reflection: int, xnos: int) -> None:
    world = SHARED.world
    world.poke(world.reflection, POT_REFLECTION, u128(reflection) + u128(xnos))
    world.put_tokens(world.nos(SHARED.wallet), SHARED.wallet, FUNDS)
    world.put_tokens(world.rewards_vault, world.rewards_vault, 0)
    SHARED.do("rewards", "add_fee", 1)
    assert state(SHARED).rate == reflection // (xnos + 1)
