"""Recent blockhashes: which ones a transaction may still name, and which transactions named each.

A blockhash may be used while at most 150 blocks were made after its own (the cluster's maximum processing age).
A transaction is known by its message within the blockhash it names, so that a copy is refused for exactly as
long as its blockhash would let it in. Entries are kept a little longer than that: a fork makes the chain shorter,
and hashes that were too old are then young enough again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass, field

from solders.hash import Hash

from node.localnet.slots import DEPTH, Commitment

MAX_AGE = 150
"""Blocks."""
_KEPT = MAX_AGE + DEPTH[Commitment.FINALIZED]
"""Blocks: no fork makes the chain shorter by more than what is not finalized."""


_DIGEST_BYTES = 8
"""Of a message's hash: enough to tell the few hundred thousand apart that name one blockhash."""


@dataclass(slots=True)
class _Entry:
    height: int
    messages: array[int] = field(default_factory=lambda: array("Q"))
    """Shortened hashes in rising order: as a set of bytes they would take fifteen times as much memory."""

    def place_of(self, digest: int) -> tuple[int, bool]:
        """Where the digest stands or would have to stand, and whether it is there."""
        place = bisect_left(self.messages, digest)
        return place, place < len(self.messages) and self.messages[place] == digest


class Blockhashes:
    """The table of blockhashes that are young enough."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Hash, _Entry] = OrderedDict()

    def register(self, blockhash: Hash, height: int) -> None:
        """A block was made; hashes that can be of no use any more are dropped, with the transactions they knew."""
        self._entries[blockhash] = _Entry(height)
        while True:
            oldest = next(iter(self._entries.values()))
            if height - oldest.height <= _KEPT:
                return
            self._entries.popitem(last=False)

    def valid_at(self, blockhash: Hash, height: int) -> bool:
        """Whether a transaction naming the hash may be in a block of that height."""
        entry = self._entries.get(blockhash)
        return entry is not None and 0 <= height - entry.height <= MAX_AGE

    def seen(self, blockhash: Hash, message: bytes) -> bool:
        """Whether a transaction with this message (its hash) is in a block already."""
        entry = self._entries.get(blockhash)
        return entry is not None and entry.place_of(_digest(message))[1]

    def mark(self, blockhash: Hash, message: bytes) -> None:
        """Remember that the message is in a block. One with a durable nonce needs it not: it has used its nonce up."""
        entry, digest = self._entries.get(blockhash), _digest(message)
        if entry is None:
            return
        place, there = entry.place_of(digest)
        if not there:
            entry.messages.insert(place, digest)

    def unmark(self, blockhash: Hash, message: bytes) -> None:
        """The block with that message is gone: a copy may land."""
        entry = self._entries.get(blockhash)
        if entry is not None:
            place, there = entry.place_of(_digest(message))
            if there:
                del entry.messages[place]

    def drop_after(self, height: int) -> None:
        """Blocks above that height are gone, and with them their hashes."""
        while self._entries and next(reversed(self._entries.values())).height > height:
            self._entries.popitem()

    def forget(self) -> None:
        """Forget every hash, as if none had been made on this chain."""
        self._entries.clear()

    def rows(self) -> list[tuple[Hash, int, tuple[bytes, ...]]]:
        """Everything held, oldest first: for saving."""
        return [
            (key, entry.height, tuple(digest.to_bytes(_DIGEST_BYTES, "big") for digest in entry.messages))
            for key, entry in self._entries.items()
        ]


def _digest(message: bytes) -> int:
    return int.from_bytes(message[:_DIGEST_BYTES], "big")
