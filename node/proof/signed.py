"""The settle transaction as it was signed: what can be said of it without a chain."""

from __future__ import annotations

from solders.transaction import SanitizeError, VersionedTransaction

from node.chain.clusters import Cluster
from node.chain.replies import LandedInstruction, LandedTransaction
from node.errors import ProofError
from node.proof.settled import Settled, settled_by
from node.records import Address, Signature

MOST_WIRE = 1232
"""Bytes of a transaction (Solana's packet)."""


class KeysElsewhere(ProofError):
    """The transaction takes keys from a table on the chain: without that nothing can be said of it."""


def signed_settle(wire: bytes, slot: int | None, cluster: Cluster, job: Address) -> Settled:
    """The settlement in a transaction whose signatures all hold; nothing says that it landed.

    Raises ProofError for bytes that are no such transaction, KeysElsewhere for one that needs the chain to be read.
    """
    if len(wire) > MOST_WIRE:
        raise ProofError(f"a transaction has at most {MOST_WIRE} bytes, this one has {len(wire)}")
    try:
        transaction = VersionedTransaction.from_bytes(wire)
        transaction.sanitize()
        # Another encoding of the same transaction would be another text for one statement.
        exact = bytes(transaction) == wire
        signed = transaction.verify_with_results()
        message = transaction.message
        keys = tuple(Address(str(key)) for key in message.account_keys)
        if getattr(message, "address_table_lookups", ()):
            raise KeysElsewhere("the settle transaction names keys by a table on the chain")
        instructions = tuple(
            LandedInstruction(
                program=keys[each.program_id_index],
                accounts=tuple(keys[index] for index in each.accounts),
                data=bytes(each.data),
            )
            for each in message.instructions
        )
    except (ValueError, IndexError, SanitizeError) as error:
        raise ProofError(f"the settle transaction's bytes are no transaction: {error}") from None
    if not exact or not signed or not all(signed):
        raise ProofError("a signature of the settle transaction does not hold")
    landed = LandedTransaction(
        signature=Signature(str(transaction.signatures[0])),
        slot=slot or 0,
        time=None,
        fee=0,
        failure=None,
        logs=(),
        keys=keys,
        signers=keys[: message.header.num_required_signatures],
        instructions=instructions,
        token_changes=(),
        payer_change=0,
        wire=wire,
    )
    found = settled_by(landed, cluster, job)
    if found is None:
        raise ProofError(f"the settle transaction settles no job {job}")
    return found
