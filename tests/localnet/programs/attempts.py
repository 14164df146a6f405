"""A call that would succeed, and the faults that can be put into it.

The programs' rules are tested by their order: with any two faults in one call, the earlier rule is the one that is
reported. That tests each rule, and that it comes before each later one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import combinations

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from .harness import Argument, Outcome, World, accounts_of


@dataclass
class Attempt:
    world: World
    program: str
    name: str
    accounts: dict[str, Pubkey]
    args: list[Argument] = field(default_factory=list)
    unsigned: set[str] = field(default_factory=set)
    readonly: set[str] = field(default_factory=set)
    keep: int | None = None
    """Only so many accounts are passed."""
    size: int | None = None
    """Only so many bytes are passed."""

    def send(self) -> Outcome:
        return self.world.send(self.instruction())

    def instruction(self) -> Instruction:
        whole = self.world.instruction(
            self.program,
            self.name,
            self.accounts,
            *self.args,
            unsigned=self.unsigned,
            readonly=self.readonly,
            keep=self.keep,
        )
        return Instruction(whole.program_id, bytes(whole.data)[: self.size], list(whole.accounts))

    def address(self, name: str) -> Pubkey:
        return (self.world.constants() | self.accounts)[name]

    def roles(self, name: str) -> set[str]:
        """Every name under which the account of that name is passed."""
        return {role for role in accounts_of(self.program, self.name) if self.address(role) == self.address(name)}

    def copy(self) -> Attempt:
        return replace(
            self,
            accounts=dict(self.accounts),
            args=list(self.args),
            unsigned=set(self.unsigned),
            readonly=set(self.readonly),
        )


Fault = Callable[[Attempt], None]
Rule = tuple[Fault, str, str]
"""A fault, the error it raises, and the account that is blamed (nothing for an error of the handler)."""


def unsigned(name: str) -> Fault:
    """Takes the signature of a key away, in all of its roles."""

    def put(attempt: Attempt) -> None:
        attempt.unsigned |= attempt.roles(name)
        attempt.world.fees = attempt.world.wallet()

    return put


def readonly(name: str) -> Fault:
    """Does not let an account be written to, in any of its roles."""

    def put(attempt: Attempt) -> None:
        attempt.readonly |= attempt.roles(name)

    return put


def same(name: str, other: str) -> Fault:
    """Passes the account `other` for `name` as well."""

    def put(attempt: Attempt) -> None:
        attempt.accounts[name] = attempt.address(other)

    return put


def stranger(name: str, *, sol: int = 1) -> Fault:
    """Passes a wallet that has nothing to do with it."""

    def put(attempt: Attempt) -> None:
        attempt.accounts[name] = attempt.world.wallet(sol=sol)

    return put


def tokens_of_stranger(name: str, *, own_mint: bool = True) -> Fault:
    """Passes a token account of somebody else, of NOS or of another mint."""

    def put(attempt: Attempt) -> None:
        world = attempt.world
        mint = world.mint if own_mint else world.put_mint(world.key())
        attempt.accounts[name] = world.put_tokens(world.key(), world.key(), 5, mint)

    return put


def other_mint(attempt: Attempt) -> None:
    attempt.accounts["mint"] = attempt.world.put_mint(attempt.world.key())


def stored(name: str, offset: int, value: bytes | None = None) -> Fault:
    """Overwrites bytes of the account, by default with a key that nobody has."""

    def put(attempt: Attempt) -> None:
        attempt.world.poke(attempt.address(name), offset, bytes(Pubkey.new_unique()) if value is None else value)

    return put


def argument(index: int, value: Argument) -> Fault:
    def put(attempt: Attempt) -> None:
        attempt.args[index] = value

    return put


def together(*faults: Fault) -> Fault:
    def put(attempt: Attempt) -> None:
        for fault in faults:
            fault(attempt)

    return put


def check_pairs(make: Callable[[], Attempt], rules: list[Rule]) -> None:
    """Every rule is reported, alone and beside each later one; without any fault the call succeeds.

    Where two rules look at the same thing, the earlier fault is the one that is left standing.
    """
    whole = make()
    world = whole.world
    singles = [(rule,) for rule in rules]
    for broken in [*singles, *combinations(rules, 2)]:
        attempt = whole.copy()
        with world.rewinding():
            for fault, _, _ in reversed(broken):
                fault(attempt)
            outcome = attempt.send()
        _, error, blamed = broken[0]
        expected = [(error, blamed) for _, error, blamed in broken]
        assert (outcome.name, outcome.origin) == (error, blamed), (whole.name, expected, outcome.logs)
    outcome = whole.send()
    assert outcome.ok, outcome.logs
