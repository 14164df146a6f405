"""Reading from the chain what a GPU work proof is checked against: its seed's block, its memo, the block after that."""

from __future__ import annotations

from typing import Protocol

from node.chain.memo import memos
from node.chain.replies import BlockSummary, LandedTransaction, SignatureInfo
from node.errors import ProofError
from node.gpu.work.document import WorkProof
from node.proof.memo import WORK_KEY, memo_root
from node.proof.work import WorkAnchors
from node.records import Address, Signature

_PAGE = 1000
_PAGES = 5
_FURTHEST = 64


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


async def find_anchors(chain: WorkChainReader, proof: WorkProof) -> WorkAnchors:
    """What the chain says of this proof.

    Raises ProofError where its node has anchored no such root, AnchorsUnknown where the endpoint's ledger does not
    reach back, ChainError where it cannot be read.
    """
    node, seed_slot = Address(proof.challenge.node), proof.challenge.slot
    anchored = await _anchored(chain, node, seed_slot)
    mine = [each for root, each in anchored if root == proof.root.hex()]
    if not mine:
        raise ProofError(f"no memo of {node} since slot {seed_slot} anchors the root {proof.root.hex()}")
    # Oldest first: a memo that is sent once more later gives nobody another block after it.
    memo = mine[0]
    seed, at = await _block(chain, seed_slot), await _block(chain, memo.slot)
    after = await _first_after(chain, memo.slot)
    if seed.time is None or at.time is None:
        raise AnchorsUnknown("the endpoint does not know the blocks' times")
    return WorkAnchors(
        node=node,
        root=proof.root.hex(),
        seed_blockhash=seed.blockhash,
        seed_time=seed.time,
        anchor_slot=memo.slot,
        anchor_time=at.time,
        after_slot=after.slot,
        after_blockhash=after.blockhash,
        tries=len({root for root, each in anchored if each.slot <= memo.slot}),
    )


async def _anchored(chain: WorkChainReader, node: Address, since: int) -> list[tuple[str, LandedTransaction]]:
    """Roots that the node has anchored since a slot, with their transactions, oldest first."""
    found: list[tuple[str, LandedTransaction]] = []
    before: Signature | None = None
    for _ in range(_PAGES):
        page = await chain.get_signatures_for_address(node, limit=_PAGE, before=before)
        for entry in page:
            if entry.slot < since:
                return found[::-1]
            if entry.failed or entry.memo is None or f"{WORK_KEY}=" not in entry.memo:
                continue
            transaction = await chain.get_transaction(entry.signature)
            if transaction is not None:
                roots = (memo_root(text) for text in memos(transaction, signer=node))
                found += [(root, transaction) for root in roots if root is not None]
        if len(page) < _PAGE:
            return found[::-1]
        before = page[-1].signature
    raise AnchorsUnknown(f"{node} has more than {_PAGES * _PAGE} transactions since slot {since}")


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
