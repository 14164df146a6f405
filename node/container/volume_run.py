"""An operation that makes a volume: over as soon as it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from node.container import ending
from node.container.course import OnChange, OnProgress
from node.container.engine import OPERATION_LABEL, Engine
from node.container.stop import StopSignal
from node.errors import EngineRejected, EngineUnavailable
from node.records import OperationState, OperationStatus, PlannedOperation
from node.retry import Clock, Retry

ENGINE_RETRY = Retry(attempts=1, total=0.0, first=0.5, longest=15.0)
"""Only its growing waits: an engine that is away is waited for until the job is told to end."""


async def run_volume(
    engine: Engine,
    clock: Clock,
    operation: PlannedOperation,
    previous: OperationState | None,
    labels: Mapping[str, str],
    on_change: OnChange,
    stop: StopSignal,
    on_progress: OnProgress,
) -> OperationState:
    """Make the volume and return the operation's final state, which `on_change` has made durable."""
    state = previous or ending.initial_state(operation)
    own = {key: value for key, value in labels.items() if key != OPERATION_LABEL}
    failures = 0

    def now() -> int:
        return round(clock.time() * 1000)

    while state.ended_ms is None:
        if stop.cause is not None:
            state = ending.ended_before_start(state, stop.cause, now())
            break
        if state.started_ms is None:
            state = replace(state, status=OperationStatus.RUNNING, started_ms=now())
            await on_change(state)
        try:
            await engine.ensure_volume(operation.volume, own)
            state = replace(state, status=OperationStatus.SUCCESS, ended_ms=now(), exit_code=0)
        except EngineUnavailable as error:
            on_progress(f"waiting for the container engine: {error}")
            await clock.sleep(ENGINE_RETRY.wait(min(failures, 8)))
            failures += 1
        except EngineRejected as error:
            state = ending.ended_by_error(state, ending.operation_error("resource-error", error), now())
    else:
        if previous is not None and previous.ended_ms is not None:
            return state
    await on_change(state)
    return state
