"""Finding, in a job's history on the chain, the transaction that settled it and what it moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from node.chain import addresses
from node.chain.accounts import RawAccount
from node.chain.clusters import Cluster
from node.chain.codec import instruction_discriminator
from node.chain.memo import memos
from node.chain.replies import BlockSummary, LandedInstruction, LandedTransaction, SignatureInfo
from node.proof.memo import CARD_KEY, RECEIPT_KEY, memo_cid
from node.records import Address, Cid, Job, Signature

HISTORY = 1000
"""Transactions of an account that are looked through. A job's own are few, but anyone may name it in others."""

_FINISH = instruction_discriminator("finish")
_COMPLETE = instruction_discriminator("complete")
_PAID_ACCOUNT = 5
"""Place of the paid token account in `finish` (Nosana jobs program, every known order)."""


class ChainReader(Protocol):
    """What verifying reads of a chain; errors are those of the chain branch."""

    async def get_account(self, address: Address) -> RawAccount | None:
        """An account, or None."""
        ...

    async def get_transaction(self, signature: Signature) -> LandedTransaction | None:
        """A transaction of the ledger, or None."""
        ...

    async def get_signatures_for_address(
        self, address: Address, *, limit: int, before: Signature | None = None, until: Signature | None = None
    ) -> tuple[SignatureInfo, ...]:
        """An account's transactions, newest first: those older than `before`, and younger than `until`."""
        ...

    async def get_block(self, slot: int) -> BlockSummary | None:
        """A block; None where the slot has none, or the endpoint no longer holds it."""
        ...


@dataclass(frozen=True, slots=True)
class Settled:
    """The transaction that put a job's result on the chain."""

    transaction: LandedTransaction
    instruction: LandedInstruction
    result: Cid
    finish: bool
    """`finish` (which pays) or `complete` (which pays nothing)."""

    def signed_by(self, node: Address) -> bool:
        """Whether the node's key authorised the instruction."""
        return node in self.transaction.signers and node in self.instruction.accounts

    def paid(self, cluster: Cluster) -> int | None:
        """Micro-NOS that reached the paid account; None if that was not recorded, or the refund went there too."""
        accounts = self.instruction.accounts
        if not self.finish or len(accounts) <= _PAID_ACCOUNT or accounts[_PAID_ACCOUNT] == accounts[_PAID_ACCOUNT - 1]:
            return None
        account = accounts[_PAID_ACCOUNT]
        changes = [
            change
            for change in self.transaction.token_changes
            if change.account == account and change.mint == cluster.nos_mint
        ]
        return sum(change.after - change.before for change in changes) if changes else None

    def run(self) -> Address | None:
        """The run account that `finish` closed."""
        return self.instruction.accounts[1] if self.finish and len(self.instruction.accounts) > 1 else None

    def node(self, job: Job | None) -> Address:
        """Whose work it was: the job account's node, else whoever signed the instruction."""
        if job is not None:
            return job.node
        signers = [key for key in self.instruction.accounts if key in self.transaction.signers]
        return signers[-1] if signers else self.transaction.signers[0]

    def receipt(self, node: Address) -> Cid | None:
        """The receipt that the node's memo in it names; None: there is no such memo, or two name different ones, so
        that the node could later show the one that suits."""
        return receipt_in(self.transaction, node)


def receipt_in(transaction: LandedTransaction, node: Address) -> Cid | None:
    """The receipt that the node's memos in a transaction name; None: none, or two different ones."""
    cids = {memo_cid(text, RECEIPT_KEY) for text in memos(transaction, signer=node)} - {None}
    return cids.pop() if len(cids) == 1 else None


async def find_settled(chain: ChainReader, cluster: Cluster, job: Address) -> Settled | None:
    """The successful transaction that stored the job's result, or None. Raises ChainError."""
    for entry in await chain.get_signatures_for_address(job, limit=HISTORY):
        if entry.failed:
            continue
        transaction = await chain.get_transaction(entry.signature)
        if transaction is None or transaction.failure is not None:
            continue
        settled = settled_by(transaction, cluster, job)
        if settled is not None:
            return settled
    return None


def settled_by(transaction: LandedTransaction, cluster: Cluster, job: Address) -> Settled | None:
    """The job's settlement within a transaction, None if there is none."""
    for instruction in transaction.instructions:
        kind, result = instruction.data[:8], instruction.data[8:40]
        about = instruction.program == cluster.jobs and instruction.accounts[:1] == (job,)
        if about and kind in (_FINISH, _COMPLETE) and len(result) == 32:
            return Settled(transaction, instruction, addresses.hash_to_cid(result), kind == _FINISH)
    return None


def settles_some(transaction: LandedTransaction, cluster: Cluster) -> bool:
    """Whether a transaction settles any job."""
    return any(
        each.program == cluster.jobs and each.data[:8] in (_FINISH, _COMPLETE) for each in transaction.instructions
    )


async def find_card(chain: ChainReader, cluster: Cluster, node: Address) -> Cid | None:
    """The CID of the newest host card that a transaction of the NodeAccount, signed by the node, names."""
    account = addresses.node_account(cluster, node)
    for entry in await chain.get_signatures_for_address(account, limit=HISTORY):
        if entry.failed:
            continue
        transaction = await chain.get_transaction(entry.signature)
        for text in () if transaction is None else memos(transaction, signer=node):
            cid = memo_cid(text, CARD_KEY)
            if cid is not None:
                return cid
    return None
