"""A definition run on this host alone: the same engine, profile and schedule, without a chain and without a journal."""

from __future__ import annotations

import asyncio
import random
import string
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node import __version__
from node.agent.live import JobLive
from node.agent.log_feed import LogFeed
from node.agent.outputs import Outputs
from node.agent.remote_data import open_desk
from node.agent.schedule import Schedule
from node.agent.step import Step
from node.agent.worker import Tools, Worker
from node.api.owner.port import LogFrame
from node.base58 import b58encode
from node.container.disk_watch import DiskTerms
from node.container.docker import DockerEngine
from node.container.egress.fitting import network_guard
from node.container.egress.networks import JobNetworks
from node.container.log import read_entries
from node.container.origin import local_registries
from node.container.runner import OperationRunner
from node.container.stop import StopSignal
from node.content.merkle import MerkleHasher
from node.content.resources.desk import ResourceDesk
from node.errors import ContentError
from node.gpu.provider import choose_provider
from node.job.completion import complete_operation
from node.job.credentials import credentials_of
from node.job.definition import parse_posted
from node.job.first_store import store_of
from node.job.isolation import keep
from node.job.plan import LABEL_JOB, LABEL_LANE, LABEL_NODE, make_plan
from node.job.result import flow_state
from node.job.store import Store
from node.logins import Credentials
from node.records import (
    SYSTEM_PROGRAM,
    Address,
    Assignment,
    Cid,
    EndCause,
    Gpu,
    Job,
    JobState,
    OperationState,
    Outcome,
    Plan,
    PlannedOperation,
    Run,
)
from node.retry import SystemClock
from node.service.desk import ServiceDesk
from node.settings import Settings
from node.settings_service import ServiceSettings

LANE = "local"


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told how it goes."""

    on_log: Callable[[LogFrame], None]
    on_progress: Callable[[str], None]
    on_service: Callable[[str, str], None]
    """An operation's id, and a URL at which it answers now."""


def plain_settings() -> Settings:
    """For a host that has none: what they are by default, and no packet filter."""
    return Settings.model_validate(
        {
            "cluster": "localnet",
            "host": {"country": "NL"},
            "network": {"filter": "off"},
            "lanes": [{"name": LANE, "wallet": "none", "market": SYSTEM_PROGRAM}],
        }
    )


async def run_locally(
    body: bytes, settings: Settings, folder: Path, stop: StopSignal, listener: Listener
) -> dict[str, Any]:
    """Run a definition and return its result document, in the form of results.

    `folder` takes logs and remote data; of the settings, engine, limits, network, GPUs, isolation and remote data
    count. `stop` ends it early. Containers, network and volumes are gone when this returns or is cancelled. Raises
    DefinitionInvalid, PlanInvalid, JobRefused, ContainerError, FilterError, GpuError or ServiceError.
    """
    async with AsyncExitStack() as stack:
        room = await _open(body, settings, folder, stack)
        return await room.run(stop, listener)


@dataclass(frozen=True, slots=True)
class _Room:
    """What the job has."""

    body: bytes
    assignment: Assignment
    plan: Plan
    tools: Tools
    services: ServiceDesk
    resources: ResourceDesk
    clock: SystemClock

    # --- Filling ---

    def complete(self, operation: PlannedOperation, body: bytes, store: Store) -> PlannedOperation:
        return complete_operation(operation, parse_posted(body), store)

    def credentials(self, index: int, body: bytes, store: Store) -> Credentials:
        return credentials_of(parse_posted(body), index, store)

    def store(self, body: bytes) -> Store:
        return store_of(
            self.plan,
            parse_posted(body),
            node=self.assignment.run.node,
            project=self.assignment.job.project,
            domain=self.services.domain,
            version=__version__,
        )

    async def definition(self) -> bytes:
        return self.body

    # --- the run ---

    async def run(self, stop: StopSignal, listener: Listener) -> dict[str, Any]:
        live = JobLive(self.assignment, self.clock, self.tools.log_path)
        steps = self._steps(live)
        schedule = Schedule(steps, self._worker(steps, live, stop, listener).perform, stop, self.clock)
        try:
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(self.services.run())
                with live.running(schedule):
                    looking = group.create_task(_look_on(live, self.clock, listener))
                    await schedule.complete()
                live.finish()
                await looking
                serving.cancel()
        finally:
            await asyncio.shield(self._clean())
        return await asyncio.to_thread(self._result, steps, stop)

    def _steps(self, live: JobLive) -> tuple[Step, ...]:
        needed = {name for operation in self.plan.operations for name in operation.depends_on}
        return tuple(
            Step(operation, None, _kept_nowhere, live.step_changed, has_dependents=operation.id in needed)
            for operation in self.plan.operations
        )

    def _worker(self, steps: tuple[Step, ...], live: JobLive, stop: StopSignal, listener: Listener) -> Worker:
        outputs = Outputs(self, self.definition, self.store, steps, self.tools.log_path)
        labels = (
            (LABEL_LANE, LANE),
            (LABEL_JOB, self.plan.job),
            (LABEL_NODE, self.assignment.run.node),
        )
        return Worker(
            self.plan.job,
            self.assignment.run.address,
            self.tools,
            outputs,
            stop,
            listener.on_progress,
            lambda _ended: False,
            live,
            labels,
        )

    async def _clean(self) -> None:
        await self.tools.operations.clean_job(self.plan.job, self.plan.network)
        try:
            await self.resources.release(self.assignment.run.address)
        except ContentError:
            return  # the folder goes anyway

    def _result(self, steps: tuple[Step, ...], stop: StopSignal) -> dict[str, Any]:
        states = tuple(step.state for step in steps)
        now = round(self.clock.time() * 1000)
        ended = [state.cause for state in states if state.cause is not None]
        outcome = Outcome(
            job=self.plan.job,
            cause=EndCause.COMPLETED if stop.cause is None or not ended else stop.cause,
            started_ms=min((state.started_ms for state in states if state.started_ms is not None), default=now),
            ended_ms=max((state.ended_ms for state in states if state.ended_ms is not None), default=now),
            operations=states,
        )
        logs = {
            step.operation.index: read_entries(self.tools.log_path(step.operation))
            for step in steps
            if step.operation.container is not None
        }
        return flow_state(outcome, self.plan, logs)


