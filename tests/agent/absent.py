"""Rooms that are closed: no tunnel, no cache of remote data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from node.agent.edges_services import OpenServices, ServiceLook
from node.errors import ContentUnavailable
from node.logins import ResourceLogin
from node.plan_records import FolderMount, Resource
from node.records import Address, PlannedOperation


class NoServices:
    """Ports stay inside the job's network."""

    @property
    def domain(self) -> str:
        """None."""
        return ""

    @asynccontextmanager
    async def open(self, job: Address, operation: PlannedOperation) -> AsyncIterator[OpenServices]:
        """Nothing is opened."""
        del job, operation
        yield _Closed()


class _Closed:
    def started(self, address: str) -> None:
        del address

    def stopped(self) -> None:
        return

    async def ready(self) -> None:
        return

    async def unhealthy(self) -> str:
        await asyncio.Event().wait()
        raise AssertionError("never")

    def states(self) -> Mapping[str, ServiceLook]:
        return {}


class NoResources:
    """Remote data are not fetched."""

    async def prepare(
        self,
        run: str,
        job: Address,
        operation: int,
        resources: tuple[Resource, ...],
        logins: tuple[ResourceLogin | None, ...],
        on_progress: Callable[[str], None],
    ) -> tuple[FolderMount, ...]:
        """Raises ContentUnavailable."""
        del run, job, operation, resources, logins, on_progress
        raise ContentUnavailable("this host fetches no remote data")

    async def release(self, run: str) -> None:
        """Nothing is held."""
        del run
