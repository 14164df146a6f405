"""Reading from the chain what a GPU work proof is checked against: its seed's block, its memo, the block after that."""

from __future__ import annotations

from typing import Protocol

from node.chain.memo import memos
from node.chain.replies import BlockSummary, LandedTransaction, SignatureInfo
from node.errors import ProofError, RpcRejected
from node.gpu.work.document import WorkProof
from node.proof.memo import WORK_KEY, memo_root
from node.proof.work import WorkAnchors
from node.records import Address, Signature

_PAGE = 1000
_PAGES = 5
_FURTHEST = 64
_LOOKUPS = 256
"""Transactions that are looked into; anyone may name the node in more."""


class AnchorsUnknown(ProofError):
    """The endpoint does not hold what is asked: nothing is proven, and nothing is wrong."""


class WorkChainReader(Protocol):
    """What is read of a chain; errors are those of the chain branch."""

    async def get_transaction(self, signature: Signature) -> LandedTransaction | None:
        """A transaction of the ledger, or None."""
        ...

    async def get_signatures_for_address(
        self, address: Address, *, limit: int, before: Signature | None = None
    ) -> tuple[SignatureInfo, ...]:
        """An account's transactions, newest first."""
        ...

    async def get_block(self, slot: int) -> BlockSummary | None:
        """A block; None where the slot has none, or the endpoint no longer holds it."""
        ...


async def find_anchors(chain: WorkChainReader, proof: WorkProof, memo: Signature | None = None) -> WorkAnchors:
    """What the chain says of this proof.

    `memo`: the transaction that is said to have anchored it; the node's history is then read from there back, and not
    from its newest end. Raises ProofError where its node has anchored no such root, AnchorsUnknown where the endpoint's
    ledger does not reach back, ChainError where it cannot be read.
    """
    node, seed_slot = Address(proof.challenge.node), proof.challenge.slot
    named = None if memo is None else await _named(chain, memo)
    anchored, whole = await _anchored(chain, node, seed_slot, named)
    mine = [each for root, each in anchored if root == proof.root.hex()]
    if not mine and not whole:
        raise AnchorsUnknown(f"no memo of {node} anchors the root, as far back as the endpoint lists")
    if not mine:
        raise ProofError(f"no memo of {node} since slot {seed_slot} anchors the root {proof.root.hex()}")
    # Oldest first: a memo that is sent once more later gives nobody another block after it.
    first = mine[0]
    if first.slot <= seed_slot:
        raise ProofError(f"the memo in slot {first.slot} is not younger than the seed's block, of slot {seed_slot}")
    seed, at = await _block(chain, seed_slot), await _block(chain, first.slot)
    after = await _first_after(chain, first.slot)
    if seed.time is None or at.time is None:
        raise AnchorsUnknown("the endpoint does not know the blocks' times")
    return WorkAnchors(
        node=node,
        root=proof.root.hex(),
        seed_blockhash=seed.blockhash,
        seed_time=seed.time,
        anchor_slot=first.slot,
        anchor_time=at.time,
        after_slot=after.slot,
        after_blockhash=after.blockhash,
        tries=len({root for root, each in anchored if each.slot <= first.slot}),
    )


async def _named(chain: WorkChainReader, memo: Signature) -> LandedTransaction | None:
    try:
        return await chain.get_transaction(memo)
    except RpcRejected:  # it is no signature: the memo is looked for like any other
        return None


async def _anchored(
    chain: WorkChainReader, node: Address, since: int, newest: LandedTransaction | None
) -> tuple[list[tuple[str, LandedTransaction]], bool]:
    """Roots that the node has anchored since a slot (up to `newest`), with their transactions, oldest first; and
    whether the endpoint lists what is older, so that none can be missing."""
    found = [] if newest is None else _roots(newest, node)
    before = newest.signature if newest is not None else None
    looked = 0
    for _ in range(_PAGES):
        page = await chain.get_signatures_for_address(node, limit=_PAGE, before=before)
        for entry in page:
            if entry.slot < since:
                return found[::-1], True
            if entry.failed or entry.memo is None or f"{WORK_KEY}=" not in entry.memo:
                continue
            if (looked := looked + 1) > _LOOKUPS:
                raise AnchorsUnknown(f"more than {_LOOKUPS} transactions that name {node} have such a memo")
            transaction = await chain.get_transaction(entry.signature)
            if transaction is not None:
                found += _roots(transaction, node)
        if len(page) < _PAGE:
            return found[::-1], False
        before = page[-1].signature
    raise AnchorsUnknown(f"{node} has more than {_PAGES * _PAGE} transactions since slot {since}")


def _roots(transaction: LandedTransaction, node: Address) -> list[tuple[str, LandedTransaction]]:
    roots = (memo_root(text) for text in memos(transaction, signer=node))
    return [(root, transaction) for root in roots if root is not None]


async def _block(chain: WorkChainReader, slot: int) -> BlockSummary:
    block = await chain.get_block(slot)
    if block is None:
        raise AnchorsUnknown(f"the endpoint holds no block of slot {slot}", hint="one that keeps older blocks does")
    return block


async def _first_after(chain: WorkChainReader, slot: int) -> BlockSummary:
    for later in range(slot + 1, slot + _FURTHEST + 1):
        if (block := await chain.get_block(later)) is not None:
            return block
    raise AnchorsUnknown(f"the endpoint holds no block after slot {slot}")
