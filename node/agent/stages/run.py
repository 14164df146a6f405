"""run: from a plan to how the work ended.

The reconcile loop of each operation is the container room's; here it is fed with the journaled states, so that its
first turn after a restart adopts what still runs, and with the one stop signal of the job.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from node.agent.edges import Meter, MeterMaker, Operations
from node.agent.monitor import JobMonitor
from node.errors import GpuError
from node.journal.journal import Journal
from node.records import EndCause, EnergyReading, OperationState, Outcome, Plan, Refusal
from node.retry import Clock


async def run(
    monitor: JobMonitor,
    plan: Plan,
    operations: Operations,
    meters: MeterMaker,
    samples: Path,
    journal: Journal,
    clock: Clock,
    on_progress: Callable[[str], None],
) -> Outcome | Refusal:
    """Run what is planned, in order, and say how it ended.

    `samples` is a file that takes the meter's sample lines. Every state an operation takes is in the journal before
    it is acted on. Cancelling leaves containers running.
    A Refusal gives the job back: the operator quit it, or its time was over before anything could start.
    """
    address = monitor.assignment.run.address
    known = {state.index: state for state in await journal.operations(address)}
    begun = any(state.starts for state in known.values())
    if not begun and (refusal := await _refusal_before_start(monitor)):
        return refusal

    async def on_change(state: OperationState) -> None:
        await journal.save_operation(address, state)

    uuids = tuple(sorted({uuid for container in plan.containers for uuid in container.gpu_uuids}))
    async with AsyncExitStack() as stack:
        # A meter that starts in the middle would state less than was used; no reading is the honest one.
        meter = await _start(stack, meters, uuids, samples) if uuids and not begun else None
        finished = [
            await operations.run_operation(
                operation,
                known.get(operation.index),
                on_change=on_change,
                stop=monitor.stop,
                on_progress=on_progress,
            )
            for operation in plan.operations
        ]
        energy = await _read(meter)
    await operations.clean_job(plan.job, plan.network)
    done = all(state.starts and monitor.ended_before_stop(state.ended_ms or 0) for state in finished)
    if monitor.stop.cause is EndCause.HOST and monitor.quit_reason and not done:
        return Refusal(plan.job, monitor.quit_reason)
    # Work that was done when the word came is settled, not given back, whoever's word it was.
    cause = EndCause.COMPLETED if done or monitor.stop.cause is None else monitor.stop.cause
    return _outcome(cause, plan, tuple(finished), energy, clock)


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
