"""Keeps the lanes out of the queue while a job could break out by a known way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from node.agent.escapes.catalog import Catalog, Escape, catalog
from node.agent.escapes.judgement import Judgement, judge
from node.agent.escapes.software import Machine, default_machine, survey
from node.agent.health.verdict import WELL, Look
from node.container.engine import EngineInfo
from node.errors import ContainerError, GpuError, LaneDegraded
from node.records import Gpu, HealthState
from node.retry import Clock, SystemClock
from node.settings import Settings

SUBJECT = "escapes"
LOOK_EVERY = 60.0
"""Seconds for which a survey is used again: versions change by an upgrade only."""
_MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class Sources:
    """What is asked about this host. Each raises a GpunodeError of its room."""

    engine: Callable[[], Awaitable[EngineInfo]]
    gpus: Callable[[], Awaitable[tuple[Gpu, ...]]]


class EscapeGate:
    """The list of known escapes beside what is installed."""

    def __init__(
        self,
        sources: Sources,
        runtimes: frozenset[str],
        accepted: frozenset[str],
        clock: Clock,
        *,
        machine: Machine | None = None,
        known: Catalog | None = None,
    ) -> None:
        """`runtimes`: those that jobs run with; `accepted`: `security.accept`."""
        self._sources = sources
        self._runtimes = runtimes
        self._accepted = accepted
        self._clock = clock
        self._machine = machine or default_machine()
        self._known = known or catalog()
        self._lock = asyncio.Lock()
        self._found: tuple[Judgement, ...] | None = None
        self._at = float("-inf")

    @property
    def known(self) -> Catalog:
        """The list."""
        return self._known

    async def judgements(self) -> tuple[Judgement, ...]:
        """Each component beside the list. Raises ContainerError or GpuError."""
        async with self._lock:
            if self._found is None or self._clock.monotonic() - self._at >= LOOK_EVERY:
                engine = await self._sources.engine()
                found = await survey(engine, await self._sources.gpus(), self._runtimes, self._machine)
                system = await asyncio.to_thread(self._machine.system)
                self._found = judge(self._known, found, system, self._accepted)
                self._at = self._clock.monotonic()
            return self._found

    async def require(self) -> None:
        """Raise LaneDegraded where a job could use a known escape that the settings do not accept."""
        hindrance = hindered(await self.judgements())
        if hindrance is not None:
            raise hindrance

    async def look(self) -> Look:
        """The same, as a look at the host's health; what cannot be asked is unknown."""
        try:
            hindrance = hindered(await self.judgements())
        except (ContainerError, GpuError) as error:
            return Look(HealthState.UNKNOWN, error.message, error.hint)
        return WELL if hindrance is None else Look(HealthState.FAILING, hindrance.message, hindrance.hint)


def open_gate(settings: Settings, sources: Sources, clock: Clock | None = None) -> EscapeGate:
    """The gate that the settings ask for."""
    rules = (rule.runtime for rule in settings.policy.isolation)
    runtimes = frozenset((settings.engine.runtime, *(runtime for runtime in rules if runtime is not None)))
    return EscapeGate(sources, runtimes, frozenset(settings.security.accept), clock or SystemClock())


def hindered(judgements: tuple[Judgement, ...]) -> LaneDegraded | None:
    """What keeps the lanes out of the queue, and what to do; None: nothing."""
    wrong = [each for each in judgements if each.blocking]
    if not wrong:
        return None
    reason = "; ".join(f"{each.name} is open to {names(each.blocking)}" for each in wrong)
    return LaneDegraded(f"a job could break out: {reason}", hint="; ".join(advice(each) for each in wrong))


def advice(judgement: Judgement) -> str:
    """What a person can do about what blocks."""
    update = f"update {judgement.component.label} to {judgement.floor} or newer"
    ids = ", ".join(entry.id for entry in judgement.blocking)
    return f"{update}, or take the risk by name with security.accept: [{ids}]"


def names(entries: tuple[Escape, ...]) -> str:
    """The entries' ids, the worst first, and not too many."""
    ids = [entry.id for entry in sorted(entries, key=lambda entry: -entry.score)]
    more = f" and {len(ids) - _MOST_NAMED} more" if len(ids) > _MOST_NAMED else ""
    return ", ".join(ids[:_MOST_NAMED]) + more
