"""The lowest price that a transaction paid in each recent block, over all accounts and for those it wrote to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from node.localnet.ledger import Ledger, Record

_COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
_SET_PRICE = 3
_KEPT = 300
"""Blocks whose prices are remembered."""


@dataclass(frozen=True, slots=True)
class _Prices:
    lowest: int
    """Micro-lamports per compute unit; 0 for an empty block."""
    by_account: dict[Pubkey, int]


class PriceTable:
    """Prices of blocks, worked out when they are asked for."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: OrderedDict[int, _Prices] = OrderedDict()

    def lowest(self, slot: int, accounts: Sequence[Pubkey]) -> int:
        """What it took to be in a finished block with write locks on these accounts."""
        prices = self._known.get(slot)
        if prices is None:
            prices = self._known[slot] = _prices(self._ledger.in_slot(slot))
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return max(prices.lowest, *(prices.by_account.get(key, 0) for key in accounts), 0)


def _prices(records: Sequence[Record]) -> _Prices:
    lowest: int | None = None
    by_account: dict[Pubkey, int] = {}
    for record in records:
        transaction = VersionedTransaction.from_bytes(record.wire)
        price = _price(transaction)
        lowest = price if lowest is None else min(lowest, price)
        for key in _writable(transaction, record):
            by_account[key] = min(by_account.get(key, price), price)
    return _Prices(lowest or 0, by_account)


def _price(transaction: VersionedTransaction) -> int:
    message = transaction.message
    for instruction in message.instructions:
        data = bytes(instruction.data)
        program = message.account_keys[instruction.program_id_index]
        if program == _COMPUTE_BUDGET and len(data) >= 9 and data[0] == _SET_PRICE:
            return int.from_bytes(data[1:9], "little")
    return 0


def _writable(transaction: VersionedTransaction, record: Record) -> list[Pubkey]:
    message = transaction.message
    header, keys = message.header, message.account_keys
    signers = header.num_required_signatures
    found = list(keys[: signers - header.num_readonly_signed_accounts])
    found += keys[signers : len(keys) - header.num_readonly_unsigned_accounts]
    if isinstance(message, MessageV0):
        loaded = sum(len(lookup.writable_indexes) for lookup in message.address_table_lookups)
        found += record.accounts[len(keys) : len(keys) + loaded]
    return found
