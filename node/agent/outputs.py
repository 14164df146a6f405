"""What the operations of a job put out for each other, and the literals that stand for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from node.agent.step import Step
from node.container.log import LogEntry, read_entries
from node.errors import ContainerError
from node.job.result import extract_results
from node.job.store import Store
from node.logins import Credentials
from node.records import PlannedOperation

_NONE = Credentials()


class Filling(Protocol):
    """Fills literals in; synchronous."""

    def complete(self, operation: PlannedOperation, body: bytes, store: Store) -> PlannedOperation:
        """Raises LiteralUnresolved."""
        ...

    def credentials(self, index: int, body: bytes, store: Store) -> Credentials:
        """Raises LiteralUnresolved."""
        ...


class Outputs:
    """The outputs of one job. What its operations have logged is looked at when another one asks for it."""

    def __init__(
        self,
        filling: Filling,
        definition: Callable[[], Awaitable[bytes]],
        store: Callable[[bytes], Store],
        steps: Sequence[Step],
        log_path: Callable[[PlannedOperation], Path],
    ) -> None:
        """`definition` has the job's own text, `store` what is known before anything has run."""
        self._filling = filling
        self._definition = definition
        self._store = store
        self._steps = steps
        self._log_path = log_path

    async def complete(self, step: Step) -> tuple[PlannedOperation, Credentials]:
        """The operation, complete, and what it logs in with. Raises LiteralUnresolved and JournalError."""
        operation = step.planned
        if not operation.pending and not operation.has_login and not operation.resources:
            return operation, _NONE
        body = await self._definition()
        completed, credentials = await asyncio.to_thread(self._complete, step, body)
        if not operation.pending or not completed.services:
            return completed, credentials
        if step.has_begun or step.state.services:
            # Named once: a private service keeps its name for as long as the job runs.
            return _with_services(completed, step), credentials
        await step.change(services=completed.services)
        return completed, credentials

    def _complete(self, step: Step, body: bytes) -> tuple[PlannedOperation, Credentials]:
        store = self._filled(step, body)
        operation = step.planned
        if operation.pending:
            operation = self._filling.complete(operation, body, store)
        needs = operation.has_login or bool(operation.resources)
        return operation, self._filling.credentials(operation.index, body, store) if needs else _NONE

    def _filled(self, step: Step, body: bytes) -> Store:
        store = self._store(body)
        for other in self._steps:
            if other.operation.results and any(f"%%ops.{other.id}." in each for each in step.planned.pending):
                entries = [
                    {"log": entry.log, "type": entry.type, "timestamp": entry.timestamp}
                    for entry in self._entries(other.operation)
                    if entry.log
                ]
                store = store.with_results(other.id, extract_results(other.operation.results, entries))
        return store

    def _entries(self, operation: PlannedOperation) -> Iterable[LogEntry]:
        if operation.container is None:
            return ()
        try:
            return list(read_entries(self._log_path(operation)))
        except ContainerError:
            return ()


def _with_services(operation: PlannedOperation, step: Step) -> PlannedOperation:
    return replace(operation, services=step.state.services) if step.state.services else operation
