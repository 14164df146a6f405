"""The earning states of a running agent's lanes, asked of the chain when somebody wants to know, and not too often."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

from node.agent.earning_state import ask, unknown
from node.errors import GpunodeError
from node.journal.reader import JournalReader
from node.market.lane_view import LaneView
from node.records import Address, EarningState, LanePhase, LaneStatus

log = logging.getLogger(__name__)

FRESH = 30.0
"""Seconds for which an answer of the chain is shown without asking again."""
OLD = 90.0
"""Seconds after which it is not shown any more."""
WAIT = 2.0
"""Seconds for which somebody who asks waits, where there is nothing to show: the rest of a status does not need it."""


class EarningBoard:
    """Shows what is known at once; a task of the agent's own asks the chain, so that no status waits for long."""

    def __init__(
        self, views: Mapping[str, Callable[[], Awaitable[LaneView]]], journal: JournalReader, now: Callable[[], float]
    ) -> None:
        """`views`: by lane, what reads its standing."""
        self._views = views
        self._journal = journal
        self._now = now
        self._known: dict[str, tuple[_Doing, EarningState]] = {}
        self._wanted: dict[str, LaneStatus] = {}
        self._asked = asyncio.Event()
        self._news = asyncio.Condition()

    async def run(self) -> NoReturn:
        """Ask the chain of the lanes that somebody wants to know of, for as long as the agent runs."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            wanted, self._wanted = self._wanted, {}
            async with asyncio.TaskGroup() as group:
                for status in wanted.values():
                    group.create_task(self._ask(status))

    async def _ask(self, status: LaneStatus) -> None:
        lane = status.lane
        try:
            state = await ask(self._views[lane], self._journal, lane, status.market, status.reason, self._now)
        except GpunodeError as error:
            state = unknown(error.message, self._now())
        except Exception:
            # Nothing that is shown is worth the agent's other tasks; its log has the traceback.
            log.exception("whether lane %s earns cannot be told", lane)
            state = unknown("internal error; see the agent's log", self._now())
        async with self._news:
            self._known[lane] = (_doing(status), state)
            self._news.notify_all()

    async def of(self, status: LaneStatus) -> EarningState | None:
        """The state of a lane that is at this; None for one that nobody here knows."""
        if status.lane not in self._views:
            return None
        known = self._young(status, FRESH)
        if known is not None:
            return known
        self._wanted[status.lane] = status
        self._asked.set()
        known = self._young(status, OLD)
        if known is not None:
            return known
        try:
            async with asyncio.timeout(WAIT), self._news:
                await self._news.wait_for(lambda: self._young(status, OLD) is not None)
        except TimeoutError:
            return unknown("the chain has not answered yet", self._now())
        return self._young(status, OLD)

    def _young(self, status: LaneStatus, age: float) -> EarningState | None:
        """What is known, unless it is older than that, or the lane was at something else then."""
        doing, known = self._known.get(status.lane, (None, None))
        if known is None or doing != _doing(status) or not 0 <= self._now() - known.asked_at < age:
            return None
        return known


_Doing = tuple[LanePhase, Address | None]


def _doing(status: LaneStatus) -> _Doing:
    return status.phase, status.job
