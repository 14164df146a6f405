"""One operation on its way through a job: its state as journaled, its signals, and how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from node.api.owner.port import Progress
from node.container.controls import OperationControls
from node.records import OperationState, OperationStatus, PlannedOperation

OnStep = Callable[["Step"], None]
"""Told whenever something about a step has changed."""


class Step:
    """An operation of a running job. What is its own beside the container's states is laid over each of them."""

    def __init__(
        self,
        operation: PlannedOperation,
        state: OperationState | None,
        save: Callable[[OperationState], Awaitable[None]],
        on_step: OnStep = lambda _step: None,
        *,
        has_dependents: bool = False,
    ) -> None:
        """`state`: as journaled, None if it was never begun; `save` makes a state durable."""
        self.has_dependents = has_dependents
        """Whether anything waits until it is ready."""
        self.planned = operation
        """As planned."""
        self.operation = operation
        """With its literals filled in, once it has begun."""
        self.controls = OperationControls()
        """Ends this operation, and no other."""
        self.progress = _progress_of(state)
        self.is_barred = False
        """It can never start: what it depends on ended before it was ready."""
        self._state = state
        self._reason = state.stopping if state is not None else ""
        self._save = save
        self._on_step = on_step
        self._saving = asyncio.Lock()

    @property
    def id(self) -> str:
        """The operation's id."""
        return self.operation.id

    @property
    def state(self) -> OperationState:
        """As it stands; that of an operation which has not begun, if it has not."""
        return self._state or initial_state(self.operation)

    @property
    def previous(self) -> OperationState | None:
        """The state to go on from; None: it has not begun."""
        return self._state if self.has_begun else None

    @property
    def has_begun(self) -> bool:
        """Whether it may have a container."""
        return self._state is not None and self._state.started_ms is not None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._state is not None and self._state.ended_ms is not None

    @property
    def is_ready(self) -> bool:
        """Whether what depends on it may start."""
        return self._state is not None and self._state.ready

    @property
    def has_failed(self) -> bool:
        """Whether its end was a failure."""
        return self.is_over and self.state.status is OperationStatus.FAILED

    @property
    def is_told_to_end(self) -> bool:
        """Whether it was asked to end by itself, apart from its job."""
        return self.controls.signal.cause is not None

    async def take(self, state: OperationState) -> None:
        """Make a state of the container's durable."""
        async with self._saving:
            mine = self._state
            if mine is not None:
                state = replace(
                    state, ready=mine.ready, note=mine.note, services=mine.services, cause=state.cause or mine.cause
                )
            if state.stopped:
                state = replace(state, stopping=self._reason)
            if self._was_ready(state):
                # In the same step: whoever waits would otherwise see one that has ended and was never ready. So it
                # seems, too, where the container came up and ended while the agent was down.
                state = replace(state, ready=True)
            await self._keep(state)

    def _was_ready(self, state: OperationState) -> bool:
        """Whether it must have been ready, as it has ended: it made its volume, or its container ran and nothing was to
        be asked of it."""
        if not self.has_dependents or state.ended_ms is None:
            return False
        if self.operation.volume:
            return state.status is OperationStatus.SUCCESS
        asked = any(service.health_checks for service in self.operation.services)
        return not asked and has_run(state)

    async def change(self, **changes: object) -> None:
        """Make a change of the step's own durable."""
        async with self._saving:
            await self._keep(replace(self.state, **changes))  # type: ignore[arg-type]

    def end_alone(self, reason: str) -> None:
        """Have this operation stop, and no other; harmless when it is over or told already."""
        if self.is_over or self.is_told_to_end:
            return
        self._reason = reason
        self.show(Progress.STOPPING)
        self.controls.stop(reason)

    async def begin_again(self) -> None:
        """Have an operation that is over run anew: its log, its errors and its last container's state stay."""
        self.controls = OperationControls()
        self.operation = self.planned
        self._reason = ""
        state = self.state
        await self.change(
            status=OperationStatus.RUNNING,
            container_id=None,
            ended_ms=None,
            exit_code=None,
            earlier_starts=state.starts,
            earlier_errors=len(state.errors),
            restarts=0,
            began_ms=None,
            stopped=False,
            timed_out=False,
            stopping="",
            note="",
            cause=None,
        )

    async def make_ready(self) -> None:
        """Let start what depends on it."""
        if self.has_dependents and not self.is_ready:
            await self.change(ready=True)

    def show(self, progress: Progress) -> None:
        """Say how far it is."""
        if progress is not self.progress:
            self.progress = progress
            self._on_step(self)

    def tell(self) -> None:
        """Say that something else about it has changed."""
        self._on_step(self)

    async def _keep(self, state: OperationState) -> None:
        await self._save(state)
        self._state = state
        if state.ended_ms is not None:
            self.progress = _progress_of(state)
        self._on_step(self)


def initial_state(operation: PlannedOperation) -> OperationState:
    """An operation that has not begun."""
    return OperationState(index=operation.index, id=operation.id, group=operation.group, status=OperationStatus.INIT)


def has_run(state: OperationState) -> bool:
    """Whether its last container came up, as the engine tells of one that has ended."""
    return not str((state.engine_state or {}).get("StartedAt", "0001")).startswith("0001")


def _progress_of(state: OperationState | None) -> Progress:
    if state is None:
        return Progress.INIT
    if state.ended_ms is None:
        return Progress.RUNNING if state.starts else Progress.STARTING
    if state.stopped or state.cause is not None or state.status is OperationStatus.STOPPED:
        return Progress.STOPPED
    # An exit code other than 0 is an end like any other; failed is what ended on the node's side.
    return (
        Progress.FAILED if state.engine_state is None and state.status is OperationStatus.FAILED else Progress.FINISHED
    )
