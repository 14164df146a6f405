"""Signs of life for the service manager, given only while the agent moves by itself.

Given by a task of the supervisor, so that a loop that is blocked gives none; and only while every lane has moved within
`STILL`. A lane moves when a wait of its own comes to its end: all its waits are in short naps on the agent's clock,
whether the chain, the engine or a job keeps it waiting, so an outage of any of them is no standstill. What waits for a
word of the operator may do so for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NoReturn, Protocol

from node.agent.logs import current_lane
from node.agent.notify import ServiceManager
from node.records import LanePhase, LaneStatus
from node.retry import Clock

log = logging.getLogger(__name__)

STILL = 600.0
"""Seconds without a move after which a lane is stuck. The longest stretches between two naps of a lane that is well are
single requests with time-outs of their own, a minute or so each."""
TELL_EVERY = 5.0
"""Seconds between two words to the manager at most; shorter where it is less patient."""
_RESTING = frozenset({LanePhase.PAUSED, LanePhase.DRAINING, LanePhase.STOPPED})
_NAMED = 4
"""Lanes that are named in the status line; of more, only how many do what."""

_SHOWN = 200
"""Tasks that are shown when a lane is stuck."""

_unheard: ContextVar[bool] = ContextVar("unheard", default=False)


def keep_quiet() -> None:
    """From here on the waits of this task are no moves of its lane: it goes round whether or not the lane does."""
    _unheard.set(True)


class HasStatus(Protocol):
    """What is asked of a lane."""

    @property
    def status(self) -> LaneStatus:
        """What it is doing."""
        ...


class MovingClock:
    """A clock that remembers when each lane's waits last began or ended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._moved: dict[str, float] = {}

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        return self._clock.monotonic()

    def time(self) -> float:
        """Unix seconds."""
        return self._clock.time()

    async def sleep(self, seconds: float) -> None:
        """Suspend the calling task."""
        self._move()
        await self._clock.sleep(seconds)
        self._move()

    def still(self, lane: str, since: float) -> float:
        """Seconds for which the lane has not moved, counted from `since` where it never has."""
        return self.monotonic() - self._moved.get(lane, since)

    def _move(self) -> None:
        if not _unheard.get():
            self._moved[current_lane.get()] = self.monotonic()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Tells the manager that the agent is ready, what it does, and that it is alive."""

    manager: ServiceManager
    lanes: Mapping[str, HasStatus]
    clock: MovingClock
    on_stuck: Callable[[str], None] = lambda lane: _show_tasks(lane)

    async def run(self) -> NoReturn:
        """Until cancelled."""
        began = self.clock.monotonic()
        active = dict.fromkeys(self.lanes, began)
        said: set[str] = set()
        self.manager.ready(summary(self.lanes))
        while True:
            now = self.clock.monotonic()
            # A lane that rested until now has had no reason to move: its time begins when it is asked to.
            active.update({name: now for name, lane in self.lanes.items() if lane.status.phase in _RESTING})
            stuck = [name for name in self.lanes if min(self.clock.still(name, began), now - active[name]) > STILL]
            for name in set(stuck) - said:
                log.error("lane %s has not moved for %d s: no sign of life is given any more", name, STILL)
                self.on_stuck(name)
            said = set(stuck)
            if stuck:
                self.manager.status(f"stuck: {', '.join(stuck)}")
            else:
                self.manager.alive(summary(self.lanes))
            await self.clock.sleep(_every(self.manager.patience))


def summary(lanes: Mapping[str, HasStatus]) -> str:
    """What the lanes do, in one line."""
    if len(lanes) <= _NAMED:
        return "; ".join(f"{name} {_doing(lane.status)}" for name, lane in lanes.items())
    count = Counter(lane.status.phase.value for lane in lanes.values())
    return f"{len(lanes)} lanes: " + ", ".join(f"{number} {phase}" for phase, number in sorted(count.items()))


def _doing(status: LaneStatus) -> str:
    if status.phase is LanePhase.QUEUED and status.position is not None:
        return f"queued, place {status.position} of {status.queue_length}"
    if status.phase is LanePhase.WORKING and status.job is not None:
        return f"working on {status.job}" + (f" ({status.stage.value})" if status.stage is not None else "")
    return f"{status.phase.value}: {status.reason}" if status.reason else status.phase.value


def _every(patience: float | None) -> float:
    return TELL_EVERY if patience is None else min(TELL_EVERY, patience / 4)


def _show_tasks(lane: str) -> None:
    """Where the lane's tasks wait: what a report of such a standstill needs."""
    for task in list(asyncio.all_tasks())[:_SHOWN]:
        frames = task.get_stack(limit=4)
        where = " < ".join(f"{frame.f_code.co_qualname}:{frame.f_lineno}" for frame in reversed(frames))
        log.error("while lane %s does not move, %s waits in %s", lane, task.get_name(), where or "nothing")
