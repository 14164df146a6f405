"""Brings one operation of a job to its end: its literals, its remote data, its services, and then its container."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from node.agent.edges import Operations
from node.agent.edges_services import OpenServices, Resources, Services
from node.agent.live import JobLive
from node.agent.moments import milliseconds
from node.agent.outputs import Outputs
from node.agent.step import Step
from node.agent.waiting import plain_errors
from node.api.owner.port import Progress
from node.container import ending
from node.container.engine import ContainerView
from node.container.stop import EitherSignal, StopSignal
from node.errors import ContentError, LiteralUnresolved, ServiceError
from node.journal.latency import Moment
from node.logins import Credentials
from node.plan_records import FolderMount
from node.records import (
    Address,
    OperationError,
    OperationState,
    OperationStatus,
    PlannedOperation,
)
from node.retry import Clock


async def _anywhere(_images: Sequence[str]) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a job's operations need of the other rooms."""

    operations: Operations
    services: Services
    resources: Resources
    log_path: Callable[[PlannedOperation], Path]
    """The file of an operation's log."""
    clock: Clock
    origins: Callable[[Sequence[str]], Awaitable[str]] = _anywhere
    """Looks at where images come from that were not known when the job was admitted; empty, or why they may not."""


class Worker:
    """Performs the operations of one job."""

    def __init__(
        self,
        job: Address,
        run: Address,
        tools: Tools,
        outputs: Outputs,
        stop: StopSignal,
        on_progress: Callable[[str], None],
        ended_before_stop: Callable[[int], bool],
        live: JobLive,
        labels: Sequence[tuple[str, str]],
    ) -> None:
        """`stop` ends the job; `ended_before_stop` says whether what ended then (unix ms) did so by itself;
        `labels` mark what is the job's and no single operation's."""
        self._job = job
        self._run = run
        self._tools = tools
        self._outputs = outputs
        self._stop = stop
        self._on_progress = on_progress
        self._ended_before_stop = ended_before_stop
        self._live = live
        self._labels = labels

    async def perform(self, step: Step) -> None:
        """Bring the operation to its end. Raises JournalError; cancelling leaves its container running."""
        if not step.has_begun and (cause := self._word(step).cause) is not None:
            await self._end(step, ending.ended_before_start(step.state, cause, self._now()))
            return
        if step.operation.volume:
            await self._make_volume(step)
            return
        try:
            operation, login = await self._outputs.complete(step)
        except LiteralUnresolved as error:
            await self._end_unresolved(step, error.message)
            return
        step.operation = operation
        if step.planned.pending and (trouble := await self._tools.origins((operation.spec.image,))):
            await self._end_by_error(step, trouble)
            return
        folders = await self._folders(step, operation, login)
        if folders is None:
            return
        if folders:
            operation = replace(operation, container=replace(operation.spec, folders=folders))
        try:
            async with self._tools.services.open(self._job, operation) as services:
                with self._live.serving(step, services):
                    await self._run_container(step, operation, login, services)
        except ServiceError as error:
            await self._end_by_error(step, error.message)

    # --- a container ----------------------------------------------------------------------------------------

    async def _run_container(
        self, step: Step, operation: PlannedOperation, login: Credentials, services: OpenServices
    ) -> None:
        started = asyncio.Event()
        # What an earlier life of the agent started began when the engine says, or nobody knows when.
        seen_before = bool(step.state.starts)

        async def on_started(view: ContainerView) -> None:
            if (at := milliseconds(view.started_at) or (None if seen_before else self._now())) is not None:
                self._live.note(Moment.STARTED, at)
            if operation.services:
                services.started(view.addresses[0] if view.addresses else "")
                started.set()
            else:
                await step.make_ready()
            step.show(Progress.RUNNING)

        with plain_errors():
            await self._attended(step, operation, login, services, started, on_started, seen_before)

    async def _attended(
        self,
        step: Step,
        operation: PlannedOperation,
        login: Credentials,
        services: OpenServices,
        started: asyncio.Event,
        on_started: Callable[[ContainerView], Awaitable[None]],
        seen_before: bool,
    ) -> None:
        async with asyncio.TaskGroup() as group:
            attending = group.create_task(self._attend(step, services, started, seen_before))
            await self._tools.operations.run_operation(
                operation,
                step.previous,
                on_change=lambda state: self._take(step, state),
                stop=self._stop,
                on_progress=lambda line: self._say(step, line),
                login=login.docker,
                controls=step.controls,
                on_started=on_started,
            )
            attending.cancel()

    async def _take(self, step: Step, state: OperationState) -> None:
        await step.take(self._judged(state))

    def _judged(self, state: OperationState) -> OperationState:
        """The state with the job's end as its cause, where that ended it."""
        cause = self._stop.cause
        if state.ended_ms is None or cause is None or state.stopped or state.timed_out:
            return state
        if state.starts and self._ended_before_stop(state.ended_ms):
            return state
        return replace(state, cause=cause)

    async def _attend(self, step: Step, services: OpenServices, started: asyncio.Event, seen_before: bool) -> None:
        """Be with the services: ready once, and then well; a container that is not is started anew."""
        await started.wait()
        await services.ready()
        if not seen_before:
            self._live.note(Moment.FIRST_HEALTH, self._now())
        await step.make_ready()
        step.tell()
        while True:
            reason = await services.unhealthy()
            self._say(step, f"started anew: {reason}")
            step.show(Progress.RESTARTING)
            services.stopped()
            started.clear()
            step.controls.restart()
            await started.wait()

    # --- what comes before it -------------------------------------------------------------------------------

    async def _folders(
        self, step: Step, operation: PlannedOperation, login: Credentials
    ) -> tuple[FolderMount, ...] | None:
        """The operation's remote data on this host; None where it has ended instead."""
        if not operation.resources:
            return ()
        if not step.has_begun:
            # From here on it runs, as far as anybody is told; and what an older run has left is not gone on with.
            with suppress(OSError):
                await asyncio.to_thread(self._tools.log_path(operation).unlink, missing_ok=True)
            await step.change(status=OperationStatus.RUNNING, started_ms=self._now())
        word = self._word(step)
        async with asyncio.TaskGroup() as group:
            preparing = group.create_task(self._prepare(step, operation, login))
            ending_early = group.create_task(word.wait())
            await asyncio.wait((preparing, ending_early), return_when=asyncio.FIRST_COMPLETED)
            preparing.cancel()
            ending_early.cancel()
        if preparing.cancelled():
            if step.state.starts:
                return ()  # its container may run: it is told to end there
            assert word.cause is not None
            await self._end(step, ending.ended_before_start(step.state, word.cause, self._now()))
            return None
        found = preparing.result()
        if isinstance(found, ContentError):
            await self._end_by_error(step, found.message)
            return None
        return found

    async def _prepare(
        self, step: Step, operation: PlannedOperation, login: Credentials
    ) -> tuple[FolderMount, ...] | ContentError:
        try:
            return await self._tools.resources.prepare(
                self._run,
                self._job,
                operation.index,
                operation.resources,
                login.resources,
                lambda line: self._say(step, line),
            )
        except ContentError as error:
            return error

    async def _end_by_error(self, step: Step, message: str) -> None:
        begun = replace(step.state, started_ms=step.state.started_ms or self._now())
        error = OperationError("operation-error", message)
        await self._end(step, ending.ended_by_error(begun, error, self._now()))

    async def _end_unresolved(self, step: Step, message: str) -> None:
        """A literal that stands for nothing: failed, exit code 0, one line of the node's (Nosana node)."""
        now = self._now()
        state = replace(
            step.state,
            status=OperationStatus.FAILED,
            started_ms=step.state.started_ms or now,
            ended_ms=now,
            exit_code=0,
            note=message,
        )
        await self._end(step, state)

    # --- a volume -------------------------------------------------------------------------------------------

    async def _make_volume(self, step: Step) -> None:
        await self._tools.operations.make_volume(
            step.operation,
            step.previous,
            self._labels,
            on_change=lambda state: self._take(step, state),
            stop=self._stop,
            on_progress=lambda line: self._say(step, line),
        )
        if step.state.status is OperationStatus.SUCCESS:
            await step.make_ready()

    # --- small things ---------------------------------------------------------------------------------------

    async def _end(self, step: Step, state: OperationState) -> None:
        if step.is_told_to_end:
            state = replace(state, stopped=True)
        # In one step: what its state says of itself is laid over the container's.
        await step.change(
            status=state.status,
            started_ms=state.started_ms,
            ended_ms=state.ended_ms,
            exit_code=state.exit_code,
            errors=state.errors,
            note=state.note,
            ready=state.ready,
            stopped=state.stopped,
            cause=self._judged(state).cause,
        )

    def _say(self, step: Step, line: str) -> None:
        several = len(self._live.steps) > 1 and line
        self._on_progress(f"{step.id}: {line}" if several else line)

    def _word(self, step: Step) -> EitherSignal:
        return EitherSignal(self._stop, step.controls.signal)

    def _now(self) -> int:
        return round(self._tools.clock.time() * 1000)
