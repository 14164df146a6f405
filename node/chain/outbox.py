"""Every transaction on its way to the chain.

A row with the signed bytes and the last block height at which they can land is durable before the first send. The
same bytes are sent again until they land or no longer can. What is harmless twice is signed anew as soon as it lags;
anything else only when the finalized block height has passed the last valid one and a finalized read shows no effect.
Accounts decide, signature statuses are a hint, and landed with an error is landed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import NoReturn

from node.chain.booking import Books, not_booked
from node.chain.delivery import Delivery, Pace
from node.chain.fees import FeePolicy
from node.chain.intents import RENEWABLE, Effect, Intent, Landed, MemoryStore, OutboxStore, Recipe
from node.chain.rpc import Rpc
from node.chain.upkeep import Upkeep, nobody_told
from node.chain.wallet import Signer
from node.errors import GpunodeError, SpendingRefused, TransactionFailed
from node.records import Booking, OutboxRow, OutboxState
from node.retry import Clock, SystemClock

__all__ = ["Effect", "Intent", "Landed", "MemoryStore", "Outbox", "OutboxStore", "Pace", "Resumed"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resumed:
    """How a transaction of an earlier process ended: landed or failed."""

    row: OutboxRow
    landed: Landed | None
    failure: GpunodeError | None


class _Turn:
    """Whose turn it is at a key, and how many wait for it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


def no_effect(_row: OutboxRow) -> Effect | None:
    """For rows of which nothing is known but their signature."""
    return None


