"""Instructions of the system program and of the SPL token programs, as far as this product sends them."""

from __future__ import annotations

from solders.instruction import Instruction
from solders.system_program import TransferParams as LamportTransfer
from solders.system_program import transfer as lamport_transfer
from spl.token.instructions import create_idempotent_associated_token_account, transfer
from spl.token.models import TransferParams as TokenTransfer

from node.chain.addresses import to_key
from node.chain.clusters import Cluster
from node.records import Address


def create_token_account(
    cluster: Cluster, *, payer: Address, owner: Address, mint: Address | None = None
) -> Instruction:
    """Create the owner's associated token account (for NOS unless said); no error where it exists."""
    return create_idempotent_associated_token_account(to_key(payer), to_key(owner), to_key(mint or cluster.nos_mint))


def transfer_tokens(
    cluster: Cluster, *, source: Address, destination: Address, owner: Address, amount: int
) -> Instruction:
    """Move `amount` of the smallest unit (micro-NOS for NOS) from one token account to another."""
    return transfer(
        TokenTransfer(
            program_id=to_key(cluster.token),
            source=to_key(source),
            dest=to_key(destination),
            owner=to_key(owner),
            amount=amount,
        )
    )


def transfer_lamports(*, source: Address, destination: Address, lamports: int) -> Instruction:
    """Move lamports between system accounts."""
    return lamport_transfer(
        LamportTransfer(from_pubkey=to_key(source), to_pubkey=to_key(destination), lamports=lamports)
    )
