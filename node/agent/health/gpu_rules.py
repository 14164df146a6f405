"""What makes a GPU unfit to take jobs: one rule a fault, each a look at what is known of one GPU.

What a GPU or driver does not tell is no fault. Where a rule has two limits, what lies between them changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from node.agent.gpu_users import GpuUser
from node.agent.health.verdict import WELL, Look
from node.errors import JournalError
from node.gpu.hygiene import FAULTS, GIB
from node.gpu.monitor import GpuMonitor
from node.gpu.samples import Reading, is_number
from node.gpu.state import GpuState
from node.gpu.xids import BROKEN, RESET, describe
from node.records import Gpu, HealthState

COOLER = 10
"""Degrees below the limit at which a GPU is cool enough again."""
BELOW_SLOWDOWN = 5
HOTTEST = 90
SLOWED_SHARE, FREE_SHARE = 0.5, 0.1
"""Of the time looked back on: slowed down for as much is too much, for less than the other is well again."""
KNOWN_SHARE = 0.9
"""Of that time must be known before anything is said."""
FREE_AGAIN = 0.8
"""Of the memory that others may hold: with less the GPU is free again."""

RECOVERY = {
    1: f"a reset: {RESET}",
    2: "a reboot of this host",
    3: "its peers to be left alone and then a reset: see nvidia-smi -q",
    4: f"no more work and then a reset: {RESET}",
    5: "the IMEX domain to be restored: see nvidia-smi -q",
    6: "a reset of its bus: reboot",
    7: "a reboot of this host",
}
"""What a driver asks for, by NVML's numbers."""

Rule = Callable[[Gpu], Awaitable[Look]]
UsersOf = Callable[[GpuState], Awaitable[tuple[GpuUser, ...]]]
"""Who uses a GPU; raises JournalError."""

FAILING, UNKNOWN = HealthState.FAILING, HealthState.UNKNOWN
UNSEEN = Look(UNKNOWN, "its driver does not answer at the moment")


async def usable(gpu: Gpu) -> Look:
    """Whether programs can compute on it at all, as it is set."""
    if gpu.mig and gpu.parent is None:
        return Look(
            FAILING,
            f"{gpu.uuid} is in MIG mode and has no MIG device",
            "make some (nvidia-smi mig -cgi ... -C), or leave the mode (nvidia-smi -mig 0)",
        )
    if gpu.compute_mode == "prohibited":
        return Look(FAILING, f"the compute mode of {gpu.uuid} prohibits programs", "nvidia-smi -c DEFAULT")
    return WELL


@dataclass(slots=True)
class Heat:
    """Too hot to take another job."""

    monitor: GpuMonitor
    most: int | None
    """The owner's limit; None: by the GPU's own."""
    _hot: set[str] = field(default_factory=set)

    async def look(self, gpu: Gpu) -> Look:
        """By its latest sample."""
        limit = self.limit(gpu)
        sample = self.monitor.sample(gpu.uuid)
        if sample is None:
            return UNSEEN
        if not is_number(sample.temperature):
            return WELL
        _switch(self._hot, gpu.uuid, on=sample.temperature >= limit, off=sample.temperature <= limit - COOLER)
        if gpu.uuid not in self._hot:
            return WELL
        return Look(
            FAILING,
            f"{gpu.uuid} has {sample.temperature} °C; jobs are taken again at {limit - COOLER} °C",
            "see to its fans and the air around it, or lower its power limit (nvidia-smi -pl); the limit is "
            f"gpu.temperature_most ({limit} °C)",
        )

    def limit(self, gpu: Gpu) -> int:
        """Degrees Celsius."""
        if self.most is not None:
            return self.most
        return HOTTEST if gpu.slowdown_temperature is None else gpu.slowdown_temperature - BELOW_SLOWDOWN


@dataclass(slots=True)
class Slowed:
    """Slowed down for long by heat or a power brake: it is paid for speed that it has not got."""

    monitor: GpuMonitor
    _slow: set[str] = field(default_factory=set)

    async def look(self, gpu: Gpu) -> Look:
        """By what is remembered of it."""
        window = self.monitor.slowed(gpu.uuid)
        if window is None or window.seconds <= 0 or window.covered < KNOWN_SHARE * window.seconds:
            return WELL if gpu.uuid not in self._slow else UNSEEN
        share = window.slowed / window.covered
        _switch(self._slow, gpu.uuid, on=share >= SLOWED_SHARE, off=share < FREE_SHARE)
        if gpu.uuid not in self._slow:
            return WELL
        return Look(
            FAILING,
            f"{gpu.uuid} was slowed down by heat or a power brake for {share:.0%} of the last "
            f"{window.seconds / 60:g} minutes",
            "see to its cooling, its power cables and the power supply (nvidia-smi -q -d PERFORMANCE says which); "
            "the limit is gpu.throttle_minutes",
        )


@dataclass(slots=True)
class Shared:
    """Too much of its memory is in use by others than jobs."""

    monitor: GpuMonitor
    users: UsersOf
    most: int
    """Bytes."""
    _full: set[str] = field(default_factory=set)

    async def look(self, gpu: Gpu) -> Look:
        """By the processes whose owner is known."""
        strangers = await strangers_on(self.monitor, self.users, gpu)
        if strangers is None:
            return UNSEEN
        held = sum(each.process.used_bytes or 0 for each in strangers)
        _switch(self._full, gpu.uuid, on=held > self.most, off=held <= self.most * FREE_AGAIN)
        if gpu.uuid not in self._full:
            return WELL
        names = ", ".join(dict.fromkeys(f"{each.name} (process {each.process.pid})" for each in strangers[:4]))
        return Look(
            FAILING,
            f"{held / GIB:.1f} GiB of the memory of {gpu.uuid} are in use by {names}",
            "close it, or raise gpu.foreign_vram; the lane is back by itself when the memory is",
        )


