"""One operation on its way: its state and who is told of it, the words it is to follow, and its log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from node.container import ending
from node.container.controls import OperationControls
from node.container.engine import JOB_LABEL, NODE_LABEL, OPERATION_LABEL, ContainerView
from node.container.log import LogEntry, LogKeeper
from node.container.log_budget import LogBudget
from node.container.stop import EitherSignal, StopSignal
from node.errors import ContainerError, GpunodeError
from node.records import EndCause, OperationError, OperationState, PlannedOperation
from node.retry import Clock

OnChange = Callable[[OperationState], Awaitable[None]]
"""Makes a state durable; awaited before the change it announces is made."""
OnProgress = Callable[[str], None]
"""Takes one line for people: a pull, an engine that does not answer."""
OnStarted = Callable[[ContainerView], Awaitable[None]]
"""Told of a container that has started, or was found running; soon done, because nothing goes on before it is."""
OnLog = Callable[[Sequence[LogEntry]], None]
"""Takes log entries as they are kept, in the event loop; must not block."""

MAX_STARTS = 3
"""Starts of one operation, crashes of agent and engine included, before it is given up as failed; those that its rule
or its owner wanted do not count."""
OWN_LABELS = (NODE_LABEL, JOB_LABEL, OPERATION_LABEL)

log = logging.getLogger(__name__)


class Course:
    """What one call of run_operation knows and has."""

    def __init__(
        self,
        operation: PlannedOperation,
        previous: OperationState | None,
        on_change: OnChange,
        job_stop: StopSignal,
        controls: OperationControls,
        log_file: tuple[Path, str, LogBudget],
        clock: Clock,
        on_log: OnLog | None,
    ) -> None:
        """`log_file`: the data folder, the log's path below it, and what may be kept in it.

        Raises ContainerError for a plan without our labels.
        """
        self.operation = operation
        self.spec = operation.spec
        self.is_fresh = previous is None
        self.state = previous or ending.initial_state(operation)
        self.controls = controls
        self.stop = EitherSignal(job_stop, controls.signal)
        if self.state.stopped:
            controls.stop()  # asked for in an earlier life
        self._on_change = on_change
        self._amending = asyncio.Lock()
        self._clock = clock
        self._data, self._log_name, self._log_budget = log_file
        self._on_log = on_log
        self._keeper: LogKeeper | None = None
        self.labels = {key: value for key, value in self.spec.labels if key in OWN_LABELS and value}
        if len(self.labels) < len(OWN_LABELS):
            # What these labels find is adopted and removed: with fewer of them that could be anybody's.
            raise ContainerError(
                f"operation {operation.id} cannot be run without the labels {', '.join(OWN_LABELS)}",
                hint="this is a bug in the plan; please report it",
            )

    # --- the state ------------------------------------------------------------------------------------------

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing left to do."""
        return self.state.ended_ms is not None

    @property
    def unwanted_starts(self) -> int:
        """Starts that became necessary because something went wrong."""
        return self.state.starts - self.state.earlier_starts - self.state.restarts

    async def record(self, state: OperationState) -> None:
        """Make a state durable, then take it."""
        await self._on_change(state)
        self.state = state

    async def amend(self, change: Callable[[OperationState], OperationState], why: str) -> None:
        """Note something of a container that is about to be ended for it. It is ended all the same where that cannot be
        made durable: the disk that the journal needs may be the one that is being filled."""
        async with self._amending:
            state = change(self.state)
            try:
                await self._on_change(state)
            except GpunodeError as error:
                log.warning("why operation %s is ended (%s) is not written down yet: %s", self.operation.id, why, error)
            self.state = state

    async def end_unbegun(self, cause: EndCause) -> None:
        """End without a container, because of the word to stop."""
        await self.record(await self._with_log(ending.ended_before_start(self.state, cause, self.now())))

    async def end_by_error(self, error: OperationError) -> None:
        """End by an error of this host's, without a container."""
        await self.record(await self._with_log(ending.ended_by_error(self.state, error, self.now())))

    async def give_up(self, message: str) -> None:
        """End by an error of this host's that is none of the engine's."""
        await self.end_by_error(OperationError("operation-error", message))

    def now(self) -> int:
        """Unix milliseconds."""
        return round(self._clock.time() * 1000)

    # --- the words to end, or to begin anew -----------------------------------------------------------------

    async def told(self) -> EndCause:
        """Wait for the word to end; its own timeout gives it too."""
        left = self.seconds_left()
        if left is None or self.stop.cause is not None:
            return await self.stop.wait()
        async with asyncio.TaskGroup() as group:
            word = group.create_task(self.stop.wait())
            timer = group.create_task(self._clock.sleep(max(left, 0.0)))
            await asyncio.wait((word, timer), return_when=asyncio.FIRST_COMPLETED)
            if self.stop.cause is None:
                self.controls.expire()
            timer.cancel()
        return word.result()

    async def rest(self, seconds: float) -> None:
        """Wait so long, or until it is told to end or to begin anew."""
        async with asyncio.TaskGroup() as group:
            asked = self.controls.restart_asked
            waits = [
                group.create_task(self._clock.sleep(seconds)),
                group.create_task(_quietly(self.told())),
                group.create_task(_quietly(asked.wait())),
            ]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def begin_anew(self) -> None:
        """Note that another container is wanted; the one there is not the operation's any more."""
        if self.state.container_id is not None:
            await self.amend(ending.begun_anew, "to begin anew")

    def seconds_left(self) -> float | None:
        """Until its own timeout; None: it has none, or has not begun."""
        if self.operation.timeout is None or self.state.began_ms is None:
            return None
        return (self.state.began_ms - self.now()) / 1000 + self.operation.timeout

    def was_timed_out(self, view: ContainerView) -> bool:
        """Whether a container that ended unwatched ended after its time was over."""
        left = self.seconds_left()
        if left is None or self.state.began_ms is None or self.operation.timeout is None:
            return False
        ended = ending.ended_at(view, self.now())
        return ended - self.state.began_ms >= self.operation.timeout * 1000

    # --- the log --------------------------------------------------------------------------------------------

    @property
    def log_path(self) -> Path:
        """The log's file."""
        return self._data / self._log_name

    async def open_log(self) -> LogKeeper:
        """The log, to be written on. Raises OSError."""
        if self._keeper is None:
            keeper = await asyncio.to_thread(LogKeeper, self.log_path, self._log_budget)
            keeper.on_entries = self._on_log
            self._keeper = keeper
        return self._keeper

    async def drop_log(self) -> None:
        """Remove what an older run has left. Raises OSError."""
        await asyncio.to_thread(self.log_path.unlink, missing_ok=True)
        self._log_budget.spend(self.log_path, 0)

    async def digested(self, keeper: LogKeeper, state: OperationState) -> OperationState:
        """The state with the digest of what was kept, and an error if not all could be."""
        digest = await asyncio.to_thread(keeper.digest, self._log_name)
        if keeper.failure:
            entry = OperationError("operation-error", f"The log was cut: this host cannot keep it ({keeper.failure}).")
            state = replace(state, errors=(*state.errors, entry))
        return replace(state, log=digest)

    def close(self) -> None:
        """Let go of the log."""
        if self._keeper is not None:
            self._keeper.close()

    async def _with_log(self, state: OperationState) -> OperationState:
        """The state with the digest of what was kept, if anything was."""
        try:
            if self.is_fresh or not self.log_path.exists():
                return state
            keeper = await self.open_log()
            digest = await asyncio.to_thread(keeper.digest, self._log_name)
        except OSError as error:
            log.warning("the log of operation %s cannot be read: %s", self.operation.id, error)
            return state
        return replace(state, log=digest)


async def _quietly(waiting: Awaitable[object]) -> None:
    await waiting
