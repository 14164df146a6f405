"""What is wrong with a transaction whatever it does: its lookup tables, and what it asks of the compute budget.

A node finds these before it runs anything, and a leader drops such a transaction without a fee.
Layouts: the address lookup table program's accounts, and the compute budget program's instructions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from solders.account import Account
from solders.message import MessageAddressTableLookup, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

LOOKUP_TABLE_PROGRAM = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
LOOKUP_TABLE_HEADER = 56
"""Bytes before the first address of a lookup table account."""
_NEVER = 2**64 - 1
"""The slot of deactivation of a table that is in use."""
_COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
_BUDGET_BYTES = {1: 5, 2: 5, 3: 9, 4: 5}
"""Of each instruction: heap, compute units, price, loaded data."""
_LOADED_DATA = 4


def unsound(
    transaction: VersionedTransaction,
    slot: int,
    read: Callable[[Pubkey], Account | None],
    recent: Callable[[int], bool],
) -> Any:
    """The transaction error in JSON form, or None.

    `read` gives accounts as they are in that slot; `recent` says whether a slot's hash is still known.
    """
    message = transaction.message
    if isinstance(message, MessageV0):
        for lookup in message.address_table_lookups:
            error = _lookup_error(lookup, slot, read(lookup.account_key), recent)
            if error is not None:
                return error
    return _budget_error(transaction)


def _lookup_error(
    lookup: MessageAddressTableLookup, slot: int, table: Account | None, recent: Callable[[int], bool]
) -> str | None:
    if table is None:
        return "AddressLookupTableNotFound"
    if table.owner != LOOKUP_TABLE_PROGRAM:
        return "InvalidAddressLookupTableOwner"
    data = table.data
    body = len(data) - LOOKUP_TABLE_HEADER
    if body < 0 or body % 32 or data[:4] != b"\x01\x00\x00\x00":
        return "InvalidAddressLookupTableData"
    stopped = int.from_bytes(data[4:12], "little")
    if stopped not in (_NEVER, slot) and not recent(stopped):
        return "AddressLookupTableNotFound"  # deactivated, and gone for good
    extended, start = int.from_bytes(data[12:20], "little"), data[20]
    # What was added in this very slot cannot be used yet.
    usable = body // 32 if slot > extended else start
    wanted = [*lookup.writable_indexes, *lookup.readonly_indexes]
    return "InvalidAddressLookupTableIndex" if any(index >= usable for index in wanted) else None


def _budget_error(transaction: VersionedTransaction) -> Any:
    message = transaction.message
    keys, seen = message.account_keys, set[int]()
    for index, instruction in enumerate(message.instructions):
        if instruction.program_id_index >= len(keys) or keys[instruction.program_id_index] != _COMPUTE_BUDGET:
            continue
        data = bytes(instruction.data)
        kind = data[0] if data else 0
        if len(data) < _BUDGET_BYTES.get(kind, 1 << 16):
            return {"InstructionError": [index, "InvalidInstructionData"]}
        if kind in seen:
            return {"DuplicateInstruction": index}
        seen.add(kind)
        if kind == _LOADED_DATA and not any(data[1:5]):
            return "InvalidLoadedAccountsDataSizeLimit"
    return None
