"""Instructions of the system program and of the SPL token programs, as far as this product sends them.

Those of the token programs are written out: the package that has builders for them loads a parser library and a second
HTTP client with them, which costs every process 20 MB.
"""

from __future__ import annotations

from solders.instruction import Instruction
from solders.system_program import TransferParams, transfer

from node.chain.addresses import to_key, token_account
from node.chain.clusters import Cluster
from node.chain.instructions.build import reads, signs, signs_and_writes, u64, writes
from node.records import Address

_CREATE_IDEMPOTENT = bytes([1])
"""Of the SPL associated token account program."""
_TRANSFER = bytes([3])
"""Of the SPL token program."""


def create_token_account(
    cluster: Cluster,
    *,
    payer: Address,
    owner: Address,
    mint: Address | None = None,
    program: Address | None = None,
) -> Instruction:
    """Create the owner's associated token account (for NOS unless said); no error where it exists.

    `program` is the token program that owns the mint: SPL Token unless said.
    """
    return Instruction(
        to_key(cluster.ata),
        _CREATE_IDEMPOTENT,
        [
            signs_and_writes(payer),
            writes(token_account(cluster, owner, mint, program)),
            reads(owner),
            reads(mint or cluster.nos_mint),
            reads(cluster.system),
            reads(program or cluster.token),
        ],
    )


def transfer_tokens(
    cluster: Cluster, *, source: Address, destination: Address, owner: Address, amount: int
) -> Instruction:
    """Move `amount` of the smallest unit (micro-NOS for NOS) from one token account to another."""
    accounts = [writes(source), writes(destination), signs(owner)]
    return Instruction(to_key(cluster.token), _TRANSFER + u64(amount), accounts)


def transfer_lamports(*, source: Address, destination: Address, lamports: int) -> Instruction:
    """Move lamports between system accounts."""
    return transfer(TransferParams(from_pubkey=to_key(source), to_pubkey=to_key(destination), lamports=lamports))
