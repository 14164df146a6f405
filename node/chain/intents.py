"""What the outbox is asked to do, and what it remembers of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair

from node.bounded_json import read_json
from node.chain.addresses import to_address, to_key
from node.chain.rpc import Rpc
from node.errors import JournalError
from node.records import Address, OutboxRow, Signature

Effect = Callable[[Rpc], Awaitable[bool]]
"""Whether the chain, read through the Rpc given (which fixes commitment and oldest view), shows what the transaction
was to bring about. Read through that Rpc and no other."""

RENEWABLE = frozenset(
    {
        *("finish", "complete", "quit", "stop", "register", "update", "memo", "token_account"),
        *("extend", "end", "delist", "recover", "clean", "market_update"),
    }
)
"""Kinds that are harmless twice (the second is refused or changes nothing): signed anew at once when they lag. All
others wait until the chain has finalized that the earlier signature can never land."""

RECIPE_LIMIT = 1 << 20
"""Bytes of a stored recipe; a transaction has 1,232."""

SETTLING = frozenset({"finish", "complete"})
"""Kinds tried for as long as they could still succeed."""

OPPOSITE = {"work": "stop", "stop": "work"}
"""Kinds of which a later one of the other kind undoes what was wanted: lost in a fork, the earlier is let go."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One thing to bring about on chain.

    `key` is unique for the thing (`finish:<run>`), not for the try: sending the same intent again while it is under
    way joins it. `kind` is the name the spending policy knows.
    """

    key: str
    lane: str
    kind: str
    instructions: tuple[Instruction, ...]
    extra_signers: tuple[Keypair, ...] = field(default=(), repr=False)
    effect: Effect | None = None

    @property
    def recipe(self) -> Recipe:
        """What is needed to sign it anew."""
        return Recipe(self.instructions, self.extra_signers)


@dataclass(frozen=True, slots=True)
class Landed:
    """A transaction that is confirmed and succeeded. `fee` in lamports."""

    signature: Signature
    slot: int
    fee: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is needed to sign a transaction anew, and the signatures under which it may have landed before.

    It holds the secrets of one-time keys (a run's, a job's): worthless once the transaction has landed, and needed to
    sign the same thing rather than a second one.
    """

    instructions: tuple[Instruction, ...]
    extra_signers: tuple[Keypair, ...] = field(default=(), repr=False)
    earlier: tuple[Signature, ...] = ()
    promised: Signature | None = None
    """The signature under which it was last said to have landed; None: it has not been said yet."""

    def same_as(self, other: Recipe) -> bool:
        """Whether both bring about the same."""
        return self.instructions == other.instructions and self.extra_signers == other.extra_signers

    def encode(self) -> bytes:
        """As the journal stores it."""
        document = {
            "instructions": [_instruction_json(each) for each in self.instructions],
            "signers": [_text(bytes(each)) for each in self.extra_signers],
            "earlier": list(self.earlier),
            "promised": self.promised,
        }
        return json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, raw: bytes) -> Recipe:
        """The inverse of `encode`. Raises JournalError."""
        try:
            document = read_json(raw, limit=RECIPE_LIMIT)
            promised = document.get("promised")
            return cls(
                instructions=tuple(_instruction(each) for each in document["instructions"]),
                extra_signers=tuple(Keypair.from_bytes(_raw(each)) for each in document["signers"]),
                earlier=tuple(Signature(str(each)) for each in document["earlier"]),
                promised=None if promised is None else Signature(str(promised)),
            )
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise JournalError(
                "a stored transaction cannot be read", hint="The journal was written by another version."
            ) from error


class OutboxStore(Protocol):
    """Where rows are durable; `put` returns when they are."""

    async def put(self, row: OutboxRow) -> None:
        """Store a row, replacing the one with the same key."""
        ...

    async def get(self, key: str) -> OutboxRow | None:
        """The row with this key."""
        ...

    async def pending(self, lane: str) -> Sequence[OutboxRow]:
        """A lane's rows, oldest first."""
        ...

    async def delete(self, key: str) -> None:
        """Forget a row; harmless when it is not there."""
        ...


class MemoryStore:
    """Rows of a process that has no journal: a command that waits for its one transaction."""

    def __init__(self) -> None:
        self._rows: dict[str, OutboxRow] = {}

    async def put(self, row: OutboxRow) -> None:
        """Store a row, replacing the one with the same key."""
        self._rows[row.key] = row

    async def get(self, key: str) -> OutboxRow | None:
        """The row with this key."""
        return self._rows.get(key)

    async def pending(self, lane: str) -> tuple[OutboxRow, ...]:
        """A lane's rows, oldest first."""
        return tuple(row for row in self._rows.values() if row.lane == lane)

    async def delete(self, key: str) -> None:
        """Forget a row; harmless when it is not there."""
        self._rows.pop(key, None)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _raw(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _instruction_json(instruction: Instruction) -> dict[str, Any]:
    return {
        "program": to_address(instruction.program_id),
        "data": _text(bytes(instruction.data)),
        "accounts": [[to_address(meta.pubkey), meta.is_signer, meta.is_writable] for meta in instruction.accounts],
    }


def _instruction(document: Any) -> Instruction:
    metas = [
        AccountMeta(to_key(Address(key)), bool(signer), bool(writable))
        for key, signer, writable in document["accounts"]
    ]
    return Instruction(to_key(document["program"]), _raw(document["data"]), metas)
