"""What a job's operations need of the rooms for services and remote data, as protocols that tests can replace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from node.logins import ResourceLogin
from node.plan_records import FolderMount, Resource
from node.records import Address, PlannedOperation


class OpenServices(Protocol):
    """The services of one operation that runs."""

    def started(self, address: str) -> None:
        """Its container runs, at this address of the job's network."""
        ...

    def stopped(self) -> None:
        """Its container does not run."""
        ...

    async def ready(self) -> None:
        """Return when every port's checks have passed once; at once where there are none."""
        ...

    async def unhealthy(self) -> str:
        """Return when a check fails for which the container is to be started anew: what is wrong."""
        ...

    def states(self) -> Mapping[str, ServiceLook]:
        """How each service stands, by its id."""
        ...


class ServiceLook(Protocol):
    """How one service stands."""

    @property
    def op_id(self) -> str:
        """The operation's id."""
        ...

    @property
    def port(self) -> str:
        """As the definition has it."""
        ...

    @property
    def url(self) -> str:
        """With its scheme."""
        ...

    @property
    def status(self) -> str:
        """`ONLINE`, `OFFLINE` or `UNKNOWN`."""
        ...

    @property
    def private(self) -> bool:
        """Whether its name is told to the job's owner only."""
        ...


class Services(Protocol):
    """Makes ports of containers reachable from outside."""

    @property
    def domain(self) -> str:
        """What the host names of services end in."""
        ...

    def open(self, job: Address, operation: PlannedOperation) -> AbstractAsyncContextManager[OpenServices]:
        """The operation's services, for as long as the block runs."""
        ...


class Resources(Protocol):
    """Brings remote data to this host."""

    async def prepare(
        self,
        run: str,
        job: Address,
        operation: int,
        resources: tuple[Resource, ...],
        logins: tuple[ResourceLogin | None, ...],
        on_progress: Callable[[str], None],
    ) -> tuple[FolderMount, ...]:
        """Fetch what is not here yet, and say where it is. Raises a ContentError."""
        ...

    async def release(self, run: str) -> None:
        """The run's containers are gone: what it had may be removed."""
        ...
