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
from node.records import Address, EarningState

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
        self._known: dict[str, EarningState] = {}
        self._wanted: dict[str, tuple[Address, str]] = {}
        self._asked = asyncio.Event()
        self._news = asyncio.Condition()

    async def run(self) -> NoReturn:
        """Ask the chain of the lanes that somebody wants to know of, for as long as the agent runs."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            wanted, self._wanted = self._wanted, {}
            async with asyncio.TaskGroup() as group:
                for lane, (market, reason) in wanted.items():
                    group.create_task(self._ask(lane, market, reason))

    async def _ask(self, lane: str, market: Address, reason: str) -> None:
        try:
            state = await ask(self._views[lane], self._journal, lane, market, reason, self._now)
        except GpunodeError as error:
            state = unknown(error.message, self._now())
        except Exception:
            # Nothing that is shown is worth the agent's other tasks; its log has the traceback.
            log.exception("whether lane %s earns cannot be told", lane)
            state = unknown("internal error; see the agent's log", self._now())
        async with self._news:
            self._known[lane] = state
            self._news.notify_all()

    async def of(self, lane: str, market: Address, reason: str) -> EarningState | None:
        """A lane's state; None for a lane that nobody here knows. `reason`: the lane's own."""
        if lane not in self._views:
            return None
        known = self._young(lane, FRESH)
        if known is not None:
            return known
        self._wanted[lane] = (market, reason)
        self._asked.set()
        known = self._young(lane, OLD)
        if known is not None:
            return known
        try:
            async with asyncio.timeout(WAIT), self._news:
                await self._news.wait_for(lambda: self._young(lane, OLD) is not None)
        except TimeoutError:
            return unknown("the chain has not answered yet", self._now())
        return self._young(lane, OLD)

    def _young(self, lane: str, age: float) -> EarningState | None:
        known = self._known.get(lane)
        return known if known is not None and 0 <= self._now() - known.asked_at < age else None
