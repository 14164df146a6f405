"""What becomes of a transaction after it has landed, until the chain has finalized it.

A fork can take back what was confirmed: it may land again by itself, land with an error because something else came
first, or never. Somebody was told that it had landed, so it is driven again until its effect is final, or until the
chain has finalized that it cannot be. Who was told then hears of it (`undone`) and looks at the chain anew.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from node.chain.booking import Books
from node.chain.delivery import BLOCKHASH_BLOCKS, Delivery
from node.chain.intents import OPPOSITE, RENEWABLE, Effect, OutboxStore, Recipe
from node.chain.replies import Commitment, LandedTransaction, LatestBlockhash, SignatureStatus
from node.chain.rpc import Rpc
from node.errors import TransactionFailed
from node.records import OutboxRow, OutboxState, Signature
from node.retry import Clock

_log = logging.getLogger(__name__)
FORGOTTEN_AFTER = 3_600.0
"""Seconds after which an endpoint may have pruned a signature: silence about it then proves nothing."""


async def nobody_told(_row: OutboxRow) -> None:
    """For outboxes whose callers look at the chain by themselves."""


class Upkeep:
    """Looks after landed rows; holds no state between calls but the store's rows. The caller sees to it that one task
    at a time deals with a row."""

    def __init__(
        self,
        rpc: Rpc,
        store: OutboxStore,
        delivery: Delivery,
        books: Books,
        clock: Clock,
        effects: Callable[[OutboxRow], Effect | None],
        undone: Callable[[OutboxRow], Awaitable[None]],
    ) -> None:
        """`undone` is told of a row that was said to have landed and ended otherwise: under another signature, in
        another block (what it moved may depend on the time), through something else, or not at all. It is told before
        the row is forgotten, and perhaps more than once."""
        self._rpc = rpc
        self._store = store
        self._delivery = delivery
        self._books = books
        self._clock = clock
        self._effects = effects
        self._undone = undone

    async def look_after(self, row: OutboxRow) -> None:
        """One look at a row that is CONFIRMED or FAILED, and the one thing to do about it. Raises ChainError where
        nothing can be told, and TransactionFailed when a drive failed; the row then stays."""
        row = _with_promise(row)
        landings = await self._delivery.landings(row)
        if not landings:
            await self._vanished(row)
            return
        signature, status = landings[0]
        there = tuple(each for each, _ in landings)
        if status.error is None:
            await self._succeeded(row, signature, status, there)
        else:
            await self._refused(row, status, there)

    async def revive(self, row: OutboxRow) -> int | None:
        """Drive a confirmed row at once if a fork has dropped it and the same bytes can still land; the slot at which
        they have. Raises TransactionFailed."""
        if await self._delivery.landings(row) or await self._expired(row):
            return None
        return await self._drive(_with_promise(row))

    # --- as its signatures stand ---

    async def _succeeded(
        self, row: OutboxRow, signature: Signature, status: SignatureStatus, there: tuple[Signature, ...]
    ) -> None:
        if row.state is OutboxState.CONFIRMED and (_promised(row) not in (None, signature) or _moved(row, status.slot)):
            row = await self._tell(row, signature, status.slot)
        if not status.reached("finalized"):
            return
        # One answer of one endpoint is no proof: the ledger, or the accounts, must show it as well.
        found = await self._rpc.get_transaction(signature, commitment="finalized")
        if (found is not None and found.failure is None) or await self._shows(row, "finalized", status.slot):
            await self._forget(row, there, found)

    async def _refused(self, row: OutboxRow, status: SignatureStatus, there: tuple[Signature, ...]) -> None:
        """Its landing, or the one that a fork left of it, was with an error."""
        final = status.reached("finalized")
        if _promised(row) is None:
            # Its caller knows that it failed.
            if final:
                await self._forget(row, there)
            return
        if await self._shows(row, "finalized" if final else "confirmed", status.slot):
            # Something else had brought it about first; what was told of the row is not how it came.
            if final:
                await self._end(row, there)
            return
        if await self._is_overtaken(row):
            await self._forget(row, there)
            return
        if row.kind not in RENEWABLE and not (final and await self._expired(row)):
            return
        await self._sign_again(row, there, decided=final)

    async def _vanished(self, row: OutboxRow) -> None:
        """No endpoint knows any of its signatures."""
        if await self._is_overtaken(row):
            # At once: by the time it can no longer land, what overtook it is final and forgotten.
            await self._forget(row, ())
            return
        head = await self._expired(row)
        if head is None:
            if _promised(row) is not None:
                await self._drive(row)
            return
        if _promised(row) is None:
            await self._forget(row, ())
            return
        found = await self._rpc.get_transaction(row.signature, commitment="finalized")
        if found is not None and found.failure is None:
            await self._forget(row, (found.signature,), found)
            return
        effect = self._effects(row)
        if effect is not None and await effect(self._rpc.pinned("finalized", head.slot)):
            await self._forget(row, ())
            return
        if row.kind not in RENEWABLE and self._clock.time() - row.created_at > FORGOTTEN_AFTER:
            # What became of it cannot be told any more, and twice would be once too often.
            await self._end(row, ())
            return
        _log.warning("transaction %s was confirmed and is gone: a fork dropped it", row.key)
        await self._sign_again(row, (), decided=True)

    # --- what to do about it ---

    async def _drive(self, row: OutboxRow) -> int:
        """Send the same bytes, and what the rules allow after them, until it has landed again."""
        again = replace(row, state=OutboxState.SENDING, slot=None, error="")
        await self._store.put(again)
        return await self.see_through(again)

    async def _sign_again(self, row: OutboxRow, there: tuple[Signature, ...], *, decided: bool) -> None:
        """`decided`: the chain has finalized that no signature of the row brought its effect about, or can."""
        try:
            again = await self._delivery.again(row)
        except TransactionFailed as refused:
            if decided:
                _log.warning("transaction %s cannot be had any more: %s", row.key, refused.message)
                await self._end(row, there)
            return
        _log.warning("transaction %s is signed anew after a fork", row.key)
        await self._store.put(again)
        await self.see_through(again)

    async def see_through(self, row: OutboxRow) -> int:
        """Deliver a row that is SENDING; the slot at which it landed. Raises TransactionFailed."""
        landed = await self._delivery.deliver(row, self._effects(row))
        now = await self._store.get(row.key)
        # Whoever was told before it was driven was told of another block, if not of another signature.
        if now is not None and Recipe.decode(row.recipe).promised is not None:
            await self._tell(now, landed.signature, landed.slot)
        return landed.slot

    async def _tell(self, row: OutboxRow, signature: Signature, slot: int) -> OutboxRow:
        """It landed otherwise than was said: say so, durably, and once."""
        await self._undone(row)
        recipe = replace(Recipe.decode(row.recipe), promised=signature)
        told = replace(row, signature=signature, slot=slot, recipe=recipe.encode())
        await self._store.put(told)
        return told

    async def _end(self, row: OutboxRow, there: tuple[Signature, ...]) -> None:
        await self._undone(row)
        await self._forget(row, there)

    async def _forget(
        self, row: OutboxRow, there: tuple[Signature, ...], found: LandedTransaction | None = None
    ) -> None:
        """The row is over, with these of its signatures on the chain; the books are put right before it goes."""
        await self._books.final(row, there, found)
        await self._store.delete(row.key)

    # --- what the chain shows ---

    async def _shows(self, row: OutboxRow, commitment: Commitment, slot: int) -> bool:
        effect = self._effects(row)
        if effect is None:
            return False
        return await effect(self._rpc.pinned(commitment, slot))

    async def _expired(self, row: OutboxRow) -> LatestBlockhash | None:
        """The finalized head, where nothing signed for the row can land any more."""
        # Height and slot in one answer, so that the effect is looked for in a view in which it is over.
        head = await self._rpc.get_latest_blockhash(commitment="finalized")
        over = head.last_valid_block_height - BLOCKHASH_BLOCKS > row.last_valid_block_height
        return head if over else None

    async def _is_overtaken(self, row: OutboxRow) -> bool:
        """Whether the lane has since asked for the opposite: what it wanted then it wants no more."""
        other = OPPOSITE.get(row.kind)
        rows = await self._store.pending(row.lane) if other is not None else ()
        return any(each.kind == other and each.created_at > row.created_at for each in rows)


def _promised(row: OutboxRow) -> Signature | None:
    """The signature under which somebody was told that the row landed; None: nobody was."""
    kept = Recipe.decode(row.recipe).promised
    return row.signature if kept is None and row.state is OutboxState.CONFIRMED else kept


def _moved(row: OutboxRow, slot: int) -> bool:
    """Whether it is in another block than was said."""
    return row.slot is not None and row.slot != slot


def _with_promise(row: OutboxRow) -> OutboxRow:
    """The row with its promise in its recipe, where every later state of it keeps it."""
    recipe = Recipe.decode(row.recipe)
    return replace(row, recipe=replace(recipe, promised=_promised(row)).encode())
