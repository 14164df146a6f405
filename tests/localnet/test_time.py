"""Slots and the Clock sysvar against a clock that the test turns by hand."""

from __future__ import annotations

import asyncio
import base64
import struct
from dataclasses import dataclass, field

import httpx

from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions
from node.localnet.slots import SkipRule
from tests.localnet.rpc import PROCESSED, RpcClient

CLOCK = "SysvarC1ock11111111111111111111111111111111"


@dataclass
class FakeClock:
    """Time passes only while somebody sleeps and `allowed` says so; `extra` is a hold-up on top of one sleep."""

    now: float = 1_000_000.0
    allowed: float = 0.0
    extra: float = 0.0
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        while self.allowed < seconds:
            self.moved.clear()
            await self.moved.wait()
        self.allowed -= seconds
        self.now += seconds + self.extra
        self.extra = 0.0

    async def turn(self, seconds: float) -> None:
        """Let so much time pass, and everything that was waiting for it happen."""
        self.allowed += seconds
        self.moved.set()
        for _ in range(200):
            await asyncio.sleep(0)


def options(clock: FakeClock, *, one_in: int = 0) -> LocalnetOptions:
    return LocalnetOptions(rpc_port=0, content_port=0, slot_ms=400, clock=clock, skip=SkipRule(one_in))


async def test_one_slot_per_400_ms() -> None:
    clock = FakeClock()
    async with Localnet.start(options(clock)) as net:
        slots = net.validator.slots
        start = slots.head
        await clock.turn(0.39)
        assert slots.head == start
        await clock.turn(0.02)
        assert slots.head.slot == start.slot + 1
        await clock.turn(4.0)
        assert slots.head.slot == start.slot + 11
        assert slots.head.height == start.height + 11


async def test_skipped_slots_take_their_time() -> None:
    clock = FakeClock()
    async with Localnet.start(options(clock, one_in=3)) as net:
        slots = net.validator.slots
        start, tip = slots.head, slots.tip
        await clock.turn(12.05)
        assert slots.tip == tip + 30
        assert 0 < slots.head.height - start.height < 30


async def test_the_clock_sysvar_follows_the_clock() -> None:
    clock = FakeClock()
    async with Localnet.start(options(clock)) as net, httpx.AsyncClient() as http:
        rpc = RpcClient(net, http)
        await clock.turn(10.05)
        found = await rpc.call("getAccountInfo", CLOCK, {"encoding": "base64", **PROCESSED})
        slot, _, epoch, _, unix_time = struct.unpack("<QqQQq", base64.b64decode(found["value"]["data"][0]))
        assert (slot, epoch) == (net.validator.slots.head.slot, 0)
        assert unix_time == 1_000_010
        assert await rpc.call("getBlockTime", slot) == unix_time


async def test_a_hold_up_is_an_outage_not_a_burst_of_blocks() -> None:
    clock = FakeClock()
    async with Localnet.start(options(clock)) as net:
        slots = net.validator.slots
        start, tip = slots.head, slots.tip
        clock.extra = 40.0
        await clock.turn(0.41)
        assert slots.tip == tip + 101
        assert slots.head.height == start.height + 1
        await clock.turn(0.41)
        assert slots.head.slot == tip + 102
