"""Gathering a job's evidence from a chain and a source of content: every read is bounded, and none is trusted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from node.chain.accounts import decode_job
from node.chain.clusters import Cluster
from node.chain.replies import BlockSummary, LandedTransaction
from node.errors import (
    ChainError,
    ContentError,
    ContentMismatch,
    ContentNotFile,
    GpuError,
    ProofError,
    RpcRejected,
)
from node.gpu.work.document import MOST_BYTES, parse_proof
from node.proof.chain_checks import opened
from node.proof.evidence import ChainFacts, Document, Evidence, SettleWire, Trouble
from node.proof.history import read_history
from node.proof.receipt import Receipt
from node.proof.result_checks import RESULT_LIMIT
from node.proof.settled import ChainReader, Settled, find_card, find_settled
from node.proof.work_anchors import AnchorsUnknown, find_anchors
from node.records import Address, Cid, FetchedDefinition, Signature

DOCUMENT_LIMIT = 1 << 20
"""Bytes of a receipt or a host card."""
MOST_EARLIER = 10_000
"""Earlier receipts that are looked at, whatever was asked for."""
MOST_OTHERS = 8
"""Receipts outside the chain of receipts that are fetched."""


class ContentReader(Protocol):
    """Fetches bytes that match their CID."""

    async def fetch(self, cid: Cid, limit: int) -> FetchedDefinition:
        """Raises ContentUnavailable, ContentMismatch or ContentTooLarge."""
        ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where evidence comes from."""

    cluster: Cluster
    chain: ChainReader
    content: ContentReader

    async def document(self, cid: Cid, limit: int) -> Document:
        """A document by its CID, or why there is none."""
        try:
            fetched = await self.content.fetch(cid, limit)
        except (ContentMismatch, ContentNotFile) as error:
            return Document(cid, None, error.message, refused=True)
        except ContentError as error:
            return Document(cid, None, error.message)
        return Document(cid, fetched.body, fetched.source, matched=True)


async def gather(job: Address, sources: Sources, chain_length: int) -> Evidence:
    """All that can be had of one job, with so many receipts before its own. Raises ChainError if the chain cannot be
    read."""
    cluster, chain = sources.cluster, sources.chain
    account = await chain.get_account(job)
    settled = await find_settled(chain, cluster, job)
    if settled is None:
        return Evidence(job, cluster, chain=ChainFacts(account, None))
    try:
        held = None if account is None else decode_job(account, cluster)
    except ChainError:
        held = None
    node = settled.node(held)
    named = settled.receipt(node)
    card = await find_card(chain, cluster, node)
    wire = settled.transaction.wire
    evidence = Evidence(
        job=job,
        cluster=cluster,
        receipt=None if named is None else await sources.document(named, DOCUMENT_LIMIT),
        result=await sources.document(settled.result, RESULT_LIMIT),
        card=None if card is None else await sources.document(card, DOCUMENT_LIMIT),
        settle=SettleWire(wire, settled.transaction.slot) if wire else None,
        chain_length=min(chain_length, MOST_EARLIER),
        chain=ChainFacts(job=account, settled=settled, card=card),
    )
    receipt = _read(evidence.receipt, node)
    return evidence if receipt is None else await _around(evidence, sources, settled, node, receipt)


async def _around(evidence: Evidence, sources: Sources, settled: Settled, node: Address, receipt: Receipt) -> Evidence:
    """The evidence with all that the receipt names."""
    assert evidence.chain is not None
    evidence = replace(evidence, chain=replace(evidence.chain, blocks=await _blocks(sources.chain, settled, receipt)))
    evidence = await _with_work(evidence, sources, receipt)
    if evidence.chain_length > 0:
        evidence = await _with_chain(evidence, sources, settled, node, receipt)
    return evidence


def _read(document: Document | None, node: Address) -> Receipt | None:
    try:
        return None if document is None else opened(document, node)
    except ProofError:
        return None