@dataclass(slots=True)
class Owned:
    """Its owner uses it."""

    monitor: GpuMonitor
    users: UsersOf
    patterns: tuple[str, ...]

    async def look(self, gpu: Gpu) -> Look:
        """By the names of processes that are no job's."""
        strangers = await strangers_on(self.monitor, self.users, gpu)
        if strangers is None:
            return UNSEEN
        for each in strangers:
            if any(_matches(name, pattern) for name in each.process.names for pattern in self.patterns):
                return Look(
                    FAILING,
                    f"{each.name} uses {gpu.uuid}",
                    "as gpu.pause_for says; the lane is back by itself a minute after it is closed",
                )
        return WELL


@dataclass(slots=True)
class Broken:
    """It has reported errors after which it must be reset, and has not been since."""

    monitor: GpuMonitor
    _epochs: dict[str, tuple[str, Counter[int]]] = field(default_factory=dict)
    _xids: dict[str, Counter[int]] = field(default_factory=dict)
    _uncorrected: dict[str, int] = field(default_factory=dict)
    """The count that is no news."""
    _energy: dict[str, int] = field(default_factory=dict)
    _accepted: dict[str, frozenset[str]] = field(default_factory=dict)

    async def look(self, gpu: Gpu) -> Look:
        """By faults, errors that were reported, and memory errors."""
        state = self.monitor.state(gpu.uuid)
        if state is None:
            return UNSEEN
        sample = self.monitor.sample(gpu.uuid)
        if sample is not None and self._was_reset(gpu.uuid, sample.energy_mj):
            self.forget(gpu.uuid)
        self._gather(state)
        found = self._found(gpu.uuid, state)
        accepted = self._accepted.get(gpu.uuid, frozenset()) & found.keys()
        self._accepted[gpu.uuid] = accepted
        for key, look in found.items():
            if key not in accepted:
                return look
        return WELL

    def accept(self, uuid: str) -> None:
        """Take what is wrong now for known, as its owner asks."""
        state = self.monitor.state(uuid)
        if state is not None:
            self._accepted[uuid] = frozenset(self._found(uuid, state))

    def forget(self, uuid: str) -> None:
        """It was reset, or was away and is back."""
        self._xids.pop(uuid, None)
        self._uncorrected.pop(uuid, None)

    def _was_reset(self, uuid: str, energy: Reading) -> bool:
        """A counter that went back was begun anew with its driver."""
        if not is_number(energy):
            return False
        before = self._energy.get(uuid, 0)
        self._energy[uuid] = energy
        return energy < before

    def _gather(self, state: GpuState) -> None:
        epoch, known = self._epochs.get(state.uuid, ("", Counter[int]()))
        now = Counter({int(number): count for number, count in state.xids.items()})
        news = now - known if epoch == state.epoch else now
        self._epochs[state.uuid] = (state.epoch, now)
        ours = {number: times for number, times in news.items() if number in BROKEN}
        self._xids.setdefault(state.uuid, Counter()).update(ours)
        count = state.counters.get("ecc_volatile")
        if count is not None:
            known_count = self._uncorrected.setdefault(state.uuid, count)
            self._uncorrected[state.uuid] = min(known_count, count)

    def _found(self, uuid: str, state: GpuState) -> dict[str, Look]:
        found: dict[str, Look] = {}
        action = state.faults.get("recovery_action")
        if action:
            wish = RECOVERY.get(action, f"what NVML calls recovery action {action}: see nvidia-smi -q")
            found["recovery_action"] = Look(FAILING, f"the driver of {uuid} asks for {wish}", "then gpunode resume")
        for name in ("remap_failure", "remap_pending", "retirement_pending"):
            if state.faults.get(name):
                found[name] = Look(FAILING, f"{uuid}: {FAULTS[name]}", _way_back(RESET))
        if action == 0:
            return found  # the driver itself says that no reset is needed
        for number, times in sorted(self._xids.get(uuid, Counter()).items()):
            told = f"{uuid} reported {describe(number)}, and was not reset since"
            found[f"xid {number} {times}"] = Look(FAILING, told, _way_back(BROKEN[number].remedy))
        count = state.counters.get("ecc_volatile", 0)
        fresh = count - self._uncorrected.get(uuid, count)
        # Where it can repair its memory, what is left to do about errors is among the faults.
        if fresh > 0 and not {"remap_pending", "retirement_pending"} & state.faults.keys():
            told = f"{uuid} has {fresh} new uncorrected memory errors"
            found[f"ecc {count}"] = Look(FAILING, told, _way_back(RESET))
        return found


async def strangers_on(monitor: GpuMonitor, users: UsersOf, gpu: Gpu) -> tuple[GpuUser, ...] | None:
    """Who uses a GPU and is known to be neither a job nor this agent; None: not to be seen now."""
    state = monitor.state(gpu.uuid)
    if state is None:
        return None
    try:
        return tuple(each for each in await users(state) if each.is_stranger)
    except JournalError:
        return None


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name.casefold(), pattern.casefold())


def _way_back(remedy: str) -> str:
    return f"{remedy}; or take it as it is: gpunode resume"


def _switch(members: set[str], uuid: str, *, on: bool, off: bool) -> None:
    if on:
        members.add(uuid)
    elif off:
        members.discard(uuid)
