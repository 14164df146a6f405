"""Single looks at what the agent depends on. A probe never raises what is expected: it says ok, failing or unknown."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from node.agent.health.ballast import Ballast
from node.agent.health.chain_clock import ChainClock
from node.agent.health.mounts import is_read_only
from node.agent.health.verdict import WELL, Look
from node.container.egress.guard import Guard
from node.errors import ChainError, ContainerError, EngineUnavailable, FilterError, GpuError
from node.records import Gpu, HealthState
from node.retry import Clock

log = logging.getLogger(__name__)

FAILING, UNKNOWN = HealthState.FAILING, HealthState.UNKNOWN
RPC_SILENCE = 30.0
"""Seconds without any endpoint's answer after which the chain is looked at once more by the probe itself."""
FEWEST_INODES = 10_000
JUMP = 5.0
"""Seconds by which the host's clock may part from the monotonic one between two looks before it is called a jump."""
GIB = 1024**3


class Probe(Protocol):
    """Looks at one subject."""

    async def look(self) -> Look:
        """What is seen now."""
        ...


class Pinged(Protocol):
    """An engine that answers a ping."""

    async def ping(self) -> None:
        """Raises EngineUnavailable or EngineRejected."""
        ...


@dataclass(frozen=True, slots=True)
class EngineProbe:
    """The container engine. One that does not answer is unknown: what runs in it may run on."""

    engine: Pinged

    async def look(self) -> Look:
        """A ping, which asks nothing else of the engine."""
        try:
            await self.engine.ping()
        except EngineUnavailable as error:
            return Look(UNKNOWN, error.message, error.hint)
        except ContainerError as error:
            return Look(FAILING, error.message, error.hint)
        return WELL


class Endpoints(Protocol):
    """What is known of the RPC endpoints (node.chain.rpc.Rpc)."""

    @property
    def answered_at(self) -> float:
        """Monotonic seconds of the last answer."""
        ...

    async def get_slot(self) -> int:
        """The newest slot; raises ChainError."""
        ...


@dataclass(frozen=True, slots=True)
class RpcProbe:
    """The chain's endpoints. With none that answers nothing can be decided: work goes on, and what is to be settled
    waits. The place in the queue stays, too, since it cannot be left."""

    rpc: Endpoints
    clock: Clock

    async def look(self) -> Look:
        """The endpoints' last answer; a request only where there was none lately."""
        if self.clock.monotonic() - self.rpc.answered_at < RPC_SILENCE:
            return WELL
        try:
            await self.rpc.get_slot()
        except ChainError as error:
            return Look(UNKNOWN, error.message, error.hint)
        return WELL


@dataclass(frozen=True, slots=True)
class FilterProbe:
    """The packet filter between jobs and this host's network."""

    guard: Guard

    async def look(self) -> Look:
        """See to it; failing where it is not in place and cannot be put there."""
        try:
            await self.guard.ensure()
        except FilterError as error:
            return Look(FAILING, error.message, error.hint)
        return WELL


class GpuProbe:
    """The GPUs of one lane. One that was there and is not any more is lost, also where the lane offers "all"."""

    def __init__(
        self, inventory: Callable[[], Awaitable[tuple[Gpu, ...]]], wanted: Literal["all"] | Sequence[str]
    ) -> None:
        """`inventory`: the host's GPUs now; raises GpuError."""
        self._inventory = inventory
        self._wanted = frozenset[str]() if wanted == "all" else frozenset(wanted)
        self._learns = wanted == "all"

    async def look(self) -> Look:
        """Whether all of them are there."""
        try:
            found = {gpu.uuid for gpu in await self._inventory()}
        except GpuError as error:
            # A driver that hangs says nothing about this lane's GPUs in particular.
            return Look(UNKNOWN, error.message, error.hint)
        if self._learns:
            self._wanted |= found
        missing = sorted(self._wanted - found)
        if missing:
            return Look(
                FAILING,
                f"GPU {missing[0]} is gone" + (f", and {len(missing) - 1} more" if len(missing) > 1 else ""),
                "see `dmesg | grep -i nvrm` and gpunode gpus; the lane is back by itself when the GPU is",
            )
        if not found:
            return Look(FAILING, "this host has no GPU", "see gpunode gpus")
        return WELL