class Outbox:
    """Sends intents and sees them through to finality.

    `effects` gives the effect to look for of a row that an earlier process left (by its kind and key); `book` is told
    what each transaction on the chain cost its wallet, when it has landed and once more when that is final. `undone`
    is told of what was said to have landed and came to another end after a fork (see upkeep.py); it must be durable
    when it returns.
    """

    def __init__(
        self,
        rpc: Rpc,
        signer: Signer,
        store: OutboxStore,
        fees: FeePolicy | None = None,
        clock: Clock | None = None,
        *,
        pace: Pace | None = None,
        effects: Callable[[OutboxRow], Effect | None] = no_effect,
        book: Callable[[Booking], Awaitable[None]] = not_booked,
        undone: Callable[[OutboxRow], Awaitable[None]] = nobody_told,
    ) -> None:
        self._rpc = rpc
        self._store = store
        self._clock = clock or SystemClock()
        self._pace = pace or Pace()
        self._effects = effects
        books = Books(rpc, self._clock, book)
        self._delivery = Delivery(rpc, signer, store, fees or FeePolicy(), self._clock, self._pace, books)
        self._upkeep = Upkeep(rpc, store, self._delivery, books, self._clock, effects, undone)
        self._turns: dict[str, _Turn] = {}
        self._newest = 0

    @property
    def newest_slot(self) -> int:
        """The newest slot at which a transaction of ours is known to have landed; 0 for none. A view of the chain from
        before it does not show what we did."""
        return self._newest

    async def send(self, intent: Intent) -> Landed:
        """Bring an intent about; returns when it is confirmed.

        Raises TransactionFailed when a simulation before the first send (then nothing is left behind) or the chain
        refuses it, or when it cannot land in time (`error` is "Expired"); SpendingRefused; RpcUnavailable only while
        nothing has been sent. Cancelling leaves the row: `resume`, or sending the same intent again, goes on with it.
        """
        async with self._held(intent.key):
            row = await self._store.get(intent.key)
            if row is not None:
                known = await self._join(intent, row)
                if known is not None:
                    return known
            row = await self._delivery.sign(
                key=intent.key, lane=intent.lane, kind=intent.kind, recipe=intent.recipe, attempt=1
            )
            await self._store.put(row)
            return await self._deliver(row, intent.effect)

    async def knows(self, key: str) -> bool:
        """Whether a transaction with this key is under way, or has landed and is not finalized: if a fork undoes it, it
        is driven again from here."""
        return await self._store.get(key) is not None

    async def resume(self, lane: str, kind: str | None = None) -> tuple[Resumed, ...]:
        """See through what an earlier process, or a call that was given up, left under way: all of a lane, or what is
        of one kind. Of one kind, what a fork has dropped and can land again is seen through as well; raises ChainError
        where that cannot be told."""
        rows = await self._store.pending(lane)
        self._newest = max((self._newest, *(row.slot or 0 for row in rows)))
        with _plain_errors():
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._resume_row(row.key, revive=kind is not None))
                    for row in rows
                    if kind in (None, row.kind)
                ]
        return tuple(ended for ended in (task.result() for task in tasks) if ended is not None)

    async def tend(self, lane: str) -> NoReturn:
        """Watch landed transactions until they are finalized, for as long as the agent runs."""
        with _plain_errors():
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._clock.sleep(self._pace.tend)
                    # One that waits for an endpoint, or for its blockhash to end, keeps no other from its turn.
                    await self._look_round(lane, group)

    async def tidy(self, lane: str) -> None:
        """One round of `tend`: forget what is finalized, drive again what a fork has dropped or a caller gave up."""
        async with asyncio.TaskGroup() as group:
            await self._look_round(lane, group)

    async def _look_round(self, lane: str, group: asyncio.TaskGroup) -> None:
        for row in await self._store.pending(lane):
            if row.key not in self._turns:
                group.create_task(self._tidy_row(row.key))

    async def _deliver(self, row: OutboxRow, effect: Effect | None) -> Landed:
        landed = await self._delivery.deliver(row, effect)
        self._newest = max(self._newest, landed.slot)
        return landed

    async def _join(self, intent: Intent, row: OutboxRow) -> Landed | None:
        """Go on with a row of the same key; None when the intent is to be signed as a new transaction."""
        same = Recipe.decode(row.recipe).same_as(intent.recipe)
        if row.state is OutboxState.CONFIRMED:
            if same and (intent.effect is None or await intent.effect(self._rpc)):
                return Landed(row.signature, row.slot or 0, row.fee)
            if same and row.kind not in RENEWABLE and not await self._delivery.landings(row):
                # A fork dropped it, and it may still land: a second one must not be made beside it.
                return await self._deliver(replace(row, state=OutboxState.SENDING, slot=None), intent.effect)
            return None
        if row.state is OutboxState.FAILED:
            return None
        if same:
            return await self._deliver(row, intent.effect)
        try:
            # Another thing under the same key: it must be out of the way first, whichever way it ends.
            await self._deliver(row, self._effects(row))
        except (TransactionFailed, SpendingRefused):
            # Refused by the policy: the settings name another payout by now, and nothing of it can land any more.
            _log.info("the earlier transaction %s came to nothing and is replaced", row.key)
        return None

    async def _resume_row(self, key: str, *, revive: bool) -> Resumed | None:
        async with self._held(key):
            # Read when it is our turn: whoever had it before may have brought the row to its end.
            row = await self._store.get(key)
            if row is None:
                return None
            if row.state is OutboxState.CONFIRMED and revive:
                with suppress(TransactionFailed):
                    self._newest = max(self._newest, await self._upkeep.revive(row) or 0)
            if row.state is not OutboxState.SENDING:
                return None
            try:
                return Resumed(row, await self._deliver(row, self._effects(row)), None)
            except GpunodeError as error:
                return Resumed(row, None, error)

    async def _tidy_row(self, key: str) -> None:
        async with self._held(key):
            try:
                row = await self._store.get(key)
                if row is None:
                    return
                if row.state is OutboxState.SENDING:
                    # Its sender was cancelled, or could not write to the journal: nobody else sees it through.
                    self._newest = max(self._newest, await self._upkeep.see_through(row))
                else:
                    await self._upkeep.look_after(row)
                    now = await self._store.get(key)
                    self._newest = max(self._newest, (now and now.slot) or 0)
            except GpunodeError as error:
                # The row stays, or its transaction came to nothing; whoever wanted it looks at the chain.
                _log.warning("transaction %s: %s", key, error)

    @asynccontextmanager
    async def _held(self, key: str) -> AsyncIterator[None]:
        """One task at a time per key."""
        turn = self._turns.setdefault(key, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if turn.users == 0:
                del self._turns[key]


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Let the first error of ours out of a task group as itself."""
    try:
        yield
    except* GpunodeError as group:
        leaf: BaseException = group
        while isinstance(leaf, BaseExceptionGroup):
            leaf = leaf.exceptions[0]
        raise leaf from None
