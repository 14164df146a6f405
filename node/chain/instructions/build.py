"""How an instruction is put together: metas from addresses, data from a name and arguments."""

from __future__ import annotations

from collections.abc import Sequence

from solders.instruction import AccountMeta, Instruction

from node.chain.addresses import to_key
from node.chain.codec import instruction_discriminator
from node.records import Address


def reads(address: Address) -> AccountMeta:
    """An account that is only read."""
    return AccountMeta(to_key(address), is_signer=False, is_writable=False)


def writes(address: Address) -> AccountMeta:
    """An account that is written."""
    return AccountMeta(to_key(address), is_signer=False, is_writable=True)


def signs(address: Address) -> AccountMeta:
    """An account that signs and is not written."""
    return AccountMeta(to_key(address), is_signer=True, is_writable=False)


def signs_and_writes(address: Address) -> AccountMeta:
    """An account that signs and is written."""
    return AccountMeta(to_key(address), is_signer=True, is_writable=True)


def anchor(program: Address, name: str, accounts: Sequence[AccountMeta], arguments: bytes = b"") -> Instruction:
    """An instruction of an Anchor program: `name` in snake case, `arguments` in Borsh."""
    return Instruction(to_key(program), instruction_discriminator(name) + arguments, list(accounts))


def i64(value: int) -> bytes:
    """Eight signed bytes."""
    return value.to_bytes(8, "little", signed=True)


def u64(value: int) -> bytes:
    """Eight unsigned bytes."""
    return value.to_bytes(8, "little")


def u128(value: int) -> bytes:
    """Sixteen unsigned bytes."""
    return value.to_bytes(16, "little")
