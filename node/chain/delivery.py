"""One transaction from its first signature to its landing: the outbox's working part."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from node.chain import transaction
from node.chain.booking import Books, known
from node.chain.failures import OUT_OF_UNITS, failure
from node.chain.fees import FeePolicy
from node.chain.intents import RENEWABLE, SETTLING, Effect, Landed, OutboxStore, Recipe
from node.chain.replies import SignatureStatus
from node.chain.rpc import Rpc
from node.chain.wallet import Signer
from node.errors import ChainError, GpunodeError, RpcRejected, RpcUnavailable, TransactionFailed
from node.records import OutboxRow, OutboxState, Signature
from node.retry import Clock, Retry

_log = logging.getLogger(__name__)

SIGN_AGAIN = Retry(attempts=1_000, total=60.0, first=0.3, longest=5.0)
"""How long signing anew waits for an endpoint, after a signature that landed and did nothing."""
KNOWN = 8
"""Earlier signatures of one thing that are looked for."""
BLOCKHASH_BLOCKS = 150
"""Blocks for which a new blockhash is good (Solana)."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is done, in seconds."""

    resend: float = 2.0
    poll: float = 0.3
    """Wait before the first look; grows up to `poll_longest`."""
    poll_longest: float = 2.0
    expiry: float = 3.0
    """Between looks at the block height."""
    renew: float = 20.0
    """Age at which a signature that is harmless twice gets a successor with a higher fee."""
    attempts: int = 5
    """Signatures at most, for kinds that do not settle a job."""
    tend: float = 10.0


@dataclass(frozen=True, slots=True)
class _Dropped:
    """The row is forgotten: nothing of it can land any more, and it cannot be signed anew because of `error`."""

    error: GpunodeError


@dataclass(slots=True)
class _Schedule:
    """When what is due, on the clock's monotonic seconds."""

    send: float
    expiry: float
    renew: float
    pause: float


class _Starved(Exception):
    """A signature landed, did nothing, and only because its compute limit was too low."""

    def __init__(self, signature: Signature) -> None:
        super().__init__(signature)
        self.signature = signature


