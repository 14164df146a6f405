"""Rewards of several holders: any sequence of calls against the same arithmetic in numbers without end."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from .attempts import Attempt
from .harness import World, number, pda, tag, u128
from .holder_rules import POT_RATE, REWARD_REFLECTION, STAKE_UNSTAKE, STAKE_XNOS
from .holder_scene import Holder

FIRST_RATE = 3402823669209384634633746
LIMIT = 2**128
FUNDS = 10**18
HOLDERS = 3


class Overflow(Exception):
    """The program aborts."""


class Refused(Exception):
    """The program raises the named error."""


def fit(value: int, limit: int = LIMIT) -> int:
    if not 0 <= value < limit:
        raise Overflow
    return value


@dataclass
class Share:
    reflection: int
    xnos: int


@dataclass
class Pot:
    """What the program must hold after each call."""

    rate: int = FIRST_RATE
    total_reflection: int = 0
    total_xnos: int = 0
    vault: int = 0
    stakes: list[int] = field(default_factory=lambda: [0] * HOLDERS)
    shares: list[Share | None] = field(default_factory=lambda: [None] * HOLDERS)

    def enter(self, who: int) -> None:
        if self.shares[who]:
            raise Refused("Custom(0)")
        self._count_in(who, fit(self.stakes[who] * self.rate), self.stakes[who])

    def add_fee(self, amount: int) -> None:
        total = fit(self.total_xnos + amount)
        if not total:
            raise Overflow
        self.rate = self.total_reflection // total
        self.total_xnos = total
        self.vault = fit(self.vault + amount, 2**64)

    def claim(self, who: int) -> None:
        share = self._share(who)
        if self.stakes[who] < share.xnos:
            raise Refused("Decreased")
        earned = self._earned(share)
        if not earned:
            return
        self._take_out(share.reflection, fit(share.xnos + earned))
        self._count_in(who, fit(self.stakes[who] * self.rate), self.stakes[who])
        fit(earned, 2**64)
        if earned > self.vault:
            raise Refused("Custom(1)")
        self.vault -= earned

    def sync(self, who: int) -> None:
        share = self._share(who)
        earned = self._earned(share)
        self._take_out(share.reflection, share.xnos)
        self._count_in(who, fit(fit(self.stakes[who] + earned) * self.rate), self.stakes[who])

    def close(self, who: int) -> None:
        share = self._share(who)
        self._take_out(share.reflection, share.xnos)
        self.shares[who] = None

    def _share(self, who: int) -> Share:
        share = self.shares[who]
        if share is None:
            raise Refused("AccountNotInitialized")
        return share

    def _earned(self, share: Share) -> int:
        if not self.rate:
            raise Overflow
        return fit(share.reflection // self.rate - share.xnos)

    def _take_out(self, reflection: int, xnos: int) -> None:
        self.total_reflection = fit(self.total_reflection - reflection)
        self.total_xnos = fit(self.total_xnos - xnos)

    def _count_in(self, who: int, reflection: int, xnos: int) -> None:
        self.total_reflection = fit(self.total_reflection + reflection)
        self.total_xnos = fit(self.total_xnos + xnos)
        self.shares[who] = Share(reflection, xnos)


class Town:
    """Three holders who stake, and the pot."""

    def __init__(self) -> None:
        holder = Holder().take_part()
        self.holder, self.world = holder, holder.world
        self.people = [self.world.wallet() for _ in range(HOLDERS)]
        self.rewards = [pda([b"reward", bytes(who)], self.world.programs["rewards"]) for who in self.people]

    def reset(self) -> None:
        world = self.world
        world.poke(world.reflection, POT_RATE, u128(FIRST_RATE) + bytes(32))
        world.put_tokens(world.rewards_vault, world.rewards_vault, 0)
        for who, reward in zip(self.people, self.rewards, strict=True):
            world.put_tokens(world.nos(who), who, FUNDS)
            world.put(reward, Pubkey.default(), b"", 0)
            world.give(who, 10**9)

    def attempt(self, name: str, who: int, *args: int) -> Attempt:
        person = self.people[who]
        accounts = {
            "user": self.world.nos(person),
            "stake": self.world.stake(person),
            "reward": self.rewards[who],
            "authority": person,
        }
        return self.holder.attempt("rewards", name, *args, **accounts)

    def stored(self, stakes: list[int]) -> Pot:
        pot = self.world.data(self.world.reflection)
        rate, reflection, xnos = (number(pot, POT_RATE + 16 * index, 16) for index in range(3))
        shares = [self._share(reward) for reward in self.rewards]
        vault = self.world.tokens(self.world.rewards_vault)
        return Pot(rate, reflection, xnos, vault, list(stakes), shares)

    def _share(self, reward: Pubkey) -> Share | None:
        account = self.world.account(reward)
        if account is None or not account.data:
            return None
        data = bytes(account.data)
        return Share(number(data, REWARD_REFLECTION, 16), number(data, REWARD_REFLECTION + 16, 16))


TOWN = Town()

# All NOS there are, locked for a year, weigh 4 * 10**14: their reflection does not fit, which is an abort as well.
STAKES = st.integers(0, 10**14) | st.integers(0, 1000) | st.just(4 * 10**14) | st.integers(0, LIMIT - 1)
CALLS = st.tuples(
    st.sampled_from(["enter", "add_fee", "add_fee", "claim", "claim", "sync", "close", "restake"]),
    st.integers(0, HOLDERS - 1),
    STAKES,
    st.integers(0, 10**15) | st.integers(0, 3),
)


@settings(max_examples=80, deadline=None)
@given(stakes=st.tuples(*[st.integers(0, 10**13)] * HOLDERS), calls=st.lists(CALLS, min_size=6, max_size=25))
def test_any_life_of_a_pot(stakes: tuple[int, ...], calls: list[tuple[str, int, int, int]]) -> None:
    TOWN.reset()
    world, model = TOWN.world, Pot(stakes=list(stakes))
    for who, xnos in enumerate(stakes):
        world.put_stake(TOWN.people[who], xnos=xnos)
    for name, who, xnos, amount in [*(("enter", who, 0, 0) for who in range(HOLDERS)), *calls]:
        if name == "restake":
            model.stakes[who] = xnos
            world.put_stake(TOWN.people[who], xnos=xnos)
            continue
        before = TOWN.stored(model.stakes)
        args = [amount] if name == "add_fee" else []
        outcome = TOWN.attempt(name, who, *args).send()
        expected = verdict(model, name, *args or [who])
        assert outcome.name == expected, outcome.logs
        model = before if expected else model
        assert TOWN.stored(model.stakes) == model


def verdict(model: Pot, name: str, argument: int) -> str:
    """What the model says of the call: the error's name, or nothing."""
    try:
        getattr(model, name)(argument)
    except Overflow:
        return "ProgramFailedToComplete"
    except Refused as refusal:
        return str(refusal)
    return ""


