"""Slots in time, on a clock that passes when told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from solders.hash import Hash

from node.localnet.bank import Bank
from node.localnet.pace import Pace
from node.localnet.slots import SkipRule
from node.localnet.validator import History, Validator

SLOT_MS = 400


class HeldUp:
    """A clock on which each sleep takes as much longer as the process was held up; it ends with the delays."""

    def __init__(self, delays: list[float]) -> None:
        self.now = 100.0
        self._delays: Iterator[float] = iter(delays)

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        delay = next(self._delays, None)
        if delay is None:
            raise asyncio.CancelledError
        self.now += seconds + delay


async def paced(delays: list[float]) -> tuple[Validator, Pace, HeldUp]:
    clock = HeldUp(delays)
    validator = Validator(
        Bank(), genesis_hash=Hash.new_unique(), time=clock.time, rule=SkipRule(one_in=0), history=History()
    )
    pace = Pace(validator, clock, SLOT_MS)
    with pytest.raises(asyncio.CancelledError):
        await pace.run()
    return validator, pace, clock


async def test_every_slot_has_its_block_in_time() -> None:
    validator, pace, clock = await paced([0.0] * 25)
    assert validator.slots.head.slot == validator.slots.tip == validator.slots.head.height == 25
    assert clock.now == pytest.approx(100 + 25 * 0.4)
    assert (pace.missed, pace.most_late) == (0, pytest.approx(0))


async def test_a_short_delay_is_made_up_for_without_missing_a_slot() -> None:
    validator, pace, clock = await paced([0.0, 2.1, *[0.0] * 8])
    assert validator.slots.head.height == validator.slots.tip == 10
    assert clock.now == pytest.approx(100 + 10 * 0.4), "back in time after a few slots at once"
    assert pace.missed == 0
    assert pace.describe() == {"slot": 10, "slotMs": 400, "missedSlots": 0, "mostLateMs": 2100.0}


async def test_after_a_long_delay_slots_are_missed_and_counted() -> None:
    validator, pace, clock = await paced([0.0, 8.1, *[0.0] * 8])
    assert pace.missed == 20
    assert validator.slots.head.height == 10
    assert validator.slots.tip == 30
    assert clock.now == pytest.approx(100 + 30 * 0.4)
