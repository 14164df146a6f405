"""Jobs of several operations, run for real by the engine on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker

from node.container.docker import DockerEngine
from node.container.log import read_entries
from node.container.runner import OperationRunner
from node.container.stop import StopSignal
from node.records import Address, EndCause, OperationState, PlannedOperation
from node.retry import Retry
from tests.container.operations import network_of, new_job, operation


@dataclass
class JobBench:
    """One job."""

    engine: DockerEngine
    client: docker.APIClient
    image: str
    node: str
    data: Path
    job: str = field(default_factory=new_job)
    stop: StopSignal = field(default_factory=StopSignal)
    states: dict[int, OperationState] = field(default_factory=dict)
    seen: list[OperationState] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.runner = OperationRunner(
            self.engine, self.data, stop_grace=1.0, pull_retry=Retry(attempts=2, total=5.0, first=0.1)
        )

    def op(self, index: int, command: str, **spec: Any) -> PlannedOperation:
        return operation(spec.pop("image", self.image), self.node, command, job=self.job, index=index, **spec)

    async def run(self, op: PlannedOperation, previous: OperationState | None = None, **more: Any) -> OperationState:
        async def on_change(state: OperationState) -> None:
            self.states[state.index] = state
            self.seen.append(state)

        return await self.runner.run_operation(
            op, previous, on_change=on_change, stop=self.stop, on_progress=self.lines.append, **more
        )

    @asynccontextmanager
    async def running(self, op: PlannedOperation, **more: Any) -> AsyncIterator[asyncio.Task[OperationState]]:
        """The operation, once its container runs; it is told to end afterwards unless it has."""
        started = asyncio.Event()

        async def on_started(_view: object) -> None:
            started.set()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.run(op, on_started=on_started, **more))
            waiting = group.create_task(started.wait())
            await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED, timeout=30)
            waiting.cancel()
            yield task
            self.stop.request(EndCause.STOPPED)

    def log(self, state: OperationState, stream: str = "stdout") -> str:
        assert state.log is not None
        return "".join(entry.log for entry in read_entries(self.data / state.log.path) if entry.type == stream)

    async def output(self, op: PlannedOperation) -> str:
        """What it prints."""
        state = await self.run(op)
        assert state.exit_code == 0, (state.errors, self.log(state, "stderr"))
        return self.log(state)

    async def clean(self) -> None:
        await self.runner.clean_job(Address(self.job), network_of(self.job))

    def left(self) -> list[str]:
        """What of the job the engine has."""
        filters = {"label": f"gpunode.job={self.job}"}
        rows: list[Mapping[str, Any]] = [
            *self.client.containers(all=True, filters=filters),
            *self.client.networks(filters=filters),
            *(self.client.volumes(filters=filters)["Volumes"] or ()),
        ]
        return [row.get("Name") or row["Names"][0] for row in rows]


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)