def share_of(holder: Holder) -> tuple[int, int]:
    data = holder.world.data(holder.reward)
    return number(data, REWARD_REFLECTION, 16), number(data, REWARD_REFLECTION + 16, 16)


def test_a_stake_at_any_address_takes_part() -> None:
    """Its authority is all that counts."""
    holder = Holder()
    holder.do("rewards", "init")
    elsewhere = holder.world.put_stake(holder.wallet, xnos=7, address=holder.world.key())
    holder.do("rewards", "enter", stake=elsewhere)
    assert share_of(holder) == (7 * FIRST_RATE, 7)
    assert number(holder.world.data(holder.world.reflection), POT_RATE + 32, 16) == 7


def test_a_fee_for_nobody_aborts() -> None:
    holder = Holder()
    holder.do("rewards", "init")
    outcome = holder.attempt("rewards", "add_fee", 0).send()
    assert outcome.kind == "ProgramFailedToComplete"
    assert any("attempt to divide by zero" in log for log in outcome.logs)
    # A real fee without anybody taking part brings the rate to 0, and nobody can be counted in any more.
    holder.do("rewards", "add_fee", 1)
    assert number(holder.world.data(holder.world.reflection), POT_RATE, 16) == 0
    holder.lock()
    holder.do("rewards", "enter")
    assert holder.attempt("rewards", "claim").send().kind == "ProgramFailedToComplete"


def test_only_the_owner_of_the_tokens_pays_a_fee() -> None:
    holder = Holder().take_part()
    other = holder.world.wallet(nos=5)
    outcome = holder.attempt("rewards", "add_fee", 1, user=holder.world.nos(other)).send()
    assert (outcome.kind, outcome.line) == ("Custom(4)", "")


def test_what_is_pending_at_the_close_is_lost() -> None:
    holder = Holder().take_part()
    holder.do("rewards", "add_fee", 1_000)
    world = holder.world
    before = world.tokens(world.nos(holder.wallet))
    holder.do("rewards", "close")
    assert world.tokens(world.nos(holder.wallet)) == before
    assert world.tokens(world.rewards_vault) == 1_000
    pot = world.data(world.reflection)
    assert [number(pot, POT_RATE + 16 * index, 16) for index in (1, 2)] == [0, 1_000]


def test_anybody_may_sync_anybody_but_not_with_anothers_stake() -> None:
    holder = Holder().take_part()
    world = holder.world
    world.poke(holder.stake, STAKE_XNOS, u128(5))
    world.fees = world.wallet()
    holder.do("rewards", "sync")
    assert share_of(holder)[1] == 5
    other = world.put_stake(world.wallet(), xnos=9)
    outcome = holder.attempt("rewards", "sync", stake=other).send()
    assert (outcome.name, outcome.origin) == ("Unauthorized", "stake")
    world.poke(other, STAKE_UNSTAKE, b"\x01")
    outcome = holder.attempt("rewards", "sync", stake=other).send()
    assert outcome.name == "AlreadyUnstaked"


def test_an_account_that_is_closed_to_itself() -> None:
    """Reached with an account at an address that can sign; the derived ones cannot."""
    holder = Holder().take_part()
    world: World = holder.world
    strange = world.key()
    data = tag("RewardAccount") + bytes(strange) + bytes(40)
    world.put(strange, world.programs["rewards"], data.ljust(80, b"\0"))
    outcome = holder.attempt("rewards", "close", reward=strange, authority=strange).send()
    assert (outcome.name, outcome.origin) == ("ConstraintClose", "reward")
