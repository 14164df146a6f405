"""The newest slot that was seen at each commitment: reads go no further back.

Endpoints behind one address, and several addresses, differ by some slots. Without this, what one answer showed could
be gone in the next.
"""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds for which a slot is insisted on that no endpoint reaches. An endpoint that once showed a slot out of nowhere
would otherwise silence all others for good."""


class Horizon:
    """One per cluster. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self._missed_since: dict[str, float] = {}

    def floor(self, commitment: str) -> int | None:
        """The slot that the next read must have reached; None: any."""
        return self._slots.get(commitment)

    def saw(self, commitment: str, slot: int) -> None:
        """An answer showed this slot."""
        if slot >= self._slots.get(commitment, 0):
            self._slots[commitment] = slot
            self._missed_since.pop(commitment, None)

    def missed(self, commitment: str, now: float) -> None:
        """No endpoint has reached the floor."""
        since = self._missed_since.setdefault(commitment, now)
        if now - since > PATIENCE:
            _log.warning("no endpoint reaches slot %s any more; older views are taken", self._slots.get(commitment))
            self._slots.pop(commitment, None)
            self._missed_since.pop(commitment, None)
