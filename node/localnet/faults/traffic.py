"""Transactions on their way from an endpoint into a block: lost, dropped, late, or waiting for a chain that stands."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, TypeVar

from solders.transaction import VersionedTransaction

from node.localnet.faults.board import Applied, Board
from node.localnet.faults.kinds import Drop, Late, Lose, SendFault
from node.localnet.ledger import Record
from node.localnet.validator import Validator

S = TypeVar("S", bound=SendFault)
_MOST_DROPPED = 10_000
"""Dropped transactions that are remembered, so that copies are dropped too."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A transaction that is to land in the first block from that slot on."""

    slot: int
    transaction: VersionedTransaction
    wire: bytes


class Traffic:
    """What is on its way."""

    def __init__(self, validator: Validator, board: Board) -> None:
        self._validator = validator
        self._board = board
        self._waiting: list[_Waiting] = []
        self._late: dict[str, Applied[Late]] = {}
        """By signature; copies have to wait as well."""
        self._dropped: OrderedDict[str, Applied[Drop]] = OrderedDict()
        """By signature; copies do not land either."""
        board.on_end.append(self._ended)

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def sent(self, transaction: VersionedTransaction, wire: bytes, *, endpoint: int, standing: bool) -> None:
        """A client sent a transaction to the endpoint; `standing`: no block is being made now."""
        signature = str(transaction.signatures[0])
        if _held(self._dropped.get(signature), endpoint) or _held(self._late.get(signature), endpoint):
            return
        if self._hit(Lose, transaction, endpoint) is not None:
            return
        dropping = self._hit(Drop, transaction, endpoint)
        if dropping is not None:
            self._dropped[signature] = dropping
            if len(self._dropped) > _MOST_DROPPED:
                self._dropped.popitem(last=False)
            return
        head = self._validator.slots.head.slot
        late = self._hit(Late, transaction, endpoint)
        if late is not None:
            self._late[signature] = late
            self._waiting.append(_Waiting(head + late.fault.slots, transaction, wire))
        elif standing:
            self._waiting.append(_Waiting(head + 1, transaction, wire))
        else:
            self._validator.submit(transaction, wire)

    def land(self) -> None:
        """A block has begun: what is due goes into it, in the order it came."""
        head = self._validator.slots.head.slot
        due = [each for each in self._waiting if each.slot <= head]
        self._waiting = [each for each in self._waiting if each.slot > head]
        for each in due:
            self._late.pop(str(each.transaction.signatures[0]), None)
            self._validator.submit(each.transaction, each.wire)

    def again(self, records: list[Record], slot: int) -> None:
        """Transactions that a fork undid come into the first block from that slot on, as they followed each other."""
        for record in records:
            self._waiting.append(_Waiting(slot, VersionedTransaction.from_bytes(record.wire), record.wire))

    def _hit(self, kind: type[S], transaction: VersionedTransaction, endpoint: int) -> Applied[S] | None:
        for applied in self._board.live(kind, endpoint):
            wanted = applied.fault.mentions
            if (not wanted or not _named(transaction).isdisjoint(wanted)) and self._board.take(applied):
                return applied
        return None

    def _ended(self, applied: Applied[Any]) -> None:
        """Copies of what a fault dropped may land from now on; what is late stays late."""
        for signature in [key for key, by in self._dropped.items() if by is applied]:
            del self._dropped[signature]


def _held(by: Applied[Any] | None, endpoint: int) -> bool:
    return by is not None and by.fault.endpoint in (None, endpoint)


def _named(transaction: VersionedTransaction) -> set[str]:
    return {str(key) for key in transaction.message.account_keys}