class DiskProbe:
    """Room for the agent's own files and for the engine's; fills the ballast up again when there is room."""

    def __init__(
        self, data: Path, least: int, ballast: Ballast, engine_root: Callable[[], Awaitable[str]] | None = None
    ) -> None:
        """`least`: bytes that must be free; `engine_root`: the folder of images and containers, which need not be
        visible to this user; raises ContainerError."""
        self._data = data
        self._least = least
        self._ballast = ballast
        self._engine_root = engine_root
        self._root: Path | None = None
        self._looking: asyncio.Future[Look] | None = None

    async def look(self) -> Look:
        """The fullest of the disks. A file system that hangs holds one thread, not one per look."""
        if self._root is None and self._engine_root is not None:
            try:
                self._root = Path(await self._engine_root())
            except ContainerError:
                log.debug("the engine's folder is not known yet")
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().run_in_executor(None, self._see)
        return await asyncio.shield(self._looking)

    def _see(self) -> Look:
        is_whole = self._ballast.restore()
        trouble = self._trouble(self._data)
        if trouble is None and self._root is not None and self._root.exists():
            trouble = self._trouble(self._root)
        if trouble is not None:
            return trouble
        if not is_whole:
            return Look(
                FAILING,
                f"{self._data} has no room for the reserve of {self._ballast.size / 1024**2:.0f} MiB that settling "
                "falls back on",
                "free some space, or set health.ballast",
            )
        return WELL

    def _trouble(self, folder: Path) -> Look | None:
        try:
            found = os.statvfs(folder)
        except OSError as error:
            return Look(UNKNOWN, f"the free space of {folder} cannot be read: {error.strerror}")
        # The engine writes to its folder, whatever this process may: a hardened service sees it read-only.
        if found.f_flag & os.ST_RDONLY and (folder == self._data or is_read_only(folder)):
            return Look(FAILING, f"{folder} is mounted read-only", "see `dmesg`: the file system may be damaged")
        free = found.f_bavail * found.f_frsize
        if free < self._least:
            seen = f"{folder} has {free / GIB:.1f} GiB free; limits.disk_free asks for {self._least / GIB:.1f} GiB"
            return Look(FAILING, seen, "free some space, or lower limits.disk_free")
        if found.f_files > 0 and found.f_favail < min(FEWEST_INODES, found.f_files // 100):
            return Look(FAILING, f"{folder} can hold only {found.f_favail} more files", "remove files there")
        return None


class ClockProbe:
    """The host's clock beside the chain's. Deadlines are counted by the chain's, so it is only a warning."""

    def __init__(self, chain: ChainClock, clock: Clock, limit: float) -> None:
        """`limit`: seconds by which the clocks may differ."""
        self._chain = chain
        self._clock = clock
        self._limit = limit
        self._offset = clock.time() - clock.monotonic()

    async def look(self) -> Look:
        """Read the chain's clock, and compare."""
        self._notice_jump()
        try:
            await self._chain.sync()
        except ChainError as error:
            return Look(UNKNOWN, f"the chain's clock cannot be read: {error.message}", error.hint)
        skew = self._chain.skew
        if skew is None or abs(skew) <= self._limit:
            return WELL
        return Look(
            FAILING,
            f"this host's clock is {_seconds(skew)} the chain's",
            "set the clock (timedatectl set-ntp true); jobs are timed by the chain's meanwhile",
        )

    def _notice_jump(self) -> None:
        offset = self._clock.time() - self._clock.monotonic()
        moved, self._offset = offset - self._offset, offset
        if abs(moved) > JUMP:
            log.warning("this host's clock was set %s where it was", _seconds(moved))


def _seconds(difference: float) -> str:
    return f"{abs(difference):.0f} s {'ahead of' if difference > 0 else 'behind'}"
