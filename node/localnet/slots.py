"""Slots and blocks of the embedded chain: which slots exist, which were skipped, and what each commitment sees.

A slot is a span of time; a block is what a leader made of it. Some slots are skipped, so that block height and
slot number differ, as on a real cluster.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from solders.hash import Hash

SLOTS_PER_EPOCH = 432_000


class Commitment(IntEnum):
    """How settled a view of the chain is."""

    PROCESSED = 0
    CONFIRMED = 1
    FINALIZED = 2


DEPTH = {Commitment.PROCESSED: 0, Commitment.CONFIRMED: 1, Commitment.FINALIZED: 32}
"""Blocks that must follow a block before it has the commitment."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block: the slot it was made in and what the cluster knows of it."""

    slot: int
    height: int
    parent: int
    """Slot of the block before it."""
    blockhash: Hash
    time: int
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class SkipRule:
    """Which slots go without a block: about one in `one_in`, the same ones each time; 0 means none."""

    one_in: int = 20

    def skips(self, slot: int) -> bool:
        """Whether the slot has no block."""
        return self.one_in > 0 and slot > 0 and (slot * 2_654_435_761 % 2**32) * self.one_in < 2**32


class Slots:
    """The chain's recent blocks, newest last; `limit` bounds how many are remembered."""

    def __init__(self, first: Block, *, rule: SkipRule, limit: int) -> None:
        self._blocks: deque[Block] = deque([first], maxlen=max(limit, DEPTH[Commitment.FINALIZED] * 2))
        self._rule = rule
        self._tip = first.slot
        self._root = first
        """Never undone, however far a fork goes back."""

    @property
    def tip(self) -> int:
        """The slot that time has reached, with or without a block."""
        return self._tip

    @property
    def head(self) -> Block:
        """The newest block: the one transactions are put into."""
        return self._blocks[-1]

    def at(self, commitment: Commitment) -> Block:
        """The newest block that has the commitment."""
        block = self._blocks[max(-1 - DEPTH[commitment], -len(self._blocks))]
        # After a fork, and in an old view, counting blocks would lead back to before the root.
        return block if block.slot >= self._root.slot else self._root

    def next_slot(self) -> int | None:
        """Move time on by one slot; its number, or None where the slot is skipped."""
        self._tip += 1
        return None if self._rule.skips(self._tip) else self._tip

    def jump(self, slots: int) -> None:
        """Move time on without blocks, as an outage of the cluster would."""
        self._tip += slots

    def append(self, block: Block) -> None:
        """Put a new block on top."""
        self._blocks.append(block)
        self._tip = max(self._tip, block.slot)

    def drop_after(self, slot: int) -> list[Block]:
        """A fork wins that knows no block after this slot: the blocks that are gone, oldest first.

        Time does not go back, so their slots count as skipped from now on. Finalized blocks stay whatever the slot.
        """
        self._root = self.at(Commitment.FINALIZED)
        gone: list[Block] = []
        while self._blocks[-1].slot > max(slot, self._root.slot):
            gone.append(self._blocks.pop())
        return gone[::-1]

    def upto(self, slot: int, root: int) -> Slots:
        """The chain as it was when this slot was its newest, with everything up to the slot `root` finalized."""
        old = copy.copy(self)
        old._blocks = deque((block for block in self._blocks if block.slot <= slot), maxlen=self._blocks.maxlen)
        old._tip = min(slot, self._tip)
        old._root = next((block for block in reversed(old._blocks) if block.slot <= root), old._blocks[0])
        return old

    def find(self, slot: int) -> Block | None:
        """The block of a slot, if there was one and it is still remembered."""
        low, high = 0, len(self._blocks) - 1
        while low <= high:
            middle = (low + high) // 2
            block = self._blocks[middle]
            if block.slot == slot:
                return block
            low, high = (middle + 1, high) if block.slot < slot else (low, middle - 1)
        return None

    def between(self, after: int, upto: int) -> list[Block]:
        """Remembered blocks with `after < slot <= upto`, oldest first."""
        found: list[Block] = []
        for block in reversed(self._blocks):
            if block.slot <= after:
                break
            if block.slot <= upto:
                found.append(block)
        return found[::-1]

    def oldest(self) -> Block:
        """The oldest block still remembered."""
        return self._blocks[0]

    def remembered(self) -> Iterable[Block]:
        """All remembered blocks, oldest first."""
        return iter(self._blocks)
