"""admit: what will run, if this host takes the job."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from node.agent.earnings.floor import Worth, always_worth
from node.agent.edges import JobDesk
from node.agent.monitor import JobMonitor
from node.errors import DefinitionInvalid, GpuError, JobError, LaneDegraded, PlanInvalid
from node.job.definition import violation_json
from node.logins import DockerLogin
from node.records import Address, Assignment, EndCause, FetchedDefinition, Gpu, Outcome, Plan, Refusal
from node.retry import Clock

GIB = 1024**3


async def _anywhere(_images: Sequence[str]) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the host must have before a job is accepted."""

    folder: Path
    """On the disk that the job will fill."""
    disk_free: int
    """Bytes that must be free there."""
    reserve: Callable[[Address, Sequence[str], Mapping[str, DockerLogin]], Awaitable[str]]
    """Gives a run the space on the engine's disk for these images (whose registries are asked with these logins) and
    its own files; empty, or why not."""
    gpus: Callable[[], Awaitable[tuple[Gpu, ...]]]
    """The lane's GPUs as they are now; raises GpuError or LaneDegraded when they cannot serve."""
    runtimes: Callable[[Plan, tuple[Gpu, ...]], Awaitable[str]]
    """Whether the runtimes of a plan can give it these GPUs: empty, or why not."""
    origins: Callable[[Sequence[str]], Awaitable[str]] = _anywhere
    """Looks at where these images come from; empty, or why they may not be fetched."""
    worth: Worth = always_worth
    """Whether a job on these GPUs pays what it costs, where that is asked for."""


async def admit(
    monitor: JobMonitor, fetched: FetchedDefinition, desk: JobDesk, readiness: Readiness, clock: Clock
) -> Plan | Outcome | Refusal:
    """A plan; or an Outcome when the definition breaks the schema, which is settled as such; or a Refusal, which gives
    the job back unpaid (bytes that are no JSON document at all, and all that this host will not run)."""
    job = monitor.assignment.job
    if monitor.quit_reason:
        return Refusal(job.address, monitor.quit_reason)
    try:
        gpus = await readiness.gpus()
        uuids = tuple(gpu.uuid for gpu in gpus)
        plan = await asyncio.to_thread(desk.plan, monitor.assignment, fetched.body, uuids)
    except (GpuError, LaneDegraded) as error:
        return Refusal(job.address, f"the lane's GPUs cannot serve: {error.message}")
    except DefinitionInvalid as error:
        return _invalid(monitor, error, clock)
    except PlanInvalid as error:
        return _unplanned(monitor, error, clock)
    except JobError as error:
        return Refusal(job.address, error.message)
    given = {uuid for container in plan.containers for uuid in container.gpu_uuids}
    trouble = await readiness.worth(job, given) or await readiness.runtimes(plan, gpus)
    if trouble:
        return Refusal(job.address, trouble)
    images = tuple(dict.fromkeys(container.image for container in plan.containers))
    logins = await asyncio.to_thread(_logins, monitor.assignment, plan, fetched.body, desk)
    trouble = (
        await readiness.origins(images)
        or await _disk_trouble(readiness)
        or await readiness.reserve(monitor.assignment.run.address, images, logins)
    )
    if trouble:
        return Refusal(job.address, trouble)
    return replace(plan, gpus=tuple(gpu for gpu in gpus if gpu.uuid in given))


def _logins(assignment: Assignment, plan: Plan, body: bytes, desk: JobDesk) -> dict[str, DockerLogin]:
    """By image; without those that are known only while the job runs."""
    found: dict[str, DockerLogin] = {}
    for operation in plan.operations:
        if operation.has_login and operation.container is not None:
            with suppress(JobError):
                login = desk.credentials(operation.index, body, desk.store(assignment, plan, body)).docker
                if login is not None:
                    found[operation.container.image] = login
    return found


def _invalid(monitor: JobMonitor, error: DefinitionInvalid, clock: Clock) -> Outcome:
    now = round(clock.time() * 1000)
    return Outcome(
        job=monitor.assignment.job.address,
        cause=EndCause.INVALID,
        started_ms=now,
        ended_ms=now,
        operations=(),
        violations=tuple(violation_json(item) for item in error.violations),
    )


def _unplanned(monitor: JobMonitor, error: PlanInvalid, clock: Clock) -> Outcome:
    now = round(clock.time() * 1000)
    return Outcome(
        job=monitor.assignment.job.address,
        cause=EndCause.UNPLANNED,
        started_ms=now,
        ended_ms=now,
        operations=(),
        errors=("Execution Plan Validation Failed:\n" + "\n".join(f"- {each}" for each in error.messages),),
    )


async def _disk_trouble(readiness: Readiness) -> str:
    try:
        free = (await asyncio.to_thread(shutil.disk_usage, readiness.folder)).free
    except OSError as error:
        return f"the free space of {readiness.folder} cannot be read: {error.strerror}"
    if free < readiness.disk_free:
        return f"the host has {free / GIB:.1f} GiB free and asks for {readiness.disk_free / GIB:.1f} GiB"
    return ""
