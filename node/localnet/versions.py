"""Older versions of accounts, kept as long as a commitment may still ask for them.

The SVM holds each account as it is now. Before an account changes in a slot for the first time, its old version
is noted here, so that the state at the end of any slot newer than the finalized one can be told.
"""

from __future__ import annotations

from solders.account import Account
from solders.pubkey import Pubkey

SPARE = 500
"""Versions kept although no commitment asks for them any more: what an endpoint that lags behind shows."""


class UndoLog:
    """What accounts were before each slot changed them."""

    def __init__(self) -> None:
        self._older: dict[Pubkey, list[tuple[int, Account | None]]] = {}
        self._slots: dict[int, dict[Pubkey, None]] = {}
        self._notes = 0
        self._floor = 0

    @property
    def floor(self) -> int:
        """The oldest slot whose end can be told."""
        return self._floor

    def note(self, key: Pubkey, slot: int, previous: Account | None) -> None:
        """An account is about to change in this slot; only the first note of a slot counts."""
        keys = self._slots.setdefault(slot, {})
        if key in keys:
            return
        keys[key] = None
        self._notes += 1
        self._older.setdefault(key, []).append((slot, previous))

    def at(self, key: Pubkey, slot: int, current: Account | None) -> Account | None:
        """The account as it was at the end of the slot, given what it is now."""
        for changed, previous in self._older.get(key, ()):
            if changed > slot:
                return previous
        return current

    def changed_in(self, slot: int) -> list[Pubkey]:
        """Accounts that changed in the slot, in the order of their first change."""
        return list(self._slots.get(slot, ()))

    def changed_after(self, slot: int) -> set[Pubkey]:
        """Accounts that changed in a later slot than this one."""
        return {key for changed, keys in self._slots.items() if changed > slot for key in keys}

    def prune(self, slot: int) -> None:
        """Forget what only views of slots before this one would need, oldest first and down to SPARE versions."""
        done: list[int] = []
        for changed in self._slots:
            if changed > slot or self._notes <= SPARE:
                break
            self._notes -= len(self._slots[changed])
            done.append(changed)
        for changed in done:
            self._floor = changed
            for key in self._slots.pop(changed):
                versions = [entry for entry in self._older.get(key, ()) if entry[0] > changed]
                if versions:
                    self._older[key] = versions
                else:
                    self._older.pop(key, None)

    def drop_after(self, slot: int) -> dict[Pubkey, Account | None]:
        """Take back all changes of later slots: what the accounts they touched were at the end of this one."""
        reverted = {key: self.at(key, slot, None) for key in self.changed_after(slot)}
        for changed in [number for number in self._slots if number > slot]:
            self._notes -= len(self._slots[changed])
            for key in self._slots.pop(changed):
                versions = [entry for entry in self._older.get(key, ()) if entry[0] <= slot]
                if versions:
                    self._older[key] = versions
                else:
                    self._older.pop(key, None)
        return reverted

    def clear(self) -> None:
        """Forget everything: all accounts are final as they are now."""
        self._floor = max((self._floor, *self._slots))
        self._notes = 0
        self._older.clear()
        self._slots.clear()
