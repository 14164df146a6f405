"""Removing what no job owns any more: containers, networks and volumes of ours that the journal does not know.

They are left behind when the agent dies between "made" and "written down", or when a clean-up met a dead engine.
Ours is what carries our node's label and the very name that its job's label gives it. Labels alone do not prove it: an
image committed from a job's container hands them on to whatever the host makes of it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from node.container.clearance import is_volume_of
from node.container.engine import JOB_LABEL, NODE_LABEL, OPERATION_LABEL, Engine
from node.errors import EngineRejected
from node.job.plan import container_name, network_name
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
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """One thing of the engine's."""

    kind: str
    id: str
    name: str
    labels: Mapping[str, str]

    @property
    def job(self) -> Address:
        return Address(self.labels.get(JOB_LABEL, ""))

    @property
    def bears_its_name(self) -> bool:
        """Whether it is called as this agent would call it."""
        network = network_name(self.job)
        match self.kind:
            case "container":
                index = self.labels.get(OPERATION_LABEL, "")
                return index.isdecimal() and self.name == container_name(self.job, int(index))
            case "network":
                return self.name == network
            case _:
                return is_volume_of(self.job, self.name)


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
        self._unknown_since: dict[tuple[str, str], float] = {}

    async def sweep(self) -> Swept:
        """One round. Raises EngineUnavailable or EngineRejected when the engine cannot be asked; a single thing that
        cannot be removed is logged and tried again in the next round."""
        found = await self._found()
        # Asked after the engine: a container made in between is then known, or not yet listed.
        known = await self._known_jobs()
        due = self._due(found, known)
        # Containers first: a network or a volume that one has cannot go.
        removers = {
            "container": self._remove_container,
            "network": self._engine.remove_network,
            "volume": self._engine.remove_volume,
        }
        gone = {
            kind: tuple([each.name for each in due if each.kind == kind and await self._remove(each, remover)])
            for kind, remover in removers.items()
        }
        return Swept(gone["container"], gone["network"], gone["volume"])

    async def _found(self) -> list[_Found]:
        labels = {NODE_LABEL: self._node}
        containers = [_Found("container", view.id, view.name, view.labels) for view in await self._engine.find(labels)]
        networks = [_Found("network", view.id, view.name, view.labels) for view in await self._engine.networks(labels)]
        volumes = [_Found("volume", view.name, view.name, view.labels) for view in await self._engine.volumes(labels)]
        return [*containers, *networks, *volumes]

    def _due(self, found: Sequence[_Found], known: frozenset[Address]) -> list[_Found]:
        now = self._clock.monotonic()
        unknown = [each for each in found if self._is_unknown(each, known)]
        self._unknown_since = {(each.kind, each.id): self._since(each, now) for each in unknown}
        return [each for each in unknown if now - self._since(each, now) >= self._grace]

    def _since(self, each: _Found, now: float) -> float:
        return self._unknown_since.get((each.kind, each.id), now)

    def _is_unknown(self, each: _Found, known: frozenset[Address]) -> bool:
        # Looked at again here, so that a mistaken filter of an engine can cost nobody a container.
        return each.labels.get(NODE_LABEL) == self._node and each.bears_its_name and each.job not in known

    async def _remove_container(self, container: str) -> bool:
        await self._engine.remove(container)
        return True

    async def _remove(self, each: _Found, remover: Callable[[str], Awaitable[bool]]) -> bool:
        """Remove it by its id: what the host may have called so meanwhile has another one."""
        try:
            removed = await remover(each.id)
        except EngineRejected as error:
            log.warning("%s %s belongs to no job but cannot be removed: %s", each.kind, each.name, error)
            return False
        if removed:
            log.info("removed %s %s, which belonged to no job", each.kind, each.name)
        return removed
