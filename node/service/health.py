"""Watches the services of one operation: at start until every check has passed once, then those that go on.

The Nosana node's own rhythm: at start every five seconds, without an end; then every thirty. Other than there, a port
that fails is OFFLINE from its first failure, and ONLINE again when it has recovered; the checks of one port never
overlap; one without `continuous` does not end the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from node.plan_records import HealthCheck
from node.retry import Clock
from node.service.checks import ask
from node.service.table import Entry, ServiceStatus, ServiceTable

log = logging.getLogger(__name__)

STARTUP_SECONDS = 5.0
FIRST_SECONDS = 1.0
"""From the container's start to the first question."""
CONTINUOUS_SECONDS = 30.0

Ask = Callable[[HealthCheck, str, int], Awaitable[str]]


@dataclass(eq=False)
class Watched:
    """A service and its checks."""

    entry: Entry
    checks: tuple[HealthCheck, ...]
    passed: bool = field(default=False)
    """At start, all of them once."""


class HealthWatch:
    """The checks of one operation's services, from one start of its container to its end."""

    def __init__(self, table: ServiceTable, watched: Sequence[Watched], clock: Clock, asking: Ask = ask) -> None:
        self._table = table
        self._watched = tuple(each for each in watched if each.checks)
        self._clock = clock
        self._ask = asking
        self.ready = asyncio.Event()
        self.unhealthy = asyncio.Event()
        self.reason = ""
        if not self._watched:
            self.ready.set()

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            for each in self._watched:
                group.create_task(self._port(each))

    async def _port(self, watched: Watched) -> None:
        await self._startup(watched)
        watched.passed = True
        self._table.judge(watched.entry, ServiceStatus.ONLINE)
        if all(each.passed for each in self._watched):
            self.ready.set()
        going_on = tuple(check for check in watched.checks if check.continuous)
        while going_on:
            await self._clock.sleep(CONTINUOUS_SECONDS)
            await self._again(watched, going_on)

    async def _startup(self, watched: Watched) -> None:
        """Return when each check has passed; all of them in one round, as the service must be well as a whole."""
        pause = FIRST_SECONDS
        while True:
            await self._clock.sleep(pause)
            pause = STARTUP_SECONDS
            if not await self._wrong(watched, watched.checks):
                return
            self._table.judge(watched.entry, ServiceStatus.OFFLINE)

    async def _again(self, watched: Watched, checks: tuple[HealthCheck, ...]) -> None:
        entry = watched.entry
        wrong = await self._wrong(watched, checks)
        if not wrong:
            self._table.judge(entry, ServiceStatus.ONLINE)
            return
        if entry.status is not ServiceStatus.OFFLINE:
            log.info("the service at port %d of %s is not well: %s", entry.port, entry.op_id, wrong[0][1])
        self._table.judge(entry, ServiceStatus.OFFLINE)
        for check, why in wrong:
            if check.restart_on_failure and not self.unhealthy.is_set():
                self.reason = f"port {entry.port}: {why}"
                self.unhealthy.set()

    async def _wrong(self, watched: Watched, checks: tuple[HealthCheck, ...]) -> list[tuple[HealthCheck, str]]:
        """Checks that fail, and why."""
        found = []
        for check in checks:
            entry = watched.entry
            why = await self._ask(check, entry.address, entry.port) if entry.address else "no container runs"
            if why:
                found.append((check, why))
        return found
