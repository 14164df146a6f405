"""One operation as a reconcile loop: what the plan and the journaled state want, against what the engine has.

A turn looks for the operation's container by label, makes one if there is none, attends it to its end and records
how it ended. An engine that does not answer is "unknown": the turn is taken again until it does, and the first turn
after a restart of the agent is the adoption of whatever still runs. Cancelling leaves the container running.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from node.container import ending
from node.container.attendance import Attendance
from node.container.disk_guard import DiskGuard, DiskTerms, Guard
from node.container.egress.networks import JobNetworks
from node.container.engine import (
    JOB_LABEL,
    NODE_LABEL,
    OPERATION_LABEL,
    ContainerView,
    Engine,
    ImageInfo,
)
from node.container.follower import collect
from node.container.images import PULL_RETRY, Images, PlainImages
from node.container.log import LogKeeper
from node.container.nodes import refuse_nodes
from node.container.provision import provide
from node.container.stop import StopSignal
from node.errors import ContainerError, EngineRejected, EngineUnavailable, GpunodeError
from node.records import EndCause, OperationError, OperationState, OperationStatus, PlannedOperation
from node.retry import Clock, Retry, SystemClock

OnChange = Callable[[OperationState], Awaitable[None]]
"""Makes a state durable; awaited before the change it announces is made."""
OnProgress = Callable[[str], None]
"""Takes one line for people: a pull, an engine that does not answer."""

MAX_STARTS = 3
"""Starts of one operation, crashes of agent and engine included, before it is given up as failed."""
MAX_REFUSALS = 5
"""Refusals of one operation's requests, by an engine in trouble, before it is given up as failed."""

SHUTDOWN_SECONDS = 2.0
"""How long after a container that was killed its engine is looked at again: the engine may be going itself."""
ENDED_UNSEEN = OperationError(
    "container-runtime-error",
    "The container engine was away while the operation ran; when it was back, the container had ended.",
)
"""A container that ended with its engine is not started again: what it had done is not known here."""
_BY_SIGNAL = (128 + 9, 128 + 15)

CLEAN_RETRY = Retry(attempts=5, total=10.0, first=0.3)  # the result waits for it, and the sweeper follows
ENGINE_RETRY = Retry(attempts=1, total=0.0, first=0.5, longest=15.0)  # only its growing waits: there is no last try

log = logging.getLogger(__name__)


class OperationRunner:
    """Runs operations on one engine; logs go to `data/logs/`."""

    def __init__(
        self,
        engine: Engine,
        data: Path,
        *,
        stop_grace: float = 10.0,
        pull_retry: Retry = PULL_RETRY,
        clock: Clock | None = None,
        images: Images | None = None,
        networks: JobNetworks | None = None,
        disk: DiskTerms | None = None,
    ) -> None:
        """`stop_grace`: seconds between SIGTERM and SIGKILL; `images`: by default the engine's, pulled with
        `pull_retry`; `disk`: what holds beside each container's own limits."""
        self.engine = engine
        self.data = data
        self.stop_grace = stop_grace
        self.clock = clock or SystemClock()
        self.networks = networks or JobNetworks(engine)
        self.images = images or PlainImages(engine, pull_retry, self.clock)
        self.guard: Guard = DiskGuard(engine, self.clock, disk or DiskTerms())

    async def run_operation(
        self,
        operation: PlannedOperation,
        previous: OperationState | None,
        *,
        on_change: OnChange,
        stop: StopSignal,
        on_progress: OnProgress = lambda _line: None,
    ) -> OperationState:
        """Bring one operation to its end and return its final state, which `on_change` has made durable.

        `previous` is the journaled state of this run (None: never begun): with it, a container that an earlier
        life of the agent left behind is adopted; without it, such a container is of an older run and removed.
        Whatever the container does ends up in the state; what is raised comes from `on_change` and the book of images
        alone (and ContainerError for a plan without our labels).
        """
        return await _Run(self, operation, previous, on_change, stop, on_progress).complete()

    def log_name(self, operation: PlannedOperation) -> str:
        """The operation's log file, relative to the data folder."""
        return f"logs/{re.sub(r'[^A-Za-z0-9_.-]', '_', operation.spec.name)[:200]}.jsonl"


