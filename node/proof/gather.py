"""Gathering a job's evidence from a chain and a source of content: every read is bounded, and none is trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from node.chain.accounts import decode_job
from node.chain.clusters import Cluster
from node.chain.replies import BlockSummary
from node.errors import ChainError, ContentError, ContentMismatch, ContentNotFile, ProofError
from node.proof.evidence import ChainFacts, Document, Evidence, SettleWire
from node.proof.receipt import Receipt, verify_receipt
from node.proof.result_checks import RESULT_LIMIT
from node.proof.settled import ChainReader, find_card, find_settled
from node.records import Address, Cid, FetchedDefinition

DOCUMENT_LIMIT = 1 << 20
"""Bytes of a receipt or a host card."""


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


async def gather(job: Address, sources: Sources) -> Evidence:
    """All that can be had of one job. Raises ChainError if the chain cannot be read."""
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
    receipt = None if named is None else await document(sources.content, named, DOCUMENT_LIMIT)
    told = _parsed(receipt, node)
    card = await find_card(chain, cluster, node)
    return Evidence(
        job=job,
        cluster=cluster,
        receipt=receipt,
        result=await document(sources.content, settled.result, RESULT_LIMIT),
        card=None if card is None else await document(sources.content, card, DOCUMENT_LIMIT),
        settle=SettleWire(settled.transaction.wire, settled.transaction.slot) if settled.transaction.wire else None,
        chain=ChainFacts(
            job=account, settled=settled, blocks={} if told is None else await _blocks(chain, told), card=card
        ),
    )


async def document(content: ContentReader, cid: Cid, limit: int) -> Document:
    """A document by its CID, or why there is none."""
    try:
        fetched = await content.fetch(cid, limit)
    except (ContentMismatch, ContentNotFile) as error:
        return Document(cid, None, error.message, refused=True)
    except ContentError as error:
        return Document(cid, None, error.message)
    return Document(cid, fetched.body, fetched.source, matched=True)


def _parsed(receipt: Document | None, node: Address) -> Receipt | None:
    if receipt is None or receipt.body is None:
        return None
    try:
        return verify_receipt(receipt.body, node)
    except ProofError:
        return None


async def _blocks(chain: ChainReader, receipt: Receipt) -> dict[int, BlockSummary]:
    slots = {receipt.start.slot} | ({receipt.end.slot} if receipt.end is not None else set())
    found = {slot: await chain.get_block(slot) for slot in sorted(slots)}
    return {slot: block for slot, block in found.items() if block is not None}