async def _blocks(chain: ChainReader, settled: Settled, receipt: Receipt) -> dict[int, BlockSummary]:
    """The blocks that the receipt names; a slot after the settlement's is wrong whatever its block."""
    slots = {receipt.start.slot} | ({receipt.end.slot} if receipt.end is not None else set())
    found = {}
    for slot in sorted(slot for slot in slots if 0 <= slot <= settled.transaction.slot):
        try:
            block = await chain.get_block(slot)
        except RpcRejected:  # an endpoint that serves no blocks
            block = None
        if block is not None:
            found[slot] = block
    return found


async def _with_work(evidence: Evidence, sources: Sources, receipt: Receipt) -> Evidence:
    """With the GPU work proof that the receipt names, and what the chain says of it."""
    if receipt.work is None or evidence.chain is None:
        return evidence
    document = await sources.document(Cid(receipt.work.cid), MOST_BYTES)
    evidence = replace(evidence, work=document)
    if document.body is None or evidence.chain is None:
        return evidence
    try:
        proof = parse_proof(document.body)
        found = await find_anchors(sources.chain, proof, Signature(receipt.work.memo))
    except GpuError:
        return evidence
    except (AnchorsUnknown, RpcRejected) as error:
        return replace(evidence, chain=replace(evidence.chain, anchors_trouble=Trouble(error.message)))
    except ProofError as error:
        return replace(evidence, chain=replace(evidence.chain, anchors_trouble=Trouble(error.message, wrong=True)))
    return replace(evidence, chain=replace(evidence.chain, anchors=found))


# --- the chain of receipts ------------------------------------------------------------------------------------


async def _with_chain(
    evidence: Evidence, sources: Sources, settled: Settled, node: Address, receipt: Receipt
) -> Evidence:
    """With the receipts before this one, their settlements, and the key's history around them."""
    assert evidence.chain is not None
    assert evidence.receipt is not None
    chain = sources.chain
    earlier, receipts = await _walk(sources, node, receipt, evidence.chain_length)
    names = [Signature(each.prev.settle) for each in (receipt, *receipts) if each.prev is not None]
    transactions = await _transactions(chain, names[: len(earlier)])
    since = min(each.start.slot for each in (receipt, *receipts))
    history = await read_history(chain, sources.cluster, node, settled, since, transactions)
    later = None if history.next is None else await sources.document(history.next.receipt, DOCUMENT_LIMIT)
    members = {evidence.receipt.cid, *(document.cid for document in earlier)}
    wanted = [anchor.receipt for anchor in history.anchors]
    following = _read(later, node)
    if following is not None and following.prev is not None:
        wanted.insert(0, Cid(following.prev.receipt))
    return replace(
        evidence,
        earlier=tuple(earlier),
        later=later,
        others=await _others(sources, wanted, members),
        chain=replace(evidence.chain, transactions=transactions, history=history),
    )


async def _walk(sources: Sources, node: Address, receipt: Receipt, length: int) -> tuple[list[Document], list[Receipt]]:
    """Documents of the receipts before this one, and those of them that can be believed, newest first."""
    documents: list[Document] = []
    receipts: list[Receipt] = []
    newest: Receipt | None = receipt
    while newest is not None and newest.prev is not None and len(documents) < length:
        document = await sources.document(Cid(newest.prev.receipt), DOCUMENT_LIMIT)
        documents.append(document)
        newest = _read(document, node)
        if newest is not None:
            receipts.append(newest)
    return documents, receipts


async def _transactions(chain: ChainReader, names: Iterable[Signature]) -> dict[Signature, LandedTransaction]:
    found = {}
    for name in names:
        try:
            transaction = await chain.get_transaction(name)
        except RpcRejected:  # what is named is no signature
            transaction = None
        if transaction is not None and transaction.failure is None:
            found[name] = transaction
    return found


async def _others(sources: Sources, wanted: Iterable[Cid], members: set[Cid]) -> tuple[Document, ...]:
    strangers = [cid for cid in dict.fromkeys(wanted) if cid not in members][:MOST_OTHERS]
    return tuple([await sources.document(cid, DOCUMENT_LIMIT) for cid in strangers])
