"""What a receipt says of the one before it.

Each receipt names the last settled one of its key, by the journal. Where the journal knows none, the chain is asked
once: a key that has settled before shows that a journal was lost, and the receipt then says so. No receipt waits long
for that answer, and none is kept back for the lack of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from node.chain.memo import memos
from node.chain.replies import LandedTransaction, SignatureInfo
from node.errors import ChainError
from node.journal.reader import JournalReader
from node.proof.memo import PREFIX, RECEIPT_KEY, memo_cid
from node.records import Address, Assignment, Cid, Signature

log = logging.getLogger(__name__)

FIRST = "the first receipt of this journal"
UNSETTLED = "no earlier receipt of this journal was settled when this one was made"
LOST = "the journal was lost, or another one has served this key"
UNKNOWN = "the first receipt of this journal; whether this key has earlier ones could not be asked of the chain"
"""Why a receipt names no previous one."""

ASK_SECONDS = 20.0
"""In all. The job's pay waits meanwhile."""
HISTORY = 1000
"""The key's newest transactions that are looked through: what one request gives."""
MOST_READ = 20
"""Transactions that are read. Anybody may name the key in a memo of their own."""


class KeyHistory(Protocol):
    """What is asked of a chain; errors are those of the chain branch."""

    async def get_transaction(self, signature: Signature) -> LandedTransaction | None:
        """A transaction of the ledger, or None."""
        ...

    async def get_signatures_for_address(self, address: Address, *, limit: int) -> tuple[SignatureInfo, ...]:
        """An account's transactions, newest first."""
        ...


Settled = tuple[Cid, Signature]
"""A receipt, and the transaction that settled its job."""

NewestReceipt = Callable[[Address], Awaitable[Settled | None]]
"""The key's newest receipt that the chain shows; None: none. Raises ChainError where that cannot be told."""


@dataclass(frozen=True, slots=True)
class Link:
    """A receipt's place: what it follows, or why it follows nothing."""

    previous: Settled | None
    reason: str = ""
    seen: Settled | None = None
    """The key's newest receipt on the chain, where the journal has none."""


async def link_of(assignment: Assignment, journal: JournalReader, newest: NewestReceipt) -> Link:
    """What the receipt of a run says of the one before it. Raises JournalError."""
    run = assignment.run
    previous = await journal.previous_receipt(run.address, assignment.lane)
    if previous is not None:
        return Link(previous)
    if await journal.has_receipts(run.node, apart_from=run.address):
        return Link(None, UNSETTLED)
    try:
        async with asyncio.timeout(ASK_SECONDS):
            seen = await newest(run.node)
    except (ChainError, TimeoutError) as error:
        log.warning("the chain was not asked for earlier receipts of %s: %s", run.node, error)
        return Link(None, UNKNOWN)
    return Link(None, FIRST) if seen is None else Link(None, LOST, seen)


async def newest_receipt(chain: KeyHistory, node: Address) -> Settled | None:
    """The newest receipt that a transaction signed by the key names in its memo; None: none of its transactions does.
    Raises ChainError, also where there are more than are looked through."""
    entries = await chain.get_signatures_for_address(node, limit=HISTORY)
    likely = [each for each in entries if not each.failed and f"{PREFIX} {RECEIPT_KEY}=" in (each.memo or "")]
    for entry in likely[:MOST_READ]:
        transaction = await chain.get_transaction(entry.signature)
        for text in () if transaction is None else memos(transaction, signer=node):
            cid = memo_cid(text, RECEIPT_KEY)
            if cid is not None:
                return cid, entry.signature
    if len(likely) > MOST_READ or len(entries) >= HISTORY:
        raise ChainError(f"{node} has more transactions than are looked through")
    return None
