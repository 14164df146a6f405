"""The chain's clock: the machine's, moved on by whatever was asked for."""

from __future__ import annotations

from collections.abc import Callable

from node.errors import LocalnetError
from node.localnet.slots import Commitment
from node.localnet.validator import Validator

_NANO = 10**9
NOMINAL_SLOT = 0.4
"""Seconds of a slot on a cluster; also where slots do not pass by themselves."""
MOST_SECONDS = 100 * 365 * 86_400
MOST_SLOTS = 10**10
_BLOCKS = 512
"""Blocks made by a leap that is longer: enough that every older blockhash is too old, everything before it is
finalized, and the SlotHashes sysvar holds none but new ones."""
_TRIES = 32


class ChainTime:
    """Unix seconds on the chain. `ahead` is by how many nanoseconds it is ahead of the machine's clock."""

    def __init__(self, machine: Callable[[], float], ahead: int = 0) -> None:
        self._machine = machine
        self.ahead = ahead

    def __call__(self) -> float:
        """Unix seconds."""
        return self._machine() + self.ahead / _NANO


class Leaps:
    """Time that passes at once.

    Every slot that passes gets its share of the seconds. Of a long leap, only the last 512 slots have blocks: the
    others pass as in an outage of the cluster, so that block heights, parents and block times stay true.
    """

    def __init__(self, validator: Validator, time: ChainTime, slot_ms: int) -> None:
        self._validator = validator
        self._time = time
        self._slot_seconds = slot_ms / 1000 or NOMINAL_SLOT

    def seconds(self, seconds: float) -> None:
        """Let so many seconds pass, and as many slots as take that long; at least one.

        Raises LocalnetError for nothing, and for more than 100 years.
        """
        if not 0 < seconds <= MOST_SECONDS:
            raise LocalnetError(
                f"the clock cannot move on by {seconds:g} seconds", hint="Time goes forward, at most 100 years at once."
            )
        self._pass(max(1, round(seconds / self._slot_seconds)), round(seconds * _NANO))

    def slots(self, slots: int) -> None:
        """Let so many slots pass, and the time they take.

        Raises LocalnetError for none, and for more than 10,000,000,000.
        """
        if not 0 < slots <= MOST_SLOTS:
            raise LocalnetError(
                f"the chain cannot move on by {slots} slots", hint=f"Ask for at least one, at most {MOST_SLOTS}."
            )
        self._pass(slots, round(slots * self._slot_seconds * _NANO))

    def _pass(self, slots: int, nanoseconds: int) -> None:
        arrival = self._time.ahead + nanoseconds
        share = nanoseconds // slots
        blocks = min(slots, _BLOCKS)
        if slots > blocks:
            self._validator.slots.jump(slots - blocks)
        for left in reversed(range(blocks)):
            self._time.ahead = arrival - left * share
            self._validator.tick()
        # The last slot may be one without a block; only a block shows the new time to programs.
        for _ in range(_TRIES):
            if self._validator.slots.at(Commitment.PROCESSED).slot == self._validator.slots.tip:
                return
            self._validator.tick()
