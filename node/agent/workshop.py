"""What the jobs of all lanes work with: their definitions, remote data and services, and the way to their owners."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.agent.definitions import DefinitionFiles
from node.agent.lane import Lane
from node.agent.live import LiveJobs
from node.agent.owner_port import AgentOwnerPort, NodeFacts
from node.agent.worker import Tools
from node.api.owner.app import make_app
from node.container.engine import Engine
from node.container.runner import OperationRunner
from node.content.resources.desk import ResourceDesk
from node.errors import GpunodeError
from node.journal.journal import Journal
from node.public_network import Exempt
from node.records import Address, PlannedOperation
from node.retry import Clock
from node.service.desk import ServiceDesk
from node.settings import Settings

TIDY_EVERY = 3600.0
"""Seconds between two looks at what no run needs any more."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grounds:
    """What the workshop stands on."""

    settings: Settings
    engine: Engine
    runner: OperationRunner
    journal: Journal
    clock: Clock
    facts: NodeFacts
    exempt: Exempt
    """Hosts that remote data may come from although they are not public."""
    relieve: Callable[[], bool]
    """Frees some space on a full disk; whether it could."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """One per agent."""

    definitions: DefinitionFiles
    live: LiveJobs
    services: ServiceDesk
    resources: ResourceDesk
    tools: Tools
    lanes: dict[str, Lane]
    """The lanes as owners see them; filled in once they are made."""
    journal: Journal
    clock: Clock
    settings: Settings

    @property
    def domain(self) -> str:
        """What the host names of services end in; empty: none are offered."""
        return "" if self.settings.service.tunnel == "off" else self.services.domain

    async def serve(self) -> None:
        """Be reachable, until cancelled."""
        await self.services.run()

    async def tidy(self) -> None:
        """Let go of what no run needs any more, now and again, until cancelled."""
        while True:
            try:
                runs = await self._open_runs()
                await self.definitions.sweep(runs)
                await self.resources.tidy(runs)
            except GpunodeError as error:
                log.warning("not tidied: %s", error.line)
            await self.clock.sleep(TIDY_EVERY)

    async def _open_runs(self) -> Sequence[Address]:
        return [
            job.run for lane in await self.journal.lanes() for job in await self.journal.open_jobs(lane.status.lane)
        ]


async def open_workshop(grounds: Grounds, nodes: tuple[Address, ...]) -> Workshop:
    """Open it; the port for services is taken when this returns. Raises ServiceError."""
    settings, data = grounds.settings, grounds.settings.locations.data
    definitions = DefinitionFiles(data / "definitions", grounds.relieve)
    live, lanes = LiveJobs(), dict[str, Lane]()
    port = AgentOwnerPort(
        lanes=lanes,
        journal=grounds.journal,
        live=live,
        definitions=definitions,
        facts=grounds.facts,
        measure=grounds.engine.stats,
        clock=grounds.clock,
    )
    services = ServiceDesk(
        settings.service,
        settings.cluster,
        data=data,
        nodes=nodes,
        api=make_app(port, settings.api),
        engine_socket=str(settings.engine.socket),
        clock=grounds.clock,
    )
    await services.open_listener()
    resources = ResourceDesk(
        settings.resources,
        settings.resources.folder or data / "resources",
        keep_free=settings.limits.disk_free_bytes,
        exempt=grounds.exempt,
    )
    tools = Tools(
        operations=grounds.runner,
        services=services,
        resources=resources,
        log_path=log_paths(grounds.runner, data),
        clock=grounds.clock,
    )
    return Workshop(definitions, live, services, resources, tools, lanes, grounds.journal, grounds.clock, settings)


def log_paths(runner: OperationRunner, data: Path) -> Callable[[PlannedOperation], Path]:
    """Where the logs of operations are kept."""
    return lambda operation: data / runner.log_name(operation)
