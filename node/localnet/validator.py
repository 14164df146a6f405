"""The validator: makes blocks, checks transactions before they run, and tells listeners what happened.

It has no task of its own; `app.py` calls `tick` once per slot. Everything here is synchronous, so that a request
always sees the chain between two transactions, never inside one.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from node.localnet.bank import Bank
from node.localnet.blockhashes import MAX_AGE, Blockhashes
from node.localnet.execution import Execution
from node.localnet.ledger import Ledger, Record, make_record
from node.localnet.nonces import AnyMessage, stands_in
from node.localnet.slots import Block, Commitment, SkipRule, Slots

_SLOT_HASHES = 512
"""Entries of the SlotHashes sysvar."""


@dataclass(frozen=True, slots=True)
class History:
    """How much of the past is remembered."""

    transactions: int = 10_000
    blocks: int = 10_000


class Listener(Protocol):
    """Who wants to know what happens on the chain."""

    def on_transaction(self, record: Record, changed: Sequence[Pubkey]) -> None:
        """A transaction was put into the newest block, and changed these accounts."""
        ...

    def on_block(self, block: Block, advanced: dict[Commitment, list[Block]]) -> None:
        """A block was begun; `advanced` says which blocks got which commitment by that, oldest first."""
        ...

    def on_fork(self, block: Block, changed: Mapping[Commitment, Sequence[Pubkey]]) -> None:
        """A fork has won whose newest block this is; `changed`: accounts that are back to what they were before, and
        up to which commitment what they had been in between was known."""
        ...

    def on_placed(self, keys: Sequence[Pubkey]) -> None:
        """Accounts were put in place past all rules, in the newest block."""
        ...


class Weather(Protocol):
    """What may go wrong with slots and with transactions on their way (see `node.localnet.faults`)."""

    def stalls(self) -> bool:
        """Whether time passes without a slot."""
        ...

    def skips(self) -> bool:
        """Whether the slot that begins goes without a block."""
        ...

    def block_begun(self) -> None:
        """A block is there to put transactions into."""
        ...

    def sent(self, transaction: VersionedTransaction, wire: bytes) -> None:
        """A client sent a transaction with good signatures; it may come to `Validator.submit`, now, later or never."""
        ...


class Validator:
    """A one-node cluster."""

    def __init__(
        self,
        bank: Bank,
        *,
        genesis_hash: Hash,
        time: Callable[[], float],
        rule: SkipRule,
        history: History,
        first: Block | None = None,
    ) -> None:
        self.bank = bank
        self.genesis_hash = genesis_hash
        self.ledger = Ledger(history.transactions)
        self.blockhashes = Blockhashes()
        self.listeners: list[Listener] = []
        self.transaction_count = 0
        self.placed = 0
        """How many accounts were put in place past all rules."""
        self.weather: Weather | None = None
        self.kept_from: int | None = None
        """Accounts as they were at the end of this slot are kept for longer than any commitment needs them."""
        self._present: tuple[Slots, Ledger] | None = None
        self._time = time
        head = first or Block(0, 0, 0, genesis_hash, int(time()))
        self.slots = Slots(head, rule=rule, limit=history.blocks)
        self._slot_hashes: deque[tuple[int, Hash]] = deque(maxlen=_SLOT_HASHES)
        self.blockhashes.register(head.blockhash, head.height)
        self.bank.begin_slot(head.slot, int(time()), [])

    def restore(
        self,
        blockhashes: Sequence[tuple[Hash, int, Sequence[bytes]]],
        records: Sequence[Record],
        transactions: int,
    ) -> None:
        """Take over what a saved chain knew beside its blocks and accounts."""
        past = list(self.slots.remembered())[:-1]
        self._slot_hashes.extendleft((block.slot, block.blockhash) for block in past[-_SLOT_HASHES:])
        head = self.slots.head
        self.bank.begin_slot(head.slot, head.time, self._slot_hashes)
        for blockhash, height, messages in blockhashes:
            self.blockhashes.register(blockhash, height)
            for message in messages:
                self.blockhashes.mark(blockhash, message)
        for record in records:
            self.ledger.append(record)
        self.transaction_count = transactions

    def become(self, other: Validator) -> None:
        """Be another chain from now on; who listens, the weather and the clock stay the same."""
        self._return()
        same = {name: vars(self)[name] for name in ("listeners", "weather", "_time")}
        vars(self).update({**vars(other), **same})

    # --- time

    def tick(self) -> None:
        """One slot passes: a new block, unless the slot is skipped."""
        weather = self.weather
        if weather is not None and weather.stalls():
            return
        slot = self.slots.next_slot()
        if slot is None or (weather is not None and weather.skips()):
            return
        self._make_block(slot)

    def begin_block(self) -> None:
        """A slot with a block passes at once, whatever the weather."""
        self._make_block(self.slots.tip + 1)

    def _make_block(self, slot: int) -> None:
        self._begin(slot, {commitment: self.slots.at(commitment).slot for commitment in Commitment})
        if self.weather is not None:
            self.weather.block_begun()

    def _begin(self, slot: int, before: Mapping[Commitment, int]) -> None:
        """Put a block on top; `before`: up to where each commitment has been told of."""
        parent = self.slots.head
        # A blockhash must not be foreseeable: proofs of work on this chain are seeded by it.
        blockhash = Hash(hashlib.sha256(bytes(parent.blockhash) + os.urandom(32)).digest())
        # A cluster's time never goes back, whatever the machine's clock does.
        block = Block(slot, parent.height + 1, parent.slot, blockhash, max(parent.time, int(self._time())))
        self.slots.append(block)
        self.blockhashes.register(blockhash, block.height)
        self._slot_hashes.appendleft((parent.slot, parent.blockhash))
        self.bank.begin_slot(slot, block.time, self._slot_hashes)
        advanced = {
            commitment: self.slots.between(before[commitment], self.slots.at(commitment).slot)
            for commitment in (Commitment.CONFIRMED, Commitment.FINALIZED)
        }
        for listener in self.listeners:
            listener.on_block(block, advanced)
        finalized = self.slots.at(Commitment.FINALIZED).slot
        self.bank.settle(finalized if self.kept_from is None else min(finalized, self.kept_from))

    def fork(self, slot: int) -> list[Record]:
        """Another fork wins, which has no block after this slot: the transactions it undoes, oldest first.

        Confirmed ones are among them; what is finalized stays, so no slot before the finalized one is gone back to.
        The winning fork's next block is there at once. Blockhashes of the lost blocks are unknown from now on, and
        copies of the transactions may land again.
        """
        told = {commitment: self.slots.at(commitment).slot for commitment in Commitment}
        slot = max(slot, told[Commitment.FINALIZED])
        changed = {commitment: self._changed_between(slot, upto) for commitment, upto in told.items()}
        self.slots.drop_after(slot)
        head = self.slots.head
        gone = self.ledger.drop_after(head.slot)
        for record in gone:
            transaction = VersionedTransaction.from_bytes(record.wire)
            self.blockhashes.unmark(transaction.message.recent_blockhash, _message_id(transaction))
        self.blockhashes.drop_after(head.height)
        self.transaction_count -= len(gone)
        while self._slot_hashes and self._slot_hashes[0][0] >= head.slot:
            self._slot_hashes.popleft()
        self.bank.revert(head.slot)
        self._begin(self.slots.tip + 1, {commitment: min(upto, head.slot) for commitment, upto in told.items()})
        for listener in self.listeners:
            listener.on_fork(self.slots.head, changed)
        return gone

    def _changed_between(self, after: int, upto: int) -> list[Pubkey]:
        blocks = self.slots.between(after, upto)
        return list(dict.fromkeys(key for block in blocks for key in self.bank.changed_in(block.slot)))

    @contextmanager
    def seen_at(self, slot: int) -> Iterator[None]:
        """Answer as a node would that has got no further than this slot; what is sent still reaches the cluster."""
        self._present = (self.slots, self.ledger)
        self.slots = self.slots.upto(slot, self.bank.oldest_view)
        self.ledger = self.ledger.upto(self.slots.head.slot)
        try:
            yield
        finally:
            self._return()

    def _return(self) -> None:
        if self._present is not None:
            (self.slots, self.ledger), self._present = self._present, None

    # --- transactions

    def last_valid_height(self, blockhash_of: Block) -> int:
        """Block height up to which a transaction naming this block's hash may still land."""
        return blockhash_of.height + MAX_AGE

    def alive(self, message: AnyMessage, block: Block) -> bool:
        """Whether what the message names as its blockhash lets it land on top of that block: a young one, or the value
        of a durable nonce."""
        if self.blockhashes.valid_at(message.recent_blockhash, block.height):
            return True
        return stands_in(message, lambda key: self.bank.account(key, block.slot))

    def refusal(self, transaction: VersionedTransaction, block: Block) -> str | None:
        """Why a transaction could not be put on top of that block, judged without running it."""
        message = transaction.message
        blockhash = message.recent_blockhash
        if not self.alive(message, block):
            return "BlockhashNotFound"
        if self.blockhashes.seen(blockhash, _message_id(transaction)):
            return "AlreadyProcessed"
        return None

    def send(self, transaction: VersionedTransaction, wire: bytes) -> None:
        """A client's transaction with good signatures sets out; what becomes of it shows in the blocks."""
        if self.weather is None:
            self.submit(transaction, wire)
        else:
            self.weather.sent(transaction, wire)

    def submit(self, transaction: VersionedTransaction, wire: bytes) -> Execution | None:
        """Put a transaction with good signatures into the newest block.

        None, or an execution that has not landed, means that no block holds it: the cluster drops such
        transactions without a word.
        """
        self._return()
        block = self.slots.head
        if self.refusal(transaction, block) is not None:
            return None
        done = self.bank.execute(transaction, block.slot)
        if not done.landed:
            return done
        self.blockhashes.mark(transaction.message.recent_blockhash, _message_id(transaction))
        record = make_record(transaction, wire, done, slot=block.slot, height=block.height, time=block.time)
        self.ledger.append(record)
        self.transaction_count += 1
        for listener in self.listeners:
            listener.on_transaction(record, done.changed)
        return done

    def place(self, key: Pubkey, account: Account) -> None:
        """Put an account in place past all rules, in the newest block; lamports 0 removes it.

        Raises LocalnetError for an account that the bank refuses.
        """
        self._return()
        self.bank.set_account(key, account, self.slots.head.slot)
        self.placed += 1
        for listener in self.listeners:
            listener.on_placed((key,))

    def commitment_of(self, record: Record) -> Commitment:
        """How settled the transaction is."""
        for commitment in (Commitment.FINALIZED, Commitment.CONFIRMED):
            if record.slot <= self.slots.at(commitment).slot:
                return commitment
        return Commitment.PROCESSED


def _message_id(transaction: VersionedTransaction) -> bytes:
    return hashlib.sha256(bytes(transaction.message)).digest()
