"""From instructions to a message that can be signed: version 0, with compute limit and price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash, ParseHashError
from solders.instruction import Instruction
from solders.message import CompileError, Message, MessageV0, MessageV1
from solders.signature import Signature as RawSignature
from solders.transaction import VersionedTransaction

from node.chain import fees
from node.chain.addresses import to_key
from node.chain.clusters import COMPUTE_BUDGET_PROGRAM
from node.chain.replies import Simulation
from node.chain.rpc import Rpc
from node.errors import ChainError, TransactionFailed
from node.records import Address, Signature

MAX_UNITS = 1_400_000
"""Compute units one transaction may ask for (Solana)."""
SIZE_LIMIT = 1_232
"""Bytes of a transaction on the wire (Solana)."""
_MARGIN_PERCENT = 130


@dataclass(frozen=True, slots=True)
class Budget:
    """Compute units asked for, and micro-lamports offered for each."""

    units: int
    price: int


def compile_message(payer: Address, instructions: Sequence[Instruction], blockhash: str, budget: Budget) -> MessageV0:
    """The message with its compute-budget instructions in front.

    Raises ChainError when the instructions make no transaction, or one that is too large.
    """
    all_of_it = [set_compute_unit_price(budget.price), set_compute_unit_limit(budget.units), *instructions]
    try:
        message = MessageV0.try_compile(to_key(payer), all_of_it, [], Hash.from_string(blockhash))
    except (ValueError, CompileError, ParseHashError) as error:
        raise ChainError(f"the transaction cannot be put together: {error}") from error
    if (size := len(bytes(unsigned(message)))) > SIZE_LIMIT:
        raise ChainError(
            f"the transaction has {size} bytes, {SIZE_LIMIT} is the most", hint="Send fewer instructions at once."
        )
    return message


def unsigned(message: MessageV0) -> VersionedTransaction:
    """The transaction with empty signatures, as simulation takes it."""
    return VersionedTransaction.populate(message, [RawSignature.default()] * message.header.num_required_signatures)


def writable_accounts(payer: Address, instructions: Sequence[Instruction]) -> tuple[Address, ...]:
    """The accounts a transaction writes: those whose recent prices matter."""
    keys = {Address(str(meta.pubkey)): None for each in instructions for meta in each.accounts if meta.is_writable}
    return tuple({payer: None, **keys})


async def simulate(rpc: Rpc, payer: Address, instructions: Sequence[Instruction]) -> Simulation:
    """What the instructions would do now, within the largest compute limit."""
    message = compile_message(payer, instructions, str(Hash.default()), Budget(MAX_UNITS, 0))
    return await rpc.simulate(bytes(unsigned(message)))


async def measure(rpc: Rpc, payer: Address, instructions: Sequence[Instruction]) -> int:
    """The compute limit to ask for: what a simulation used plus 30 %.

    Raises TransactionFailed when the simulation fails.
    """
    result = await simulate(rpc, payer, instructions)
    if result.failure is not None:
        raise result.failure
    return min(MAX_UNITS, max(1, -(-result.units * _MARGIN_PERCENT // 100)))


def signature_of(wire: bytes) -> Signature:
    """The signature by which a signed transaction of ours is known."""
    return Signature(str(VersionedTransaction.from_bytes(wire).signatures[0]))


def fee_of(wire: bytes) -> int:
    """Lamports that a signed transaction of ours costs when it lands."""
    message = VersionedTransaction.from_bytes(wire).message
    budget = _budget_of(message)
    return fees.total(message.header.num_required_signatures, budget.price, budget.units)


def signers_of(wire: bytes) -> int:
    """How many sign a transaction."""
    return VersionedTransaction.from_bytes(wire).message.header.num_required_signatures


def units_of(wire: bytes) -> int:
    """The compute limit a signed transaction of ours asks for."""
    return _budget_of(VersionedTransaction.from_bytes(wire).message).units


def _budget_of(message: Message | MessageV0 | MessageV1) -> Budget:
    units, price = 0, 0
    for each in message.instructions:
        if str(message.account_keys[each.program_id_index]) != COMPUTE_BUDGET_PROGRAM:
            continue
        data = bytes(each.data)
        if data[:1] == b"\2":
            units = int.from_bytes(data[1:5], "little")
        elif data[:1] == b"\3":
            price = int.from_bytes(data[1:9], "little")
    return Budget(units, price)


def expired() -> TransactionFailed:
    """The error for a transaction that could not land in its time."""
    return TransactionFailed(
        "the transaction did not land before its blockhash expired",
        error="Expired",
        hint="Try again; if it happens often, raise `fees.cap` or use another endpoint.",
    )
