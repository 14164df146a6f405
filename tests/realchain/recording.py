"""What the programs' tests did on the Solana virtual machine: every transaction with what it found and what it left."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from solders.account import Account
from solders.hash import Hash
from solders.message import Message
from solders.pubkey import Pubkey


@dataclass(frozen=True, slots=True)
class Held:
    """An account's content; two equal ones are one object in a recording."""

    lamports: int
    owner: bytes
    data: bytes

    def account(self) -> Account:
        return Account(self.lamports, self.data, Pubkey.from_bytes(self.owner), False)


@dataclass(frozen=True, slots=True)
class Program:
    """A deployed program."""

    code: bytes


@dataclass(frozen=True, slots=True)
class Everywhere:
    """What every cluster has there: a program or a sysvar that nobody put in place."""


State = Held | Program | Everywhere | None
"""What lies at an address; None is nothing."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a transaction; the error in the form RPC nodes give it, None for success."""

    error: Any
    logs: tuple[str, ...]
    units: int


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction of a test, with every account it names before and after."""

    test: str
    unix_time: int
    """Of the chain, in seconds."""
    message: bytes
    """A legacy message, with no blockhash."""
    seeds: tuple[bytes, ...]
    """Secret seeds of the signers, in the order of the message."""
    before: Mapping[bytes, State]
    after: Mapping[bytes, State]
    result: Result

    @property
    def failed(self) -> bool:
        return self.result.error is not None


def with_blockhash(message: Message, blockhash: Hash) -> Message:
    """The same message with another blockhash."""
    header = message.header
    return Message.new_with_compiled_instructions(
        header.num_required_signatures,
        header.num_readonly_signed_accounts,
        header.num_readonly_unsigned_accounts,
        message.account_keys,
        blockhash,
        message.instructions,
    )


@dataclass(slots=True)
class Recording:
    """The transactions of each virtual machine, in the order in which they were sent."""

    worlds: list[list[Step]] = field(default_factory=list)
    ran: set[str] = field(default_factory=set)
    """Every test that ran, with or without transactions."""
    properties: set[str] = field(default_factory=set)
    """Those of them that make up examples by the dozen."""


@dataclass(slots=True)
class Segment:
    """Transactions that follow from one another: nothing else changed an account between them, and no time passed."""

    unix_time: int
    genesis: dict[bytes, State] = field(default_factory=dict)
    changed: set[bytes] = field(default_factory=set)
    payers: dict[bytes, Held] = field(default_factory=dict)
    """Accounts that do nothing but pay fees: who shares one shares nothing that matters."""
    steps: list[Step] = field(default_factory=list)

    @property
    def tests(self) -> set[str]:
        return {step.test for step in self.steps}

    @property
    def shape(self) -> Hashable:
        """What was asked and answered, whoever's accounts it was about."""
        return tuple(
            (
                step.unix_time,
                repr(step.result.error),
                tuple(
                    (message.account_keys[each.program_id_index], each.data)
                    for message in (Message.from_bytes(step.message),)
                    for each in message.instructions
                ),
            )
            for step in self.steps
        )

    def waves(self) -> Iterator[list[Step]]:
        """Steps that may be sent at once: several that fail (they change nothing), or one that succeeds."""
        wave: list[Step] = []
        for step in self.steps:
            if wave and (not step.failed or any(other.message == step.message for other in wave)):
                yield wave
                wave = []
            wave.append(step)
            if not step.failed:
                yield wave
                wave = []
        if wave:
            yield wave


def segments(world: list[Step]) -> list[Segment]:
    """The world's transactions, cut wherever a test put something in place by hand."""
    found: list[Segment] = []
    state: dict[bytes, State] = {}
    for step in world:
        meddled = any(key in state and state[key] != value for key, value in step.before.items())
        if not found or found[-1].unix_time != step.unix_time or meddled:
            found.append(Segment(step.unix_time))
            state = {}
        segment = found[-1]
        for key, value in step.before.items():
            if key not in state:
                segment.genesis[key] = value
        state.update(step.after)
        segment.changed.update(key for key, value in step.after.items() if step.before[key] != value)
        segment.steps.append(step)
    for segment in found:
        _set_payers_apart(segment)
    return found


def _set_payers_apart(segment: Segment) -> None:
    messages = [Message.from_bytes(step.message) for step in segment.steps]
    used = {
        bytes(message.account_keys[index])
        for message in messages
        for instruction in message.instructions
        for index in instruction.accounts
    }
    for payer in {bytes(message.account_keys[0]) for message in messages} - used:
        held = segment.genesis[payer]
        if isinstance(held, Held):
            segment.payers[payer] = held
            del segment.genesis[payer]
            segment.changed.discard(payer)
