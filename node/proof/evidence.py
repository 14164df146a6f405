"""All that a verification looks at: documents, the settle transaction as it was signed, and what a chain said.

Whoever fills it in (node/proof/gather.py from a chain and a gateway, or a bundle) vouches for nothing: what it is worth
is found by node/proof/examine.py, which is given this and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from node.chain.accounts import RawAccount
from node.chain.clusters import Cluster
from node.chain.replies import BlockSummary, LandedTransaction
from node.proof.commitments import Reveal
from node.proof.settled import Settled
from node.proof.work import WorkAnchors
from node.records import Address, Cid, Signature


@dataclass(frozen=True, slots=True)
class Document:
    """Bytes that a CID names, or why they are not at hand."""

    cid: Cid
    body: bytes | None
    detail: str
    """Where the bytes are from; without them, why."""
    refused: bool = False
    """Bytes were served that are not the ones that the CID names."""
    matched: bool = False
    """The bytes were compared with the CID, block by block, as they came. If not, their CID is computed."""


@dataclass(frozen=True, slots=True)
class SettleWire:
    """The transaction that settled the job, as it was signed, and the slot in which it is said to have landed."""

    wire: bytes
    slot: int | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something could not be read. `wrong`: because the chain says otherwise, not because it could not be asked."""

    detail: str
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Anchor:
    """A transaction that landed, was signed by the node, and names a receipt in its memo."""

    receipt: Cid
    signature: Signature
    slot: int


@dataclass(frozen=True, slots=True)
class History:
    """What the transactions of the node's key say of its receipts."""

    anchors: tuple[Anchor, ...]
    """Before this job's settlement, newest first, as they are on the chain."""
    complete_from: int
    """Slot from which on the history up to this job's settlement was looked through."""
    next: Anchor | None
    """The first settlement after this job's."""
    next_known: bool
    """Whether that was looked for to the end."""
    reason: str = ""
    """Why it was not looked through further back."""


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """What an endpoint said of the chain."""

    job: RawAccount | None
    """The job's account; None: there is none."""
    settled: Settled | None
    """The transaction that put its result on the chain."""
    blocks: Mapping[int, BlockSummary] = field(default_factory=dict)
    """Slot to block, of those that the receipt names and the endpoint holds."""
    card: Cid | None = None
    """Of the newest host card that a transaction of the NodeAccount names."""
    anchors: WorkAnchors | None = None
    """The two moments of the GPU work proof."""
    anchors_trouble: Trouble | None = None
    transactions: Mapping[Signature, LandedTransaction] = field(default_factory=dict)
    """Settlements that receipts name, of those that the chain has."""
    history: History | None = None
    """None: it was not asked for."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One job's evidence. What is None, or left out, is not checked."""

    job: Address
    cluster: Cluster
    receipt: Document | None = None
    result: Document | None = None
    card: Document | None = None
    work: Document | None = None
    """The document of the GPU work proof that the receipt names."""
    settle: SettleWire | None = None
    earlier: tuple[Document, ...] = ()
    """Receipts before this one, newest first."""
    later: Document | None = None
    """The receipt of the key's next settlement, where one was looked for and found."""
    others: tuple[Document, ...] = ()
    """Receipts of this key that its settlements name and the chain of receipts does not."""
    chain_length: int = 0
    """How many earlier receipts were asked for at most; 0: none, and nothing is said of them."""
    reveal: Reveal | None = None
    """What opens commitments of a confidential job's receipt."""
    handed: Mapping[str, Any] | None = None
    """The full result that a confidential job's owner was given."""
    samples: tuple[bytes, ...] | None = None
    """Lines of the GPU samples, in the order they were taken; None: not at hand."""
    chain: ChainFacts | None = None
    """None: no chain was asked."""
