"""Looks at everything in turn, for as long as the agent runs, and tells the lanes through the board."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from node.agent.health.board import HOST, HealthBoard
from node.agent.health.probes import Probe
from node.agent.health.verdict import FAILING, OK, UNKNOWN, Look, Patience, Verdict
from node.errors import GpunodeError, LaneDegraded
from node.records import SubjectHealth
from node.retry import Clock

log = logging.getLogger(__name__)

Tell = Callable[[str, str, str], Awaitable[None]]
"""Keeps one line of what happened: text, lane, level. May raise a GpunodeError."""


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """One subject, and how it is looked at. Seconds."""

    subject: str
    probe: Probe
    patience: Patience
    lane: str = HOST
    every: float = 5.0
    within: float = 10.0
    """A look that takes longer has seen nothing."""
    ends_work: bool = False
    """Whether its failure ends the work at hand, too."""


class HealthWatch:
    """The looks, the verdicts, and what follows from them."""

    def __init__(self, board: HealthBoard, watched: Sequence[Watched], clock: Clock, tell: Tell) -> None:
        self._board = board
        self._watched = tuple(watched)
        self._clock = clock
        self._tell = tell
        self._verdicts = {each: Verdict.begin(clock.monotonic()) for each in self._watched}

    def add(self, watched: Watched) -> None:
        """Look at one more subject, from when `run` begins."""
        self._watched += (watched,)
        self._verdicts[watched] = Verdict.begin(self._clock.monotonic())

    @property
    def subjects(self) -> tuple[SubjectHealth, ...]:
        """How everything stands now."""
        offset = self._clock.time() - self._clock.monotonic()
        return tuple(
            SubjectHealth(
                subject=each.subject,
                lane=each.lane,
                state=verdict.state,
                reason=verdict.reason,
                hint=verdict.hint,
                since=verdict.since + offset,
                hinders=verdict.hinders,
            )
            for each, verdict in self._verdicts.items()
        )

    async def run(self) -> NoReturn:
        """Go on looking until cancelled."""
        async with asyncio.TaskGroup() as group:
            for each in self._watched:
                group.create_task(self._follow(each))
        raise AssertionError("no look ends by itself")

    async def _follow(self, watched: Watched) -> NoReturn:
        while True:
            await self._take(watched, await self._look(watched))
            await self._clock.sleep(watched.every)

    async def _look(self, watched: Watched) -> Look:
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(_guarded(watched.probe))
            limit = group.create_task(self._clock.sleep(watched.within))
            await asyncio.wait((looking, limit), return_when=asyncio.FIRST_COMPLETED)
            seen = looking.done()
            looking.cancel()
            limit.cancel()
        return looking.result() if seen else Look(UNKNOWN, f"no answer within {watched.within:g} s")

    async def _take(self, watched: Watched, look: Look) -> None:
        before = self._verdicts[watched]
        verdict = before.after(look, self._clock.monotonic(), watched.patience)
        self._verdicts[watched] = verdict
        trouble = LaneDegraded(f"{watched.subject}: {verdict.reason}", hint=verdict.hint)
        self._board.put(watched.subject, trouble if verdict.hinders else None, lane=watched.lane)
        if watched.ends_work:
            # Gone, not merely unseen: only then is there nothing left for the work at hand.
            loss = trouble if verdict.state is FAILING else None
            self._board.put_lost(loss, lane=watched.lane, subject=watched.subject)
        if (verdict.state, verdict.hinders) != (before.state, before.hinders):
            await self._say(watched, before, verdict)

    async def _say(self, watched: Watched, before: Verdict, verdict: Verdict) -> None:
        if verdict.state is OK and before.state is UNKNOWN and not before.hinders and before.streak.count == 0:
            return  # the first look at a host on which all is well
        what = f"{watched.subject} is {verdict.state.value}" + (f": {verdict.reason}" if verdict.reason else "")
        effect = "; no job is taken until that is over" if verdict.hinders else ""
        level = "info" if verdict.state is OK else "error" if verdict.hinders else "warning"
        log.log(logging.getLevelNamesMapping()[level.upper()], "health: %s%s", what, effect)
        with contextlib.suppress(GpunodeError):
            await self._tell(f"health: {what}{effect}", watched.lane, level)


async def _guarded(probe: Probe) -> Look:
    try:
        return await probe.look()
    except GpunodeError as error:
        return Look(UNKNOWN, error.message, error.hint)
    except Exception:
        # A bug in a probe is no fault of the host's, and must not end the looks at everything else.
        log.exception("a look at the host failed unexpectedly")
        return Look(UNKNOWN, "the look itself failed; see the agent's log")