class _Run:
    """One call of run_operation."""

    def __init__(
        self,
        runner: OperationRunner,
        operation: PlannedOperation,
        previous: OperationState | None,
        on_change: OnChange,
        stop: StopSignal,
        on_progress: OnProgress,
    ) -> None:
        self._runner = runner
        self._engine = runner.engine
        self._clock = runner.clock
        self._operation = operation
        self._spec = operation.spec
        self._fresh = previous is None
        self._state = previous or ending.initial_state(operation)
        self._on_change = on_change
        self._stop = stop
        self._on_progress = on_progress
        self._keeper: LogKeeper | None = None
        self._failures = 0
        self._refusals = 0
        self._was_away = False
        wanted = (NODE_LABEL, JOB_LABEL, OPERATION_LABEL)
        self._labels = {key: value for key, value in self._spec.labels if key in wanted and value}
        if len(self._labels) < len(wanted):
            # What these labels find is adopted and removed: with fewer of them that could be anybody's.
            raise ContainerError(
                f"operation {operation.id} cannot be run without the labels {', '.join(wanted)}",
                hint="this is a bug in the plan; please report it",
            )

    async def complete(self) -> OperationState:
        try:
            while self._state.ended_ms is None:
                try:
                    await self._turn()
                except EngineUnavailable as error:
                    if self._stop.cause is not None and self._state.starts == 0:
                        # Nothing of this operation can be running: no need to wait for the engine to say so.
                        await self._record(ending.ended_before_start(self._state, self._stop.cause, self._now()))
                    else:
                        self._was_away = True
                        await self._wait_for_engine(error)
                except EngineRejected as error:
                    await self._refused(error)
                except OSError as error:
                    await self._give_up(f"This host cannot keep the log: {error.strerror or error}.")
        finally:
            if self._keeper is not None:
                self._keeper.close()
        await self._clean()
        return self._state

    # --- a turn ---------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        container = await self._adopt() or await self._make()
        if container is None:
            return
        await self._open_log()  # before the start: what could not be kept is not run
        if container.status == "created" and not await self._start(container):
            return
        await self._attend(container)

    async def _adopt(self) -> ContainerView | None:
        found = await self._ours()
        self._failures = 0
        mine = [view for view in found if self._is_mine(view)]
        for view in found:
            if view not in mine[:1]:
                log.info("removing container %s of an earlier run", view.name)
                await self._engine.remove(view.id)
        return mine[0] if mine else None

    def _is_mine(self, view: ContainerView) -> bool:
        # A container's id is durable before its start, so one that has run under another id is not of this run.
        if self._state.container_id is None:
            return not self._fresh and view.status == "created"
        return view.id == self._state.container_id

    async def _make(self) -> ContainerView | None:
        if self._stop.cause is not None:
            await self._record(ending.ended_before_start(self._state, self._stop.cause, self._now()))
            return None
        if self._state.starts >= MAX_STARTS:
            await self._give_up(f"The container was lost {self._state.starts} times.")
            return None
        if self._fresh:
            await asyncio.to_thread(self._log_path().unlink, missing_ok=True)
        await self._record(
            replace(
                self._state,
                status=OperationStatus.RUNNING,
                started_ms=self._state.started_ms if self._state.started_ms is not None else self._now(),
                container_id=None,
            )
        )
        self._fresh = False
        image = await self._image()
        if image is None:
            return None
        container = await self._create()
        if container is not None:
            digest = image.digest_for(self._spec.image)
            self._state = replace(self._state, image_digest=digest, command_hash=ending.command_hash(container))
        return container

    async def _image(self) -> ImageInfo | None:
        outcome = await provide(self._runner.images, self._spec.image, self._stop, self._on_progress)
        if isinstance(outcome, ContainerError):
            error = ending.operation_error("image-pull-error", outcome)
            await self._record(ending.ended_by_error(self._state, error, self._now()))
            return None
        if outcome is None and self._stop.cause is not None:
            await self._record(ending.ended_before_start(self._state, self._stop.cause, self._now()))
        return outcome

    async def _create(self) -> ContainerView | None:
        labels = {key: value for key, value in self._spec.labels if key != OPERATION_LABEL}
        event = "resource-error"
        try:
            await self._runner.networks.make(self._spec, labels)
            event = "container-runtime-error"
            container = await self._engine.create(self._spec)
        except EngineRejected as error:
            if self._refusals < MAX_REFUSALS and await self._engine.image(self._spec.image) is None:
                # Taken away since it was looked for, by whoever tidies up on this host: it is pulled again.
                self._refusals += 1
                return None
            entry = ending.operation_error(event, error)
            await self._record(ending.ended_by_error(self._state, entry, self._now()))
            return None
        return await self._engine.inspect(container)

    async def _start(self, container: ContainerView) -> bool:
        if self._stop.cause is not None:
            await self._record(ending.ended_with_container(self._state, container, self._stop.cause, self._now()))
            return False
        if self._state.starts >= MAX_STARTS:
            await self._give_up(f"The container was started {self._state.starts} times and did not come up.")
            return False
        await self._runner.networks.clear_to_start()
        await self._record(replace(self._state, container_id=container.id, starts=self._state.starts + 1))
        try:
            await refuse_nodes(container, self._spec.runtime)
            await self._engine.start(container.id)
        except EngineRejected as error:
            if error.status != 404 or await self._engine.inspect(container.id) is not None:
                await self._end_unstarted(container, error)
            return False
        return True

    async def _end_unstarted(self, container: ContainerView, error: EngineRejected) -> None:
        entry = ending.operation_error("container-runtime-error", error)
        state = replace(self._state, errors=(*self._state.errors, entry))
        view = await self._engine.inspect(container.id) or container
        # The engine leaves a container that it could not start "created", with the exit code in its state.
        view = replace(view, exit_code=int(view.state.get("ExitCode", 0)) or ending.NODE_SIDE_EXIT)
        await self._record(ending.ended_with_container(state, view, None, self._now()))

    # --- a container that has started -----------------------------------------------------------------------

    async def _attend(self, container: ContainerView) -> None:
        keeper = await self._open_log()
        keeper.is_of_one_container = self._state.starts <= 1
        cause: EndCause | None = None
        if container.running or container.status == "created":
            cause = await Attendance(
                self._engine, self._clock, self._stop, self._runner.stop_grace, self._on_progress, self._broken
            ).until_exit(container.id, keeper)
            if cause is None:
                await self._see_whether_engine_ended_it(container.id)
        elif container.exit_code != 0:
            # Ended while nobody watched: had an earlier life of the agent stopped it, it would say so now.
            cause = self._stop.cause
            if cause is None and self._was_away and ENDED_UNSEEN not in self._state.errors:
                self._state = replace(self._state, errors=(*self._state.errors, ENDED_UNSEEN))
        await self._conclude(container.id, keeper, cause)

    async def _broken(self, container: str) -> None:
        """Return once the container must be stopped for what it does to this host, and the reason is written down."""
        entry = await self._runner.guard(container, self._spec.limits)
        if entry in self._state.errors:
            return
        state = replace(self._state, errors=(*self._state.errors, entry))
        try:
            await self._on_change(state)
        except GpunodeError as error:
            # Stopped all the same: the disk that the journal needs may be the one that is being filled.
            log.warning("why operation %s is stopped cannot be written down yet: %s", self._operation.id, error)
        self._state = state

    async def _see_whether_engine_ended_it(self, container: str) -> None:
        """An engine that shuts down ends its containers before it stops answering: give it the time to be gone."""
        view = await self._engine.inspect(container)
        if view is not None and view.exit_code in _BY_SIGNAL and not view.state.get("OOMKilled"):
            await self._clock.sleep(SHUTDOWN_SECONDS)

    async def _conclude(self, container: str, keeper: LogKeeper, cause: EndCause | None) -> None:
        state = self._state
        try:
            await collect(self._engine, container, keeper)
        except EngineRejected as error:
            state = replace(state, errors=(*state.errors, ending.operation_error("operation-error", error)))
        view = await self._engine.inspect(container)
        if view is None or view.running:
            return
        digest = await asyncio.to_thread(keeper.digest, self._runner.log_name(self._operation))
        if keeper.failure:
            entry = OperationError("operation-error", f"The log was cut: this host cannot keep it ({keeper.failure}).")
            state = replace(state, errors=(*state.errors, entry))
        use = await self._runner.networks.use(self._spec)
        ended = ending.ended_with_container(state, view, cause, self._now())
        await self._record(replace(ended, log=digest, network=use))

    # --- small things ---------------------------------------------------------------------------------------

    async def _ours(self) -> list[ContainerView]:
        # Compared once more here, so that a mistaken filter of an engine can cost nobody a container. The name as well:
        # what the host makes of an image committed from this container has its labels.
        found = await self._engine.find(self._labels)
        return [view for view in found if self._labels.items() <= view.labels.items() and view.name == self._spec.name]

    async def _record(self, state: OperationState) -> None:
        await self._on_change(state)
        self._state = state

    async def _refused(self, error: EngineRejected) -> None:
        # What a job asks for must never stop more than the job, so no refusal leaves this loop.
        self._refusals += 1
        if error.status >= 500 and self._refusals < MAX_REFUSALS:
            await self._wait_for_engine(error)
            return
        entry = ending.operation_error("container-runtime-error", error)
        await self._record(await self._with_log(ending.ended_by_error(self._state, entry, self._now())))

    async def _give_up(self, message: str) -> None:
        error = OperationError("operation-error", message)
        await self._record(await self._with_log(ending.ended_by_error(self._state, error, self._now())))

    async def _with_log(self, state: OperationState) -> OperationState:
        """The state with the digest of what was kept, if anything was."""
        try:
            if not self._log_path().exists():
                return state
            keeper = await self._open_log()
            digest = await asyncio.to_thread(keeper.digest, self._runner.log_name(self._operation))
        except OSError as error:
            log.warning("the log of operation %s cannot be read: %s", self._operation.id, error)
            return state
        return replace(state, log=digest)

    async def _open_log(self) -> LogKeeper:
        if self._keeper is None:
            limit = self._spec.limits.log_bytes
            self._keeper = await asyncio.to_thread(LogKeeper, self._log_path(), limit)
        return self._keeper

    async def _wait_for_engine(self, error: ContainerError) -> None:
        if self._failures == 0:
            log.warning("%s (%s)", error, error.hint)
        self._on_progress(f"waiting for the container engine: {error}")
        pause = ENGINE_RETRY.wait(min(self._failures, 8))
        self._failures += 1
        await self._clock.sleep(pause)

    async def _clean(self) -> None:
        async def once() -> None:
            for view in await self._ours():
                await self._engine.remove(view.id)
            await self._engine.remove_network(self._spec.network)

        try:
            await CLEAN_RETRY.call(once, on=(ContainerError,), clock=self._clock)
        except ContainerError as error:
            log.warning("operation %s is not cleaned up yet, the sweeper will: %s", self._operation.id, error)

    def _log_path(self) -> Path:
        return self._runner.data / self._runner.log_name(self._operation)

    def _now(self) -> int:
        return round(self._clock.time() * 1000)
