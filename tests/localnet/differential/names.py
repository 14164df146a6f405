"""Keys by name, the same on every chain, and what a chain's history is told by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from node.records import Cid

TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
STAKE = Pubkey.from_string("Stake11111111111111111111111111111111111111")
RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
NATIVE = Pubkey.from_string("So11111111111111111111111111111111111111112")
DEFINITION = Cid("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n")
SOL = 10**9


def key(name: str) -> Keypair:
    """The key of that name, the same on every chain."""
    return Keypair.from_seed(hashlib.sha256(f"gpunode differential {name}".encode()).digest())


ALICE, BOB, CAROL = key("alice"), key("bob"), key("carol")


@dataclass
class World:
    """What was made on one chain: addresses, blockhashes and signatures by name."""

    names: dict[str, str] = field(default_factory=dict)
    slots: dict[str, int] = field(default_factory=dict)
    """Of each transaction."""
    wires: dict[str, str] = field(default_factory=dict)
    """Transactions in base64 that are not to land."""
    messages: dict[str, str] = field(default_factory=dict)
    """The messages of some of them, in base64."""
    harmless: tuple[str, ...] = ()
    """Those of the wires that would land if they were sent."""


def memo(text: str, signer: Keypair) -> Instruction:
    """A memo that somebody signs."""
    return Instruction(MEMO, text.encode(), [AccountMeta(signer.pubkey(), is_signer=True, is_writable=False)])


def pay(source: Keypair, to: Pubkey, lamports: int) -> Instruction:
    """A transfer of lamports."""
    return transfer(TransferParams(from_pubkey=source.pubkey(), to_pubkey=to, lamports=lamports))
