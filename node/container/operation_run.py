"""One call of run_operation: the reconcile loop, a turn at a time."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

from node.container import ending
from node.container.attendance import Attendance
from node.container.course import Course, OnProgress, OnStarted
from node.container.disk_guard import Guard
from node.container.egress.networks import JobNetworks
from node.container.engine import ContainerView, Engine
from node.container.follower import collect
from node.container.images import Images
from node.container.log import LogKeeper
from node.container.restarts import Restarts
from node.container.startup import MAX_REFUSALS, Origin, Startup
from node.errors import ContainerError, EngineRejected, EngineUnavailable
from node.logins import DockerLogin
from node.records import EndCause, OperationError, OperationState
from node.retry import Clock, Retry

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


@dataclass(frozen=True, slots=True)
class Tools:
    """What the runner lends to each call."""

    engine: Engine
    clock: Clock
    images: Images
    networks: JobNetworks
    guard: Guard
    origins: Origin
    stop_grace: float
    """Seconds between SIGTERM and SIGKILL."""


class OperationRun:
    """One operation on its way to its end."""

    def __init__(
        self,
        course: Course,
        tools: Tools,
        login: DockerLogin | None,
        on_started: OnStarted | None,
        on_progress: OnProgress,
    ) -> None:
        self._course = course
        self._tools = tools
        self._engine = tools.engine
        self._login = login
        self._on_started = on_started
        self._on_progress = on_progress
        self._startup = Startup(course, tools.engine, tools.images, tools.networks, tools.origins, login, on_progress)
        self._restarts = Restarts(course)
        self._failures = 0
        self._refusals = 0
        self._was_away = False

    async def complete(self) -> OperationState:
        """Turn after turn until the operation has ended; its final state."""
        course = self._course
        try:
            while not course.has_ended:
                try:
                    await self._turn()
                except EngineUnavailable as error:
                    if course.stop.cause is not None and course.state.starts == 0:
                        # Nothing of this operation can be running: no need to wait for the engine to say so.
                        await course.end_unbegun(course.stop.cause)
                    else:
                        self._was_away = True
                        await self._wait_for_engine(error)
                except EngineRejected as error:
                    await self._refused(error)
                except OSError as error:
                    await course.give_up(f"This host cannot keep the log: {error.strerror or error}.")
        finally:
            course.close()
        await self._clean()
        return course.state

    # --- a turn ---------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        container = await self._adopt() or await self._startup.make()
        if container is None:
            return
        keeper = await self._opened_log(container)  # before the start: what could not be kept is not run
        if container.status == "created":
            self._course.controls.restarted()  # it begins now
            if await self._startup.start(container):
                await self._attend(container.id, keeper)
        elif container.running:
            await self._attend(container.id, keeper)
        elif self._restarts.wanted(container):
            await self._start_again(container, keeper)
        else:
            await self._conclude_unseen(container, keeper)

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
        if self._course.state.container_id is None:
            return not self._course.is_fresh and view.status == "created"
        return view.id == self._course.state.container_id

    async def _opened_log(self, container: ContainerView) -> LogKeeper:
        course, state = self._course, self._course.state
        keeper = await course.open_log()
        is_first = course.unwanted_starts <= (0 if container.status == "created" else 1)
        keeper.is_of_one_container = is_first and not state.earlier_starts
        if is_first and state.earlier_starts:
            await asyncio.to_thread(keeper.turn_to, container.created_at)
        return keeper

    # --- a container that has started -----------------------------------------------------------------------

    async def _attend(self, container: str, keeper: LogKeeper) -> None:
        course = self._course
        await self._tell_started(container)
        attendance = Attendance(
            self._engine, self._tools.clock, course.stop, (self._when_told, self._when_broken, self._when_restarted)
        )
        began = self._tools.clock.monotonic()
        cause = await attendance.until_exit(container, keeper)
        self._restarts.ran(self._tools.clock.monotonic() - began)
        if cause is None and course.controls.restarts:
            await self._collect(container, keeper)
            await course.begin_anew()
            return
        if cause is None:
            await self._see_whether_engine_ended_it(container)
        view = await self._engine.inspect(container)
        if view is not None and self._restarts.wanted(view):
            return
        await self._conclude(container, keeper, cause)

    async def _tell_started(self, container: str) -> None:
        view = await self._engine.inspect(container) if self._on_started is not None else None
        if view is not None and self._on_started is not None:
            await self._on_started(view)

    async def _start_again(self, container: ContainerView, keeper: LogKeeper) -> None:
        course = self._course
        self._on_progress(f"operation {course.operation.id} ended and starts again")
        await self._restarts.pause()
        if course.stop.cause is not None:
            await self._conclude(container.id, keeper, course.stop.cause)
        elif course.controls.restarts:
            await self._collect(container.id, keeper)
            await course.begin_anew()
        elif await self._startup.start_again(container):
            await self._attend(container.id, keeper)

    async def _conclude_unseen(self, container: ContainerView, keeper: LogKeeper) -> None:
        """It ended while nobody watched: had an earlier life of the agent stopped it, it would say so now."""
        course = self._course
        cause: EndCause | None = None
        if container.exit_code != 0 or self._restarts.is_endless:
            cause = course.stop.cause
            if cause is None and course.was_timed_out(container):
                course.controls.expire()
                cause = course.stop.cause
            if cause is None and self._was_away and ENDED_UNSEEN not in course.state.errors:
                course.state = replace(course.state, errors=(*course.state.errors, ENDED_UNSEEN))
        await self._conclude(container.id, keeper, cause)

    async def _when_told(self, _container: str) -> float:
        course = self._course
        cause = await course.told()
        if course.controls.signal.cause is EndCause.STOPPED and cause is EndCause.STOPPED:
            await course.amend(lambda state: replace(state, stopped=True), "stopped by itself")
        self._on_progress(f"stopping ({cause.value})")
        return self._tools.stop_grace

    async def _when_broken(self, container: str) -> float:
        course = self._course
        entry = await self._tools.guard(container, course.spec)
        if entry not in course.state.errors:
            await course.amend(lambda state: replace(state, errors=(*state.errors, entry)), entry.message)
        return 0.0  # no time to tidy up: each second of it could be gigabytes

    async def _when_restarted(self, _container: str) -> float:
        course = self._course
        await course.controls.restart_asked.wait()
        self._on_progress(f"restarting operation {course.operation.id}")
        if course.stop.cause is None:
            await course.begin_anew()
        return self._tools.stop_grace

    async def _see_whether_engine_ended_it(self, container: str) -> None:
        """An engine that shuts down ends its containers before it stops answering: give it the time to be gone."""
        view = await self._engine.inspect(container)
        if view is not None and view.exit_code in _BY_SIGNAL and not view.state.get("OOMKilled"):
            await self._tools.clock.sleep(SHUTDOWN_SECONDS)

    async def _collect(self, container: str, keeper: LogKeeper) -> tuple[OperationError, ...]:
        """Keep what the engine still has of the log; why it cannot be had, if so."""
        try:
            await collect(self._engine, container, keeper)
        except EngineRejected as error:
            return (ending.operation_error("operation-error", error),)
        return ()

    async def _conclude(self, container: str, keeper: LogKeeper, cause: EndCause | None) -> None:
        course = self._course
        trouble = await self._collect(container, keeper)
        view = await self._engine.inspect(container)
        if view is None or view.running:
            return
        state = replace(course.state, errors=(*course.state.errors, *trouble), container_id=container)
        ended = ending.ended_with_container(state, view, cause, course.now())
        ended = replace(ended, timed_out=cause is EndCause.EXPIRED and course.controls.timed_out)
        ended = await course.digested(keeper, ended)
        await course.record(replace(ended, network=await self._tools.networks.use(course.spec)))

    # --- small things ---------------------------------------------------------------------------------------

    async def _ours(self) -> list[ContainerView]:
        # Compared once more here, so that a mistaken filter of an engine can cost nobody a container. The name as well:
        # what the host makes of an image committed from this container has its labels.
        course = self._course
        found = await self._engine.find(course.labels)
        return [
            view for view in found if course.labels.items() <= view.labels.items() and view.name == course.spec.name
        ]

    async def _refused(self, error: EngineRejected) -> None:
        # What a job asks for must never stop more than the job, so no refusal leaves this loop.
        self._refusals += 1
        if error.status >= 500 and self._refusals < MAX_REFUSALS:
            await self._wait_for_engine(error)
            return
        await self._course.end_by_error(ending.operation_error("container-runtime-error", error))

    async def _wait_for_engine(self, error: ContainerError) -> None:
        if self._failures == 0:
            log.warning("%s (%s)", error, error.hint)
        self._on_progress(f"waiting for the container engine: {error}")
        pause = ENGINE_RETRY.wait(min(self._failures, 8))
        self._failures += 1
        await self._tools.clock.sleep(pause)

    async def _clean(self) -> None:
        course = self._course

        async def once() -> None:
            for view in await self._ours():
                await self._engine.remove(view.id)
            if self._login is not None or course.operation.has_login:
                await self._tools.images.release(course.spec.image)

        try:
            await CLEAN_RETRY.call(once, on=(ContainerError,), clock=self._tools.clock)
        except ContainerError as error:
            log.warning("operation %s is not cleaned up yet, the sweeper will: %s", course.operation.id, error)
