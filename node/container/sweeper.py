"""Removing what no job owns any more: containers and networks with our label that the journal does not know.

They are left behind when the agent dies between "made" and "written down", or when a clean-up met a dead engine.
Nothing without our node's label is ever touched: the host may use the same engine for its own things.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from node.container.engine import JOB_LABEL, NODE_LABEL, Engine
from node.errors import ContainerError, EngineRejected
from node.records import Address
from node.retry import Clock, SystemClock

GRACE_SECONDS = 120.0
"""How long something must be unknown before it is removed; longer than any write to the journal takes."""

log = logging.getLogger(__name__)

KnownJobs = Callable[[], Awaitable[frozenset[Address]]]
"""The jobs whose containers may exist now: all that are not settled or still run."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep removed, by name."""

    containers: tuple[str, ...]
    networks: tuple[str, ...]


class Sweeper:
    """Sweeps for one node key. `sweep` is called now and then; it remembers since when something is unknown."""

    def __init__(
        self,
        engine: Engine,
        node: Address,
        known_jobs: KnownJobs,
        *,
        grace: float = GRACE_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        """`grace`: seconds that something must have been unknown."""
        self._engine = engine
        self._node = node
        self._known_jobs = known_jobs
        self._grace = grace
        self._clock = clock or SystemClock()
        self._unknown_since: dict[str, float] = {}

    async def sweep(self) -> Swept:
        """One round. Raises EngineUnavailable or EngineRejected when the engine cannot be asked; a single thing that
        cannot be removed is logged and tried again in the next round."""
        labels = {NODE_LABEL: self._node}
        containers = {view.id: (view.name, view.labels) for view in await self._engine.find(labels)}
        networks = {view.id: (view.name, view.labels) for view in await self._engine.networks(labels)}
        # Asked after the engine: a container made in between is then known, or not yet listed.
        known = await self._known_jobs()
        due = self._due({**containers, **networks}, known)
        # Containers first: a network with one attached cannot go.
        gone = [name for id_, (name, _) in containers.items() if id_ in due and await self._remove_container(id_, name)]
        freed = [name for id_, (name, _) in networks.items() if id_ in due and await self._remove_network(name)]
        return Swept(tuple(gone), tuple(freed))

    def _due(self, found: Mapping[str, tuple[str, Mapping[str, str]]], known: frozenset[Address]) -> set[str]:
        now = self._clock.monotonic()
        unknown = {id_ for id_, (_, labels) in found.items() if self._is_unknown(labels, known)}
        self._unknown_since = {id_: self._unknown_since.get(id_, now) for id_ in unknown}
        return {id_ for id_, since in self._unknown_since.items() if now - since >= self._grace}

    def _is_unknown(self, labels: Mapping[str, str], known: frozenset[Address]) -> bool:
        # Looked at again here, so that a mistaken filter of an engine can cost nobody a container.
        return labels.get(NODE_LABEL) == self._node and labels.get(JOB_LABEL, "") not in known

    async def _remove_container(self, container: str, name: str) -> bool:
        try:
            await self._engine.remove(container)
        except EngineRejected as error:
            log.warning("container %s belongs to no job but cannot be removed: %s", name, error)
            return False
        log.info("removed container %s, which belonged to no job", name)
        return True

    async def _remove_network(self, name: str) -> bool:
        try:
            return await self._engine.remove_network(name)
        except ContainerError as error:
            log.warning("network %s belongs to no job but cannot be removed: %s", name, error)
            return False
