"""The running agent as owners of its jobs see it: the OwnerPort of the owner's API."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from node.agent.definitions import DefinitionFiles
from node.agent.host import HostFacts
from node.agent.lane import Lane
from node.agent.live import JobLive, LiveJobs
from node.agent.log_feed import LogFeed
from node.api.owner.port import (
    JobView,
    LogFrame,
    NodeView,
    OperationProgress,
    OwnedJob,
    Progress,
    ServiceStatus,
    ServiceView,
    StateFrame,
    StatSample,
)
from node.container.engine import ContainerStats
from node.errors import ContainerError, NotWaiting, OwnerRefused
from node.job.result import flow_status, live_state
from node.job.travel import WAITS_FOR_COLLECTION
from node.journal.reader import JournalReader
from node.records import Address, LanePhase, Outcome, Plan, Stage
from node.retry import Clock

_STATES = {
    LanePhase.CHECKING: "STARTING",
    LanePhase.JOINING: "JOINING_MARKET",
    LanePhase.QUEUED: "QUEUED",
    LanePhase.WORKING: "RUNNING_JOB",
    LanePhase.DRAINING: "RUNNING_JOB",
}
"""Of a lane, as the network names them; any other is OTHER."""
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What is public of this host."""

    version: str
    started_at: float
    country: str
    host: HostFacts


