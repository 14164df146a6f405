"""SPL Memo v2: text that a transaction carries."""

from __future__ import annotations

from solders.instruction import Instruction

from node.chain.addresses import to_key
from node.chain.clusters import MEMO_PROGRAM
from node.chain.instructions.build import signs
from node.chain.replies import LandedTransaction
from node.errors import ChainError
from node.records import Address

MEMO_LIMIT = 512
"""Bytes; the program itself runs out of compute units near 32 kB, a transaction of room far earlier."""


def memo(signer: Address, text: str) -> Instruction:
    """A memo that `signer` signs. Raises ChainError for one that is empty or over 512 bytes."""
    raw = text.encode()
    if not 0 < len(raw) <= MEMO_LIMIT:
        raise ChainError(f"a memo has 1 to {MEMO_LIMIT} bytes, not {len(raw)}")
    return Instruction(to_key(MEMO_PROGRAM), raw, [signs(signer)])


def memos(transaction: LandedTransaction, signer: Address | None = None) -> tuple[str, ...]:
    """The memos of a landed transaction, in order; with `signer`, only those that this key signed.

    A failed transaction says nothing: its memos are left out. So is a memo that is not UTF-8.
    """
    if transaction.failure is not None:
        return ()
    found = []
    for each in transaction.instructions:
        if each.program != MEMO_PROGRAM or (signer is not None and signer not in each.accounts):
            continue
        try:
            found.append(each.data.decode())
        except UnicodeDecodeError:
            continue
    return tuple(found)