class Delivery:
    """Signs, sends, watches and signs anew; holds no state between calls but the store's rows."""

    def __init__(
        self,
        rpc: Rpc,
        signer: Signer,
        store: OutboxStore,
        fees: FeePolicy,
        clock: Clock,
        pace: Pace,
        books: Books,
    ) -> None:
        self._rpc = rpc
        self._signer = signer
        self._store = store
        self._fees = fees
        self._clock = clock
        self._pace = pace
        self._books = books

    async def sign(
        self, *, key: str, lane: str, kind: str, recipe: Recipe, attempt: int, units_floor: int = 0
    ) -> OutboxRow:
        """Simulate, price and sign; nothing is stored or sent. Raises TransactionFailed, SpendingRefused."""
        payer = self._signer.address
        units = max(units_floor, await transaction.measure(self._rpc, payer, recipe.instructions))
        budget = transaction.Budget(units, self._fees.price(await self._recent_prices(recipe), attempt))
        latest = await self._rpc.get_latest_blockhash()
        message = transaction.compile_message(payer, recipe.instructions, latest.blockhash, budget)
        signed = await self._signer.sign_transaction(message, kind, recipe.extra_signers)
        return OutboxRow(
            key=key,
            lane=lane,
            kind=kind,
            state=OutboxState.SENDING,
            wire=bytes(signed),
            signature=Signature(str(signed.signatures[0])),
            last_valid_block_height=latest.last_valid_block_height,
            attempt=attempt,
            created_at=self._clock.time(),
            recipe=recipe.encode(),
        )

    async def push(self, row: OutboxRow) -> None:
        """Hand the signed bytes to the cluster; what an endpoint says to that decides nothing."""
        try:
            await self._rpc.send_raw(row.wire)
        except TransactionFailed as refused:
            # A preflight we did not ask for. AlreadyProcessed means it landed; the rest shows in status or expiry.
            _log.debug("transaction %s: endpoint says %s", row.key, refused.error)
        except (RpcUnavailable, RpcRejected) as error:
            _log.warning("transaction %s was not sent: %s", row.key, error)

    async def again(self, row: OutboxRow) -> OutboxRow:
        """The row of a transaction that had landed and has not any more, signed anew: the same thing, with the same
        one-time keys. Nothing is stored or sent. Raises what `sign` raises."""
        recipe = Recipe.decode(row.recipe)
        signed = await self.sign(
            key=row.key,
            lane=row.lane,
            kind=row.kind,
            recipe=replace(recipe, earlier=known(row, recipe)[:KNOWN]),
            attempt=row.attempt + 1,
        )
        return replace(signed, fee=row.fee)

    async def landings(self, row: OutboxRow) -> tuple[tuple[Signature, SignatureStatus], ...]:
        """Which of the row's signatures are at least confirmed, successes first."""
        signatures = known(row, Recipe.decode(row.recipe))
        statuses = await self._rpc.get_signature_statuses(signatures, search_history=True)
        return _confirmed(signatures, statuses)

    async def deliver(self, row: OutboxRow, effect: Effect | None) -> Landed:
        """Send until landed. Raises TransactionFailed (also "Expired") and what signing anew raises."""
        schedule = self._schedule()
        while True:
            try:
                found = await self._turn(row, effect, schedule) or await self._successor(row, effect, schedule)
            except TransactionFailed:
                raise
            except _Starved as starved:
                found = await SIGN_AGAIN.call(
                    partial(self._sign_with_more, row, starved.signature), on=(RpcUnavailable,), clock=self._clock
                )
            except ChainError as error:
                # The row is durable and the bytes may be under way: whatever an endpoint says to a question about
                # them, there is nothing to do but to go on.
                _log.warning("transaction %s waits for an endpoint: %s", row.key, error)
                found = None
            if isinstance(found, Landed):
                return found
            if isinstance(found, _Dropped):
                raise found.error
            if found is not None:
                row, schedule = found, self._schedule()
                continue
            await self._clock.sleep(schedule.pause)
            schedule.pause = min(self._pace.poll_longest, schedule.pause * 1.3)

    def _schedule(self) -> _Schedule:
        now = self._clock.monotonic()
        return _Schedule(now, now + self._pace.expiry, now + self._pace.renew, self._pace.poll)

    async def _turn(self, row: OutboxRow, effect: Effect | None, schedule: _Schedule) -> Landed | None:
        """Send if it is time, and look whether any signature of the row has landed."""
        if self._clock.monotonic() >= schedule.send:
            schedule.send = self._clock.monotonic() + self._pace.resend
            await self.push(row)
        return await self._look(row, effect, search_history=False)

    async def _look(self, row: OutboxRow, effect: Effect | None, *, search_history: bool) -> Landed | None:
        signatures = known(row, Recipe.decode(row.recipe))
        statuses = await self._rpc.get_signature_statuses(signatures, search_history=search_history)
        settled = _confirmed(signatures, statuses)
        if not settled:
            return None
        signature, status = settled[0]
        if status.error is None:
            return await self._confirm(row, signature, status.slot)
        if effect is not None and await effect(self._rpc.pinned("confirmed", status.slot)):
            # It failed because another signature of the same thing, or the other side, had done it already.
            return await self._confirm(row, signature, status.slot)
        if Recipe.decode(row.recipe).promised is not None:
            # It was signed anew because of that error: only what becomes of the newest signature counts.
            own = dict(settled).get(transaction.signature_of(row.wire))
            if own is None:
                return None
            signature, status = transaction.signature_of(row.wire), own
        refused = await self._fail(row, signature, status)
        if refused.error == OUT_OF_UNITS and (row.kind in SETTLING or row.attempt < self._pace.attempts):
            raise _Starved(signature)
        raise refused

    async def _sign_with_more(self, row: OutboxRow, starved: Signature) -> OutboxRow:
        """The row after one of its signatures ran out of compute units: signed anew, with at least twice as many.

        What an instruction has to do depends on accounts that others change: the queue that was empty when `work` was
        simulated held a job when it ran. A transaction that landed with an error did nothing, so the same thing, with
        the same one-time keys, may be tried again.
        """
        recipe = Recipe.decode(row.recipe)
        earlier = tuple(each for each in recipe.earlier if each != starved)
        if row.signature != starved:
            # A later signature is under way already.
            again = replace(row, recipe=replace(recipe, earlier=earlier).encode())
        else:
            again = await self.sign(
                key=row.key,
                lane=row.lane,
                kind=row.kind,
                recipe=replace(recipe, earlier=earlier),
                attempt=row.attempt + 1,
                units_floor=min(transaction.MAX_UNITS, 2 * transaction.units_of(row.wire)),
            )
        await self._store.put(again)
        return again

    async def _successor(
        self, row: OutboxRow, effect: Effect | None, schedule: _Schedule
    ) -> OutboxRow | Landed | _Dropped | None:
        """A new signature where the rules allow one; Landed where the effect is there; None: go on waiting."""
        now = self._clock.monotonic()
        if now < schedule.expiry:
            return None
        schedule.expiry = now + self._pace.expiry
        if row.kind in RENEWABLE:
            over = await self._rpc.get_block_height(commitment="confirmed") > row.last_valid_block_height
            if not over and now < schedule.renew:
                return None
            schedule.renew = now + self._pace.renew
            return await self._renew(row, effect, over=over)
        # Height and slot in one answer: of two, the second could come from an endpoint that lags behind the first, and
        # the effect be looked for in a view in which the transaction could still land.
        head = await self._rpc.get_latest_blockhash(commitment="finalized")
        if head.last_valid_block_height - BLOCKHASH_BLOCKS <= row.last_valid_block_height:
            return None
        landed = await self._look(row, effect, search_history=True)
        if landed is not None:
            return landed
        if effect is not None and await effect(self._rpc.pinned("finalized", head.slot)):
            return await self._confirm(row, row.signature, head.slot)
        return await self._renew(row, effect, over=True)

    async def _renew(
        self, row: OutboxRow, effect: Effect | None, *, over: bool
    ) -> OutboxRow | Landed | _Dropped | None:
        """Sign the same thing anew. `over`: the signature at hand can no longer land."""
        recipe = Recipe.decode(row.recipe)
        try:
            if row.attempt >= self._pace.attempts and row.kind not in SETTLING:
                raise transaction.expired()
            successor = await self.sign(
                key=row.key,
                lane=row.lane,
                kind=row.kind,
                recipe=replace(recipe, earlier=known(row, recipe)[:KNOWN]),
                attempt=row.attempt + 1,
            )
        except RpcUnavailable:
            raise
        except GpunodeError as refused:
            # Refused now: most likely because an earlier signature has landed since we looked.
            slot = await self._rpc.get_slot()
            landed = await self._look(row, effect, search_history=True)
            if landed is not None:
                return landed
            if effect is not None and await effect(self._rpc.pinned("confirmed", slot)):
                return await self._confirm(row, row.signature, slot)
            if not over:
                return None
            if recipe.promised is None:
                await self._store.delete(row.key)
            else:
                # Somebody was told that it had landed: it is given up only when that is final.
                error = refused.error if isinstance(refused, TransactionFailed) else refused.message
                await self._store.put(replace(row, state=OutboxState.FAILED, error=error))
            return _Dropped(refused)
        last_valid = max(row.last_valid_block_height, successor.last_valid_block_height)
        successor = replace(successor, last_valid_block_height=last_valid, fee=row.fee)
        await self._store.put(successor)
        return successor

    async def _confirm(self, row: OutboxRow, signature: Signature, slot: int) -> Landed:
        found = await self._books.record_of(signature)
        fee = transaction.fee_of(row.wire) if found is None else found.fee
        await self._books.landed(row, signature, found)
        recipe = Recipe.decode(row.recipe)
        others = tuple(each for each in known(row, recipe) if each != signature)
        kept = replace(recipe, earlier=others[:KNOWN], promised=recipe.promised or signature)
        done = replace(
            row,
            state=OutboxState.CONFIRMED,
            signature=signature,
            slot=slot,
            fee=fee,
            error="",
            recipe=kept.encode(),
        )
        await self._store.put(done)
        return Landed(signature, slot, fee)

    async def _fail(self, row: OutboxRow, signature: Signature, status: SignatureStatus) -> TransactionFailed:
        """Book the failure; returns the error to raise, named from the logs where the ledger has them."""
        found = await self._books.record_of(signature)
        refused = found.failure if found is not None else None
        if refused is None:
            refused = failure(status.error)
        fee = transaction.fee_of(row.wire) if found is None else found.fee
        await self._books.landed(row, signature, found)
        failed = replace(
            row, state=OutboxState.FAILED, signature=signature, slot=status.slot, fee=fee, error=refused.error
        )
        await self._store.put(failed)
        return refused

    async def _recent_prices(self, recipe: Recipe) -> tuple[int, ...]:
        writable = transaction.writable_accounts(self._signer.address, recipe.instructions)
        try:
            return await self._rpc.prioritization_fees(writable)
        except (RpcUnavailable, RpcRejected):
            # Not every endpoint serves this; the floor and the rise per attempt do without.
            return ()


def _confirmed(
    signatures: Sequence[Signature], statuses: Sequence[SignatureStatus | None]
) -> tuple[tuple[Signature, SignatureStatus], ...]:
    """Those that are at least confirmed, successes first."""
    found = [
        (signature, status)
        for signature, status in zip(signatures, statuses, strict=True)
        if status is not None and status.reached("confirmed")
    ]
    return tuple(sorted(found, key=lambda each: each[1].error is not None))
