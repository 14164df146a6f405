"""run: from a plan to how the work ended.

The reconcile loop of each operation is the container room's; the schedule says which runs when. Both are fed with the
journaled states, so that the first turn after a restart adopts what still runs, and with the job's one stop signal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from node.agent.edges import JobDesk, Meter, MeterMaker
from node.agent.live import JobLive
from node.agent.moments import first_output
from node.agent.monitor import JobMonitor
from node.agent.outputs import Outputs
from node.agent.schedule import Schedule
from node.agent.step import Step
from node.agent.worker import Tools, Worker
from node.errors import ContentError, GpuError
from node.job.plan import LABEL_JOB, LABEL_LANE, LABEL_NODE
from node.journal.journal import Journal
from node.journal.latency import Moment
from node.records import EndCause, EnergyReading, OperationState, Outcome, Plan, Refusal
from node.retry import Clock

log = logging.getLogger(__name__)

LATE_MS = 2000
"""By which a meter's first sample may come after the start of the work: a driver takes a moment to wake up."""


@dataclass(frozen=True, slots=True)
class RunServices:
    """What the stage needs."""

    desk: JobDesk
    tools: Tools
    meters: MeterMaker
    samples: Path
    """A file that takes the meter's sample lines."""
    journal: Journal
    clock: Clock
    definition: Callable[[], Awaitable[bytes]]
    """The job's own text."""
    live: JobLive
    on_progress: Callable[[str], None]


async def run(monitor: JobMonitor, plan: Plan, services: RunServices) -> Outcome | Refusal:
    """Run what is planned, and say how it ended.

    Every state an operation takes is in the journal before it is acted on. Cancelling leaves containers running.
    A Refusal gives the job back: the operator quit it, or its time was over before anything could start.
    """
    address = monitor.assignment.run.address
    known = {state.index: state for state in await services.journal.operations(address)}
    begun = any(state.starts for state in known.values())
    if not begun and (refusal := await _refusal_before_start(monitor)):
        await _clean(monitor, plan, services)
        return refusal
    if any(state.cause is EndCause.EXPIRED for state in known.values()):
        monitor.expire()  # told so in an earlier life, by its owner or its deadline
    steps = _steps(monitor, plan, known, services)
    services.tools.operations.recall(plan.network, tuple(known.values()))
    uuids = tuple(sorted({uuid for container in plan.containers for uuid in container.gpu_uuids}))
    async with AsyncExitStack() as stack:
        if not begun:
            await asyncio.to_thread(_discard, services.samples)
        meter = await _start(stack, services.meters, uuids, services.samples) if uuids else None
        await _perform(monitor, plan, steps, services)
        finished = tuple(step.state for step in steps)
        energy = _whole(await _read(meter), finished)
    await _note_output(plan, services)
    await _clean(monitor, plan, services)
    done = all(_ended_by_itself(state, monitor) for state in finished)
    if monitor.stop.cause is EndCause.HOST and monitor.quit_reason and not done:
        return Refusal(plan.job, monitor.quit_reason)
    # Work that was done when the word came is settled, not given back, whoever's word it was.
    cause = EndCause.COMPLETED if done or monitor.stop.cause is None else monitor.stop.cause
    return _outcome(cause, plan, finished, energy, services.clock)


def _steps(
    monitor: JobMonitor, plan: Plan, known: dict[int, OperationState], services: RunServices
) -> tuple[Step, ...]:
    address = monitor.assignment.run.address
    needed = {name for operation in plan.operations for name in operation.depends_on}

    async def save(state: OperationState) -> None:
        await services.journal.save_operation(address, state)

    return tuple(
        Step(
            operation,
            known.get(operation.index),
            save,
            services.live.step_changed,
            has_dependents=operation.id in needed,
        )
        for operation in plan.operations
    )


async def _perform(monitor: JobMonitor, plan: Plan, steps: tuple[Step, ...], services: RunServices) -> None:
    assignment = monitor.assignment
    outputs = Outputs(
        services.desk,
        services.definition,
        lambda body: services.desk.store(assignment, plan, body),
        steps,
        services.tools.log_path,
    )
    worker = Worker(
        plan.job,
        assignment.run.address,
        services.tools,
        outputs,
        monitor.stop,
        services.on_progress,
        monitor.ended_before_stop,
        services.live,
        (
            (LABEL_LANE, assignment.lane),
            (LABEL_JOB, plan.job),
            (LABEL_NODE, assignment.run.node),
        ),
    )
    schedule = Schedule(steps, worker.perform, monitor.stop, services.clock)
    with services.live.running(schedule):
        await schedule.complete()


async def _note_output(plan: Plan, services: RunServices) -> None:
    logs = [services.tools.log_path(operation) for operation in plan.operations if operation.container is not None]
    if (at := await asyncio.to_thread(first_output, logs)) is not None:
        services.live.note(Moment.FIRST_OUTPUT, at)


async def _clean(monitor: JobMonitor, plan: Plan, services: RunServices) -> None:
    await services.tools.operations.clean_job(plan.job, plan.network)
    try:
        await services.tools.resources.release(monitor.assignment.run.address)
    except ContentError as error:
        log.warning("the remote data of job %s are let go of later: %s", plan.job, error)


def _ended_by_itself(state: OperationState, monitor: JobMonitor) -> bool:
    if state.cause is not None:
        return False
    # One that was ended by an earlier life of the agent does not say so where that life wrote an older journal, or was
    # cut off before it had asked.
    return state.ended_ms is None or monitor.stop.cause is None or monitor.ended_before_stop(state.ended_ms)


async def _refusal_before_start(monitor: JobMonitor) -> Refusal | None:
    job = monitor.assignment.job.address
    if monitor.quit_reason:
        return Refusal(job, monitor.quit_reason)
    if monitor.stop.cause is not EndCause.STOPPED and await monitor.is_over():
        return Refusal(job, "the job's time was over before it could start")
    return None


def _outcome(
    cause: EndCause,
    plan: Plan,
    finished: tuple[OperationState, ...],
    energy: EnergyReading | None,
    clock: Clock,
) -> Outcome:
    now = round(clock.time() * 1000)
    starts = [state.started_ms for state in finished if state.started_ms is not None]
    ends = [state.ended_ms for state in finished if state.ended_ms is not None]
    return Outcome(
        job=plan.job,
        cause=cause,
        started_ms=min(starts, default=now),
        ended_ms=max(ends, default=now),
        operations=finished,
        energy=energy,
    )


def _discard(samples: Path) -> None:
    """Of a life that ended before anything ran: they would count what came between as the job's."""
    try:
        samples.unlink(missing_ok=True)
    except OSError as error:
        log.warning("samples of an earlier life stay: %s", error.strerror or error)


def _whole(reading: EnergyReading | None, finished: tuple[OperationState, ...]) -> EnergyReading | None:
    """The reading; without energy where the meter began after the work, since less than was used would be stated.
    What it saw of each GPU stays, with the span that it was seen in."""
    began = min((each.began_ms or each.started_ms or 0 for each in finished if each.starts), default=None)
    if reading is None or began is None or reading.first_ms is None or reading.first_ms <= began + LATE_MS:
        return reading
    return replace(reading, joules=None, source="none", utilisation_mean=None)


async def _start(stack: AsyncExitStack, meters: MeterMaker, uuids: tuple[str, ...], samples: Path) -> Meter | None:
    try:
        return await stack.enter_async_context(meters.meter(uuids, samples))
    except GpuError:
        return None


async def _read(meter: Meter | None) -> EnergyReading | None:
    if meter is None:
        return None
    try:
        return await meter.reading()
    except GpuError:
        return None
