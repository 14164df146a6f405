"""The books of what transactions cost: what is on the chain counts, each once, whatever we believed in between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from node.chain import transaction
from node.chain.fees import BASE_FEE
from node.chain.intents import Recipe
from node.chain.replies import LandedTransaction
from node.chain.rpc import Rpc
from node.errors import ChainError, GpunodeError
from node.records import Booking, OutboxRow, Signature
from node.retry import Clock, Retry

LANDED_LOOKUP = Retry(attempts=5, total=3.0, first=0.2, jitter=0.1)
"""How long the ledger is asked for a transaction that is known to have landed."""


class _Missing(GpunodeError):
    """The ledger does not show the transaction yet."""


async def not_booked(_booking: Booking) -> None:
    """For wallets whose spending is not counted."""


class Books:
    """Books the transactions of one outbox. Telling the same twice changes nothing."""

    def __init__(self, rpc: Rpc, clock: Clock, book: Callable[[Booking], Awaitable[None]]) -> None:
        self._rpc = rpc
        self._clock = clock
        self._book = book

    async def record_of(self, signature: Signature) -> LandedTransaction | None:
        """The transaction as the ledger shows it; None where it does not in time."""

        async def ask() -> LandedTransaction:
            found = await self._rpc.get_transaction(signature, commitment="confirmed")
            if found is None:
                raise _Missing("not yet")
            return found

        try:
            return await LANDED_LOOKUP.call(ask, on=(_Missing,), clock=self._clock)
        except (_Missing, ChainError):
            return None

    async def landed(self, row: OutboxRow, signature: Signature, found: LandedTransaction | None) -> None:
        """One of the row's signatures has landed, with or without an error; `found` is its record where it is known."""
        await self._book(_booking(row, signature, found))

    async def final(self, row: OutboxRow, landings: Iterable[Signature], found: LandedTransaction | None) -> None:
        """The row is over. `landings` are those of its signatures that are on the chain for good: each of them cost its
        fee, those with an error too. Whatever was booked of the others is taken back. `found` is the record of one."""
        there = set(landings)
        for signature in known(row, Recipe.decode(row.recipe)):
            if signature not in there:
                await self._book(Booking(row.lane, row.key, signature, 0, 0, 0))
            elif found is not None and found.signature == signature:
                await self.landed(row, signature, found)
            else:
                await self.landed(row, signature, await self.record_of(signature))


def known(row: OutboxRow, recipe: Recipe) -> tuple[Signature, ...]:
    """Every signature under which the row may have landed. That of its bytes is not always the one that landed."""
    return tuple(dict.fromkeys((row.signature, transaction.signature_of(row.wire), *recipe.earlier)))


def _booking(row: OutboxRow, signature: Signature, found: LandedTransaction | None) -> Booking:
    if found is None:
        fee = transaction.fee_of(row.wire)
        base = BASE_FEE * transaction.signers_of(row.wire)
        return Booking(row.lane, row.key, signature, fee, fee, max(fee - base, 0), certain=False)
    priority = max(found.fee - BASE_FEE * len(found.signers), 0)
    return Booking(row.lane, row.key, signature, -found.payer_change, found.fee, priority)
