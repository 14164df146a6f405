"""The pace of the chain: slots pass in time, and those that could not are counted."""

from __future__ import annotations

from typing import Any

from node.localnet.validator import Validator
from node.retry import Clock

_LATE_SLOTS = 8
"""A process that was held up longer than this lets the missed slots pass without blocks."""


class Pace:
    """Lets a slot pass every `slot_ms` milliseconds; 0: none passes by itself."""

    def __init__(self, validator: Validator, clock: Clock, slot_ms: int) -> None:
        self._validator = validator
        self._clock = clock
        self._length = slot_ms / 1000
        self.missed = 0
        """Slots that have passed without a block since the process was held up."""
        self.most_late = 0.0
        """Seconds by which the latest slot of all came too late."""

    def describe(self) -> dict[str, Any]:
        """What `localnet_pace` answers."""
        return {
            "slot": self._validator.slots.tip,
            "slotMs": round(self._length * 1000),
            "missedSlots": self.missed,
            "mostLateMs": round(self.most_late * 1000, 1),
        }

    async def run(self) -> None:
        """Let slots pass until cancelled."""
        if self._length <= 0:
            return
        due = self._clock.monotonic() + self._length
        while True:
            await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
            late = self._clock.monotonic() - due
            self.most_late = max(self.most_late, late)
            missed = int(late / self._length)
            if missed > _LATE_SLOTS:
                self._validator.slots.jump(missed)
                self.missed += missed
                due += missed * self._length
            self._validator.tick()
            due += self._length
