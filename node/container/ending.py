"""How an operation ends: statuses, exit codes and error entries as the network spells them. Pure.

Sources: Nosana node (status by cause; 2 = ended by the node without a container, 0 = ended before it began).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

from node.container.engine import ContainerView
from node.container.log import order_key
from node.errors import ContainerError, EngineRejected, ImagePullFailed
from node.records import EndCause, OperationError, OperationState, OperationStatus, PlannedOperation

NODE_SIDE_EXIT = 2
"""Exit code where no container existed."""

_BY_CAUSE = {
    EndCause.EXPIRED: OperationStatus.SUCCESS,
    EndCause.STOPPED: OperationStatus.STOPPED,
    EndCause.HOST: OperationStatus.FAILED,
}


def initial_state(operation: PlannedOperation) -> OperationState:
    """An operation that has not begun."""
    return OperationState(index=operation.index, id=operation.id, group=operation.group, status=OperationStatus.INIT)


def status_of(exit_code: int, cause: EndCause | None) -> OperationStatus:
    """Status of an operation whose container ended; `cause` is why the agent stopped it, if it did."""
    if cause is not None and cause in _BY_CAUSE:
        return _BY_CAUSE[cause]
    return OperationStatus.SUCCESS if exit_code == 0 else OperationStatus.FAILED


def ended_before_start(state: OperationState, cause: EndCause, now_ms: int) -> OperationState:
    """Told to stop before it ran: exit code 0 if nothing was begun, 2 if it was (a pull, for instance)."""
    begun = state.started_ms is not None
    return replace(
        state,
        status=status_of(0, cause),
        started_ms=state.started_ms if begun else now_ms,
        ended_ms=now_ms,
        exit_code=NODE_SIDE_EXIT if begun else 0,
    )


def ended_by_error(state: OperationState, error: OperationError, now_ms: int) -> OperationState:
    """Failed on the node's side, without a container."""
    return replace(
        state,
        status=OperationStatus.FAILED,
        started_ms=state.started_ms if state.started_ms is not None else now_ms,
        ended_ms=now_ms,
        exit_code=NODE_SIDE_EXIT,
        errors=(*state.errors, error),
    )


def ended_with_container(
    state: OperationState, view: ContainerView, cause: EndCause | None, now_ms: int
) -> OperationState:
    """The container ended: its own exit code and state count, whatever ended it."""
    exit_code = view.exit_code if view.exit_code is not None else 0
    errors = state.errors
    if view.state.get("OOMKilled") and exit_code != 0:
        errors = (*errors, OperationError("container-runtime-error", "The container was killed: out of memory."))
    failed_here = cause is None and is_condemned(state)
    return replace(
        state,
        status=OperationStatus.FAILED if failed_here else status_of(exit_code, cause),
        ended_ms=ended_at(view, now_ms),
        exit_code=exit_code,
        # The engine does not know of restarts that are not its own.
        engine_state={**view.state, "RestartCount": int(view.state.get("RestartCount") or 0) + state.restarts},
        errors=errors,
    )


def is_condemned(state: OperationState) -> bool:
    """Whether what its container did to this host, or this host's engine to it, has failed the operation."""
    return any(error.event == "container-runtime-error" for error in state.errors[state.earlier_errors :])


def begun_anew(state: OperationState) -> OperationState:
    """An operation, running or ended, that its owner has begin anew: with another container; what it has logged and
    its errors stay."""
    return replace(
        state,
        status=OperationStatus.RUNNING,
        container_id=None,
        ended_ms=None,
        exit_code=None,
        began_ms=None,
        restarts=0,
        earlier_starts=state.starts,
        earlier_errors=len(state.errors),
        stopped=False,
        timed_out=False,
    )


def ended_at(view: ContainerView, now_ms: int) -> int:
    """When a container ended, in Unix milliseconds; `now_ms` where its engine does not say."""
    return _milliseconds(str(view.state.get("FinishedAt", "")), now_ms)


def operation_error(event: str, error: ContainerError) -> OperationError:
    """The result's error entry for an engine's refusal; `code` is its HTTP status where there was one."""
    code = error.status if isinstance(error, (EngineRejected, ImagePullFailed)) else None
    return OperationError(event, error.message, code)


def command_hash(view: ContainerView) -> str:
    """SHA-256 (hex) of `{"command":…,"entrypoint":…}` as run, canonical JSON; null where there is none."""
    body = {"command": view.command, "entrypoint": view.entrypoint}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _milliseconds(timestamp: str, otherwise: int) -> int:
    key = order_key(timestamp)
    if not key or timestamp.startswith("0001"):  # the engine's zero time: never finished
        return otherwise
    try:
        seconds = datetime.fromisoformat(key[:19]).replace(tzinfo=UTC).timestamp()
        return int(seconds) * 1000 + int(key[20:23])
    except ValueError:
        return otherwise