@dataclass(frozen=True, slots=True)
class AgentOwnerPort:
    """See node/api/owner/port.py for what each method promises."""

    lanes: Mapping[str, Lane]
    journal: JournalReader
    live: LiveJobs
    definitions: DefinitionFiles
    facts: NodeFacts
    measure: Callable[[str], Awaitable[ContainerStats | None]]
    """What a container uses now; raises ContainerError."""
    clock: Clock

    # --- the host -------------------------------------------------------------------------------------------

    def nodes(self) -> tuple[Address, ...]:
        """The keys of this host's lanes."""
        return tuple(lane.status.node for lane in self.lanes.values())

    async def node(self, address: Address) -> NodeView:
        """What is public of one of them."""
        lane = next(lane for lane in self.lanes.values() if lane.status.node == address)
        host = self.facts.host
        info = {
            "version": self.facts.version,
            "country": self.facts.country,
            "network": {},
            "system_environment": f"{os.uname().sysname} {os.uname().release}",
            "cpu": {"model": host.machine, "logical_cores": host.cpus, "physical_cores": host.cpus},
            "disk_gb": host.storage_bytes // GIB,
            "ram_mb": host.memory_bytes // (1024 * 1024),
            "gpus": {
                "devices": [
                    {
                        "index": gpu.index,
                        "name": gpu.name,
                        "uuid": gpu.uuid,
                        "memory": {"total_mb": None if gpu.vram_bytes is None else gpu.vram_bytes // (1024 * 1024)},
                    }
                    for gpu in lane.status.gpus
                ]
            },
        }
        state = "RUNNING_JOB" if lane.status.job is not None else _STATES.get(lane.status.phase, "OTHER")
        return NodeView(address, self.facts.started_at, state, info)

    # --- a job ----------------------------------------------------------------------------------------------

    async def owned(self, job: Address) -> OwnedJob | None:
        """The newest run of a job here."""
        runs = [run for run in await self.journal.job(job) if run.job == job]
        if not runs:
            return None
        run = runs[0]
        return OwnedJob(job, run.poster, run.node, run.definition_cid, run.timeout)

    async def view(self, job: Address) -> JobView | None:
        """The job as it stands."""
        live = self.live.get(job)
        runs = [run for run in await self.journal.job(job) if run.job == job]
        outcome = await self._outcome(runs[0].run) if runs else None
        if live is not None and (outcome is None or live.status == WAITS_FOR_COLLECTION):
            return _view(live)
        if outcome is None:
            return None
        plan = await self.journal.stage_record(runs[0].run, Stage.ADMIT)
        return _view_of(outcome, plan if isinstance(plan, Plan) else None)

    @asynccontextmanager
    async def watch(self, job: Address) -> AsyncIterator[AsyncIterator[JobView]]:
        """The job now, and whenever it has changed."""
        yield self._views(job)

    async def _views(self, job: Address) -> AsyncIterator[JobView]:
        last: JobView | None = None
        while True:
            live = self.live.get(job)
            changed = None if live is None else live.changed
            view = await self.view(job)
            if view is not None and view != last:
                last = view
                yield view
            if live is None or changed is None or live.is_over:
                return
            await changed.wait()

    async def definition(self, job: Address) -> bytes | None:
        """The definition's bytes, while the run is not settled."""
        runs = [run for run in await self.journal.job(job) if run.job == job]
        return await self.definitions.read(runs[0].run) if runs else None

    @asynccontextmanager
    async def follow(self, job: Address) -> AsyncIterator[AsyncIterator[LogFrame | None]]:
        """The job's log."""
        live = self._running(job)
        if live.schedule is None:
            raise OwnerRefused("the job does not run")
        yield LogFeed(live, self.clock).frames()

    @asynccontextmanager
    async def states(self, job: Address) -> AsyncIterator[AsyncIterator[StateFrame]]:
        """The agent's steps with the job."""
        yield _states(self._running(job))

    async def services(self, job: Address) -> tuple[ServiceView, ...]:
        """The ports that are exposed now."""
        live = self.live.get(job)
        return () if live is None else _services(live)

    def running(self) -> tuple[Address, ...]:
        """Jobs whose containers may run now."""
        return tuple(live.assignment.job.address for live in self.live.all() if live.current_group is not None)

    async def stats(self, job: Address) -> tuple[StatSample, ...]:
        """What each running container uses."""
        live = self.live.get(job)
        if live is None:
            return ()
        running = [
            (step.id, step.state.container_id)
            for step in live.steps
            if step.state.container_id is not None and not step.is_over
        ]
        samples = await asyncio.gather(*(self._sample(operation, container) for operation, container in running))
        return tuple(sample for sample in samples if sample is not None)

    # --- what its owner asks --------------------------------------------------------------------------------

    async def stop(self, job: Address) -> None:
        """End the job as if its time were over. Raises OwnerRefused where its work is over."""
        await self._running(job).stop()

    async def restart_operation(self, job: Address, group: str, operation: str) -> None:
        """Stop and start one operation anew."""
        self._running(job).restart_operation(group, operation)

    async def stop_operation(self, job: Address, group: str, operation: str) -> None:
        """End one operation."""
        self._running(job).stop_operation(group, operation)

    async def restart_group(self, job: Address, group: str) -> None:
        """Stop and start a group's operations anew."""
        self._running(job).restart_group(group)

    async def stop_group(self, job: Address, group: str) -> None:
        """End a group's operations."""
        self._running(job).stop_group(group)

    async def move_group(self, job: Address, group: str) -> None:
        """End the current group and go on with a later one."""
        self._running(job).move_group(group)

    async def deliver(self, job: Address, definition: bytes) -> None:
        """Take a confidential job's definition."""
        live = self.live.get(job)
        if live is None:
            raise NotWaiting("cannot send job definition at this time")
        await live.letterbox.deliver(definition)

    async def result(self, job: Address) -> bytes:
        """The full result of a job that waits for its owner to collect it."""
        live = self.live.get(job)
        if live is None:
            raise NotWaiting("the job does not wait for its result to be collected")
        return live.letterbox.result()

    async def collected(self, job: Address) -> None:
        """The whole result has been handed over."""
        if (live := self.live.get(job)) is not None:
            live.letterbox.collected()

    # --- small things ---------------------------------------------------------------------------------------

    def _running(self, job: Address) -> JobLive:
        live = self.live.get(job)
        if live is None:
            raise OwnerRefused("the job does not run")
        return live

    async def _outcome(self, run: str) -> Outcome | None:
        for stage in (Stage.RUN, Stage.ADMIT, Stage.FETCH):
            record = await self.journal.stage_record(run, stage)
            if isinstance(record, Outcome):
                return record
        return None

    async def _sample(self, operation: str, container: str) -> StatSample | None:
        try:
            stats = await self.measure(container)
        except ContainerError:
            return None
        if stats is None:
            return None
        return StatSample(
            operation=operation,
            timestamp_ms=round(self.clock.time() * 1000),
            cpu_percent=stats.cpu_percent,
            memory_usage=stats.memory_usage,
            memory_limit=stats.memory_limit,
            disk_read=stats.disk_read,
            disk_write=stats.disk_written,
            network_received=stats.network_received,
            network_sent=stats.network_sent,
        )


def _view(live: JobLive) -> JobView:
    services = _services(live)
    state = live_state(
        live.status,
        live.started_ms,
        live.ended_ms,
        live.errors,
        [step.state for step in live.steps],
        _secrets(live, services),
    )
    progress = tuple(OperationProgress(step.id, step.operation.group, step.progress) for step in live.steps)
    return JobView(state, progress if live.schedule is not None else None, live.current_group)


def _view_of(outcome: Outcome, plan: Plan | None) -> JobView:
    errors: list[Any] = [list(outcome.violations)] if outcome.violations else list(outcome.errors)
    state = live_state(flow_status(outcome), outcome.started_ms, outcome.ended_ms, errors, outcome.operations, None)
    if plan is None:
        return JobView(state)
    ended = {each.index: each for each in outcome.operations}
    return JobView(
        state,
        tuple(
            OperationProgress(each.id, each.group, _ended(ended[each.index].status.value))
            for each in plan.operations
            if each.index in ended
        ),
    )


def _ended(status: str) -> Progress:
    return {"stopped": Progress.STOPPED, "init": Progress.WAITING}.get(status, Progress.FINISHED)


def _services(live: JobLive) -> tuple[ServiceView, ...]:
    return tuple(
        ServiceView(name, look.op_id, look.port, look.url, ServiceStatus(str(look.status)))
        for name, look in live.service_looks().items()
    )


def _secrets(live: JobLive, services: tuple[ServiceView, ...]) -> Mapping[str, Any] | None:
    if not services:
        return None
    exposed = [step for step in live.steps if step.operation.services]
    private = bool(exposed) and any(service.private for service in exposed[-1].operation.services)
    return {
        "urlmode": "private" if private else "public",
        live.assignment.job.address: {
            each.id: {"opID": each.operation, "port": each.port, "url": each.url, "status": each.status.value}
            for each in services
        },
    }


async def _states(live: JobLive) -> AsyncIterator[StateFrame]:
    following = 0
    while True:
        changed, over = live.changed, live.is_over
        for frame in [each for each in live.states if each.index >= following]:
            if frame.index > following and following:
                raise OwnerRefused("the states go on faster than they are read")
            following = frame.index + 1
            yield frame
        if over:
            return
        await changed.wait()
