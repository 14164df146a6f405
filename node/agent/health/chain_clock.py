"""The time by the chain's clock, which is the one that jobs are paid by.

A host's clock may be wrong, and may be set by hours while a job runs. The paid time of a job is counted by the chain,
so a deadline is too: the block time last read, and the seconds that have passed since on a clock that nobody sets.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from node.bounded_json import read_json
from node.errors import AccountMalformed, JournalError
from node.records import Address
from node.retry import Clock

log = logging.getLogger(__name__)

CLOCK_SYSVAR = Address("SysvarC1ock11111111111111111111111111111111")
"""The account in which the runtime keeps its clock (Solana documentation)."""
_TIME_AT = 32
"""Offset of the unix timestamp (i64) behind slot, epoch start, epoch and leader schedule epoch."""
CORRECTION = 2.0
"""Seconds by which a new reading must differ to be told to those who wait."""
META_KEY = "chain_clock"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class ChainMoment:
    """What the chain's clock showed in a slot, in unix seconds."""

    slot: int
    time: int


@dataclass(frozen=True, slots=True)
class BootTime:
    """Seconds since the machine started, which start of it that was, and nothing that anybody can set."""

    boot: str
    seconds: float


@dataclass(frozen=True, slots=True)
class _Kept:
    """A reading as the journal keeps it, for the next life of the agent."""

    boot: str
    seconds: float
    chain: float


class Keeper(Protocol):
    """Keeps one fact over restarts (the journal does)."""

    async def meta(self, key: str) -> str | None:
        """The fact, or None."""
        ...

    async def set_meta(self, key: str, value: str) -> None:
        """Keep it."""
        ...


def boot_time() -> BootTime | None:
    """The machine's; None where the kernel does not tell one start from another."""
    try:
        return BootTime(_BOOT_ID.read_text().strip(), time.clock_gettime(time.CLOCK_BOOTTIME))
    except (OSError, AttributeError):
        return None


def decode_clock(data: bytes) -> int:
    """The unix seconds in the Clock sysvar's bytes; raises AccountMalformed."""
    if len(data) < _TIME_AT + 8:
        raise AccountMalformed(f"the Clock sysvar has {len(data)} bytes", hint="the endpoint serves no Solana chain")
    return int.from_bytes(data[_TIME_AT : _TIME_AT + 8], "little", signed=True)


class ChainClock:
    """Unix seconds by the chain. Before anything was read: by the last life's reading, else by the host's clock."""

    def __init__(
        self,
        read: Callable[[], Awaitable[ChainMoment]],
        clock: Clock,
        keeper: Keeper | None = None,
        boot: Callable[[], BootTime | None] = boot_time,
    ) -> None:
        """`read` may raise ChainError; `keeper` carries the reading over restarts of the agent on the same boot."""
        self._read = read
        self._clock = clock
        self._keeper = keeper
        self._boot = boot
        self._slot = -1
        self._anchor: tuple[float, float] | None = None  # chain's seconds, monotonic seconds
        self._corrected = asyncio.Event()

    def time(self) -> float:
        """Unix seconds by the chain's clock, as far as known."""
        if self._anchor is None:
            return self._clock.time()
        chain, at = self._anchor
        return chain + self._clock.monotonic() - at

    @property
    def skew(self) -> float | None:
        """Seconds by which the host's clock is ahead of the chain's; None: the chain was not read yet."""
        return None if self._slot < 0 else self._clock.time() - self.time()

    async def restore(self) -> None:
        """Go on from what the last life of the agent read, if the machine has not been started anew since."""
        kept = None if self._keeper is None else await self._keeper.meta(META_KEY)
        now = self._boot()
        if kept is None or now is None or self._anchor is not None:
            return
        try:
            last = _Kept(**read_json(kept, limit=1 << 16))
            last = _Kept(str(last.boot), float(last.seconds), float(last.chain))
        except (ValueError, TypeError):
            return
        if last.boot == now.boot and now.seconds >= last.seconds:
            self._set(last.chain + now.seconds - last.seconds)

    async def sync(self) -> None:
        """Read the chain's clock. Raises ChainError when no endpoint answers."""
        moment = await self._read()
        if moment.slot <= self._slot:
            # An older view, or a chain that stands still: time goes on all the same.
            return
        is_first, before = self._slot < 0, self.time()
        self._slot = moment.slot
        if is_first or not 0 < before - moment.time < CORRECTION:
            # A reading is in whole seconds and old when it comes: one that is slightly behind is no news.
            self._set(float(moment.time))
        if is_first or abs(self.time() - before) >= CORRECTION:
            await self._keep()

    async def corrected(self) -> None:
        """Return when the time turns out to be another than it seemed."""
        await self._corrected.wait()

    def _set(self, chain: float) -> None:
        before = self.time()
        self._anchor = (chain, self._clock.monotonic())
        if abs(chain - before) >= CORRECTION:
            corrected, self._corrected = self._corrected, asyncio.Event()
            corrected.set()

    async def _keep(self) -> None:
        now = self._boot()
        if self._keeper is None or now is None:
            return
        kept = _Kept(now.boot, now.seconds, self.time())
        try:
            await self._keeper.set_meta(META_KEY, json.dumps(asdict(kept)))
        except JournalError as error:
            log.warning("the chain's time is not kept for the next start: %s", error.line)
