"""Reading from a key's transactions which receipts its settlements name: within bounds, for anyone may name the key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from node.chain.clusters import Cluster
from node.chain.replies import LandedTransaction, SignatureInfo
from node.proof.evidence import Anchor, History
from node.proof.memo import PREFIX, RECEIPT_KEY
from node.proof.settled import ChainReader, Settled, receipt_in, settles_some
from node.records import Address, Signature

PAGE = 1000
MOST_PAGES = 10
"""Pages of signatures that are read on either side of a settlement."""
SPARE_LOOKUPS = 64
"""Transactions that are looked into beyond those that the chain of receipts names."""
_NEXT_LOOKUPS = 16
"""Transactions that are looked into for the settlement after this one."""


@dataclass(slots=True)
class _Scan:
    anchors: list[Anchor] = field(default_factory=list)
    complete_from: int = 0
    reason: str = ""
    saw_older: bool = False


async def read_history(
    chain: ChainReader,
    cluster: Cluster,
    node: Address,
    settled: Settled,
    since: int,
    known: Mapping[Signature, LandedTransaction],
) -> History:
    """The receipts that the key's settlements name, back to slot `since`, and the first one after this settlement.

    `known`: settlements that receipts name, which are not read again; beside them, only so many are looked into. Raises
    ChainError.
    """
    reader = _Reader(chain, cluster, node, known)
    before = await reader.before(settled, since)
    # An endpoint that lists nothing older may have dropped what came right after as well.
    later, next_known = await reader.after(settled) if before.saw_older else (None, False)
    return History(tuple(before.anchors), before.complete_from, later, next_known, before.reason)


@dataclass(frozen=True, slots=True)
class _Reader:
    chain: ChainReader
    cluster: Cluster
    node: Address
    known: Mapping[Signature, LandedTransaction]

    async def before(self, settled: Settled, since: int) -> _Scan:
        scan = _Scan(complete_from=settled.transaction.slot)
        lookups = len(self.known) + SPARE_LOOKUPS
        last = settled.transaction.signature
        for _ in range(MOST_PAGES):
            page = await self.chain.get_signatures_for_address(self.node, limit=PAGE, before=last)
            scan.saw_older = scan.saw_older or bool(page)
            for entry in page:
                if entry.slot < since:
                    scan.complete_from = since
                    return scan
                if entry.signature in self.known and entry.memo is None:
                    scan.reason = "the endpoint tells no memos of the key's transactions"
                    return scan
                if _may_name(entry):
                    lookups -= 1
                    if lookups < 0:
                        scan.reason = "too many transactions name the key"
                        return scan
                    scan.anchors += await self._anchors(entry)
                scan.complete_from = entry.slot + 1
            if len(page) < PAGE:
                # The key's first transaction, or the oldest that the endpoint has kept.
                scan.complete_from = page[-1].slot if page else scan.complete_from
                scan.reason = "the endpoint lists nothing older"
                return scan
            last = page[-1].signature
        scan.reason = f"the key has more than {MOST_PAGES * PAGE:,} transactions since"
        return scan

    async def after(self, settled: Settled) -> tuple[Anchor | None, bool]:
        """The key's first settlement after this one, and whether it was looked for to the end."""
        entries: list[SignatureInfo] = []
        last: Signature | None = None
        for _ in range(MOST_PAGES):
            page = await self.chain.get_signatures_for_address(
                self.node, limit=PAGE, before=last, until=settled.transaction.signature
            )
            entries += [entry for entry in page if _may_name(entry)]
            if len(page) < PAGE:
                break
            last = page[-1].signature
        else:
            return None, False
        oldest_first = entries[::-1]
        for entry in oldest_first[:_NEXT_LOOKUPS]:
            if anchors := await self._anchors(entry):
                return anchors[0], True
        return None, len(oldest_first) <= _NEXT_LOOKUPS

    async def _anchors(self, entry: SignatureInfo) -> list[Anchor]:
        transaction = self.known.get(entry.signature) or await self.chain.get_transaction(entry.signature)
        if transaction is None or not settles_some(transaction, self.cluster):
            return []
        cid = receipt_in(transaction, self.node)
        return [] if cid is None else [Anchor(cid, transaction.signature, transaction.slot)]


def _may_name(entry: SignatureInfo) -> bool:
    return not entry.failed and entry.memo is not None and PREFIX in entry.memo and f"{RECEIPT_KEY}=" in entry.memo
