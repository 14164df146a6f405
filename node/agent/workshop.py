"""What the jobs of all lanes work with: their definitions, remote data and services, and the way to their owners."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from node.agent.definitions import DefinitionFiles
from node.agent.housekeeping import OpenWork
from node.agent.lane import Lane
from node.agent.live import LiveJobs
from node.agent.owner_port import AgentOwnerPort, NodeFacts
from node.agent.remote_data import open_shared_desk, tidying_desk
from node.agent.worker import Tools
from node.api.owner.app import make_app
from node.container.disk import EngineDisk
from node.container.engine import Engine
from node.container.origin import Origins
from node.container.runner import OperationRunner
from node.container.space import SpaceLedger
from node.content.resources.desk import ResourceDesk
from node.errors import GpunodeError
from node.journal.journal import Journal
from node.public_network import Exempt
from node.records import Address, PlannedOperation
from node.retry import Clock
from node.service.desk import ServiceDesk
from node.settings import Settings
from node.turns import Turns

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
    work: OpenWork
    space: SpaceLedger
    disk: EngineDisk
    origins: Origins
    """Where images may come from."""
    relieve: Callable[[], bool]
    """Frees some space on a full disk; whether it could."""
    turns: Turns
    """Which transfer goes on when."""


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
    work: OpenWork
    settings: Settings

    @property
    def domain(self) -> str:
        """What the host names of services end in; empty: none are offered."""
        return "" if self.settings.service.tunnel == "off" else self.services.domain

    async def serve(self) -> None:
        """Be reachable, until cancelled."""
        await self.services.run()

    async def tidy(self) -> None:
        """Let go of remote data that no run needs any more, now and again, until cancelled."""
        await tidying_desk(self.resources, self.work)()


async def open_workshop(grounds: Grounds, nodes: tuple[Address, ...]) -> Workshop:
    """Open it; the port for services is taken when this returns. Raises ServiceError."""
    settings, data = grounds.settings, grounds.settings.locations.data
    definitions = DefinitionFiles(data / "definitions", grounds.relieve)
    await _sweep(definitions, grounds.journal)
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
    resources = open_shared_desk(settings, grounds.exempt, grounds.space, grounds.disk, grounds.turns)
    tools = Tools(
        operations=grounds.runner,
        services=services,
        resources=resources,
        log_path=log_paths(grounds.runner, data),
        clock=grounds.clock,
        origins=grounds.origins.trouble,
    )
    return Workshop(definitions, live, services, resources, tools, lanes, grounds.work, settings)


async def _sweep(definitions: DefinitionFiles, journal: Journal) -> None:
    """Before any lane runs: what a job has that comes later must not be taken for another journal's."""
    try:
        lanes = await journal.lanes()
        await definitions.sweep([job.run for lane in lanes for job in await journal.open_jobs(lane.status.lane)])
    except GpunodeError as error:
        log.warning("definitions of jobs that are over stay for now: %s", error.line)


def log_paths(runner: OperationRunner, data: Path) -> Callable[[PlannedOperation], Path]:
    """Where the logs of operations are kept."""
    return lambda operation: data / runner.log_name(operation)
