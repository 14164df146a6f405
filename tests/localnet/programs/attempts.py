"""A call that would succeed, and the faults that can be put into it.

The programs' rules are tested by their order: with all faults from the n-th on put into one call, the n-th rule is the
one that is reported. That tests each rule and that it comes before all later ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from solders.pubkey import Pubkey

from .harness import Argument, Outcome, World


@dataclass
class Attempt:
    world: World
    program: str
    name: str
    accounts: dict[str, Pubkey]
    args: list[Argument] = field(default_factory=list)
    unsigned: set[str] = field(default_factory=set)
    readonly: set[str] = field(default_factory=set)

    def send(self) -> Outcome:
        return self.world.call(
            self.program, self.name, self.accounts, *self.args, unsigned=self.unsigned, readonly=self.readonly
        )


Fault = Callable[[Attempt], None]
Rule = tuple[Fault, str, str]
"""A fault, the error it raises, and the account that is blamed (nothing for an error of the handler)."""


def unsigned(*names: str) -> Fault:
    """Takes the signature away; all roles of a key must be named."""

    def put(attempt: Attempt) -> None:
        attempt.unsigned.update(names)
        attempt.world.fees = attempt.world.wallet()

    return put


def readonly(name: str) -> Fault:
    return lambda attempt: attempt.readonly.add(name)


def same(name: str, other: str) -> Fault:
    """Passes the account `other` for `name` as well."""

    def put(attempt: Attempt) -> None:
        attempt.accounts[name] = attempt.accounts[other]

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
        attempt.world.poke(attempt.accounts[name], offset, bytes(Pubkey.new_unique()) if value is None else value)

    return put


def argument(index: int, value: Argument) -> Fault:
    def put(attempt: Attempt) -> None:
        attempt.args[index] = value

    return put


def check_order(make: Callable[[], Attempt], rules: list[Rule]) -> None:
    """Every rule is reported in the presence of all later faults; without any fault the call succeeds."""
    for index, (_, error, blamed) in enumerate(rules):
        attempt = make()
        # Later faults first: where two change the same thing, the earlier rule must see its own.
        for fault, _, _ in reversed(rules[index:]):
            fault(attempt)
        outcome = attempt.send()
        assert (outcome.name, outcome.origin) == (error, blamed), (attempt.name, index, outcome.logs)
    outcome = make().send()
    assert outcome.ok, outcome.logs
