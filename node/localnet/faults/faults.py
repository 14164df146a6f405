"""`Localnet.faults`: sets, lists and clears faults, and brings about those of the chain itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from solders.transaction import VersionedTransaction

from node.errors import LocalnetError
from node.localnet.blockhashes import MAX_AGE
from node.localnet.faults.board import Applied, Board
from node.localnet.faults.endpoint import Endpoint
from node.localnet.faults.kinds import (
    Disconnect,
    Down,
    Expire,
    Fault,
    Fork,
    Lag,
    Mute,
    Skip,
    Stall,
)
from node.localnet.faults.reading import parse_fault
from node.localnet.faults.traffic import Traffic
from node.localnet.slots import DEPTH, Commitment
from node.localnet.validator import Validator
from node.retry import Clock

_OUTDATED = MAX_AGE + 1 + DEPTH[Commitment.FINALIZED]
"""Blocks after which every hash of before is too old in the finalized view too."""


class Faults:
    """The faults of one chain with so many endpoints."""

    def __init__(self, validator: Validator, clock: Clock, endpoints: int) -> None:
        self._validator = validator
        self._board = Board(clock.monotonic)
        self._board.on_end.append(self._ended)
        self._traffic = Traffic(validator, self._board)
        self._serving = 0
        self.endpoints = tuple(
            Endpoint(number, validator, self._board, clock, self._serve) for number in range(endpoints)
        )
        validator.weather = self

    # --- setting and clearing

    def set(self, fault: Fault | Mapping[str, Any]) -> Applied[Any]:
        """Set a fault (as a record or as its JSON object); what is due at once has happened when this returns.

        Raises LocalnetError for a fault that cannot be: an endpoint that is not there, a slot that is finalized.
        """
        return self.set_all([fault])[0]

    def set_all(self, faults: Sequence[Fault | Mapping[str, Any]]) -> tuple[Applied[Any], ...]:
        """Set several faults, all or none of them. Raises LocalnetError as `set` does."""
        wanted = [each if isinstance(each, Fault) else parse_fault(each) for each in faults]
        for fault in wanted:
            self._check(fault)
        applied = tuple(self._board.add(fault) for fault in wanted)
        self._begin()
        return applied

    @contextmanager
    def during(self, *faults: Fault | Mapping[str, Any]) -> Iterator[tuple[Applied[Any], ...]]:
        """The faults hold for as long as the context lasts."""
        applied = self.set_all(faults)
        try:
            yield applied
        finally:
            for each in applied:
                if not each.over:
                    self._board.remove(each.number)

    def clear(self, number: int | None = None) -> None:
        """Clear one fault or all. Raises LocalnetError where none has the number."""
        for each in self._board.numbers() if number is None else [number]:
            self._board.remove(each)

    def describe(self) -> dict[str, Any]:
        """`faults`: those that are set, each with its `id` and how often it has happened; `ended`: those of before."""
        self._board.expire()
        return self._board.json()

    def _check(self, fault: Fault) -> None:
        if fault.endpoint is not None and not 0 <= fault.endpoint < len(self.endpoints):
            raise LocalnetError(
                f"there is no endpoint {fault.endpoint}",
                hint=f"They are numbered from 0 to {len(self.endpoints) - 1}; `localnet start --endpoints N` has more.",
            )
        oldest = self._validator.bank.oldest_view
        if isinstance(fault, Lag) and fault.slot is not None and fault.slot < oldest:
            raise LocalnetError(
                f"accounts of slot {fault.slot} are not known any more", hint=f"The oldest known slot is {oldest}."
            )
        if isinstance(fault, Fork) and fault.slot is not None and not fault.after:
            self._check_fork(fault.slot)

    def _check_fork(self, slot: int) -> None:
        slots = self._validator.slots
        finalized, head = slots.at(Commitment.FINALIZED).slot, slots.head.slot
        if not finalized <= slot < head:
            raise LocalnetError(
                f"the chain cannot fork after slot {slot}",
                hint=f"What is finalized is never undone: from slot {finalized} to {head - 1}.",
            )

    # --- what happens (the validator's weather)

    def stalls(self) -> bool:
        """Whether time passes without a slot; called once for each slot that could come."""
        if not self._board.empty:
            self._board.expire()
            self._begin()
        return self._happens(Stall)

    def skips(self) -> bool:
        """Whether the slot that begins goes without a block."""
        return self._happens(Skip)

    def block_begun(self) -> None:
        """A block is there to put transactions into."""
        if not self._traffic.idle:
            self._traffic.land()
        for endpoint in self.endpoints:
            endpoint.sockets.release()
        self._keep()

    def sent(self, transaction: VersionedTransaction, wire: bytes) -> None:
        """A client sent a transaction to the endpoint that is serving now."""
        if self._board.empty and self._traffic.idle:
            self._validator.submit(transaction, wire)
            return
        standing = any(True for kind in (Stall, Skip) for _ in self._board.live(kind))
        self._traffic.sent(transaction, wire, endpoint=self._serving, standing=standing)

    def _serve(self, number: int) -> None:
        self._serving = number

    def _happens(self, kind: type[Fault]) -> bool:
        return any(self._board.take(applied) for applied in self._board.live(kind))

    def _begin(self) -> None:
        for applied in self._board.begin():
            self._act(applied)

    def _act(self, applied: Applied[Any]) -> None:
        fault = applied.fault
        chosen = [each for number, each in enumerate(self.endpoints) if fault.endpoint in (None, number)]
        match fault:
            case Fork():
                applied.hits = self._fork(fault)
            case Expire():
                applied.hits = self._expire(fault)
            case Disconnect() | Down():
                applied.hits = sum(endpoint.sockets.abort() for endpoint in chosen)
            case Mute():
                for endpoint in chosen:
                    endpoint.sockets.begun(applied)
            case Lag():
                self._keep()
        if not fault.lasting:
            self._board.remove(applied.number)

    def _fork(self, fault: Fork) -> int:
        """Fork the chain; the number of transactions that are undone."""
        slots = self._validator.slots
        wanted = slots.tip - fault.slots if fault.slots is not None else fault.slot or 0
        slot = max(wanted, slots.at(Commitment.FINALIZED).slot)
        gone = self._validator.fork(slot)
        for endpoint in self.endpoints:
            endpoint.sockets.forked(slot)
        if fault.again is not None:
            self._traffic.again(gone, self._validator.slots.head.slot + fault.again)
        return len(gone)

    def _expire(self, fault: Expire) -> int:
        """Make all blockhashes too old; how many blocks that took."""
        if fault.how == "forget":
            self._validator.blockhashes.forget()
            self._validator.begin_block()
            return 1
        for _ in range(_OUTDATED):
            self._validator.begin_block()
        return _OUTDATED

    def _keep(self) -> None:
        """See that accounts are kept for as long as a lagging endpoint may show them."""
        shown = [slot for endpoint in self.endpoints if (slot := endpoint.shown()) is not None]
        if not shown:
            self._validator.kept_from = None
            return
        old = self._validator.slots.upto(min(shown), self._validator.bank.oldest_view)
        self._validator.kept_from = old.at(Commitment.FINALIZED).slot

    def _ended(self, applied: Applied[Any]) -> None:
        if isinstance(applied.fault, Lag):
            for endpoint in self.endpoints:
                endpoint.sockets.release()
            self._keep()