async def _open(body: bytes, settings: Settings, folder: Path, stack: AsyncExitStack) -> _Room:
    clock = SystemClock()
    definition = parse_posted(body)
    engine = DockerEngine(settings.engine.socket)
    stack.push_async_callback(engine.aclose)
    guard = network_guard(settings.network, clock)
    await guard.ensure()
    gpus = await _gpus(settings, stack)
    services = ServiceDesk(ServiceSettings(tunnel="direct", port=0), "localnet", data=folder, clock=clock)
    await services.open_listener()
    assignment = _assignment()
    plan = make_plan(
        definition,
        job=assignment.job.address,
        node=assignment.run.node,
        project=assignment.job.project,
        gpu_uuids=tuple(gpu.uuid for gpu in gpus),
        limits=settings.limits.for_lane(1),
        profile=settings.engine.profile,
        runtime=settings.engine.runtime,
        lane=LANE,
        gpu_capabilities=settings.gpu.capabilities,
        egress=settings.network.egress,
        resolvers=settings.network.resolvers,
        frps_address=services.domain,
        version=__version__,
    )
    runner = OperationRunner(
        engine,
        folder,
        stop_grace=settings.engine.stop_grace,
        clock=clock,
        networks=JobNetworks(engine, guard),
        disk=DiskTerms(settings.limits.disk_job_bytes, settings.limits.disk_free_bytes),
    )
    settings = settings.model_copy(
        update={"resources": settings.resources.model_copy(update={"folder": folder / "resources"})}
    )
    resources = open_desk(settings, local_registries)
    tools = Tools(runner, services, resources, lambda operation: folder / runner.log_name(operation), clock)
    plan = keep(plan, assignment.job.project, settings.policy.isolation)
    return _Room(body, assignment, plan, tools, services, resources, clock)


async def _gpus(settings: Settings, stack: AsyncExitStack) -> tuple[Gpu, ...]:
    provider = await choose_provider(
        settings.gpu.provider, settings.cluster, new_hasher=MerkleHasher, simulated=settings.gpu.simulated
    )
    stack.push_async_callback(provider.aclose)
    return await provider.inventory()


def _assignment() -> Assignment:
    """Names for what a chain would name. The job's is 32 letters and digits, as the Nosana node gives local runs."""
    letters = random.SystemRandom()
    job = Address("".join(letters.choices(string.ascii_lowercase + string.digits, k=32)))
    nobody = Address(b58encode(letters.randbytes(32)))
    run = Run(address=nobody, job=job, node=nobody, payer=nobody, state=0, time=0)
    return Assignment(
        lane=LANE,
        run=run,
        job=Job(
            address=job,
            definition_cid=Cid(""),
            result_cid=None,
            market=nobody,
            node=nobody,
            payer=nobody,
            price=0,
            project=nobody,
            state=JobState.QUEUED,
            time_end=0,
            time_start=0,
            timeout=0,
        ),
        slot=0,
        blockhash="",
        seen_at=0.0,
    )


async def _kept_nowhere(_state: OperationState) -> None:
    """A run that ends with its command has nothing to go on from."""


async def _look_on(live: JobLive, clock: SystemClock, listener: Listener) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_tell_services(live, listener))
        async for frame in LogFeed(live, clock).frames():
            if frame is not None:
                listener.on_log(frame)


async def _tell_services(live: JobLive, listener: Listener) -> None:
    told: set[str] = set()
    while not live.is_over:
        changed = live.changed
        for name, look in live.service_looks().items():
            if name not in told:
                told.add(name)
                listener.on_service(look.op_id, look.url)
        await changed.wait()
