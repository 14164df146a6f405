"""Being with a running container to its end: its log followed, its exit awaited, the word to stop passed on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from node.container.engine import Engine
from node.container.follower import follow
from node.container.log import LogKeeper
from node.container.stop import StopSignal
from node.errors import ContainerError, EngineRejected, EngineUnavailable
from node.records import EndCause
from node.retry import Clock, sleep_or

LOOK_SECONDS = 30.0
"""How often a container that is waited for is also looked at."""
DRAIN_SECONDS = 20.0
"""How long the log's end may take after the container's; then it is read once more from the engine's copy."""

log = logging.getLogger(__name__)


class Attendance:
    """Attends one operation's containers."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        stop: StopSignal,
        grace: float,
        on_progress: Callable[[str], None],
        broken: Callable[[str], Awaitable[None]],
    ) -> None:
        """`grace`: seconds between SIGTERM and SIGKILL; `on_progress` takes one line for people; `broken` returns once
        a container must be stopped for what it does to this host, and has then written down why. It raises nothing."""
        self._engine = engine
        self._clock = clock
        self._stop = stop
        self._grace = grace
        self._on_progress = on_progress
        self._broken = broken

    async def until_exit(self, container: str, keeper: LogKeeper) -> EndCause | None:
        """Wait until the container has ended, or is gone; the cause for which it was told to stop, if it was.

        Raises EngineUnavailable when the engine does not answer any more.
        """
        exited = asyncio.Event()
        cause: EndCause | None = None
        failure: ContainerError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                follower = group.create_task(self._follow(container, keeper, exited))
                stoppers = [
                    group.create_task(stopping(container))
                    for stopping in (self._stop_when_told, self._stop_when_broken)
                ]
                await self._exit(container)
                cause = self._stop.cause
                exited.set()
                for stopper in stoppers:
                    stopper.cancel()
                await asyncio.wait((follower,), timeout=DRAIN_SECONDS)
                follower.cancel()
        except* ContainerError as errors:
            failure = _first(errors)
        if isinstance(failure, EngineRejected) and failure.status == 404:
            return cause  # gone; concluding finds that out too and another turn is taken
        if failure is not None:
            raise EngineUnavailable(failure.message, hint=failure.hint)
        return cause

    async def _exit(self, container: str) -> None:
        # Engines have been seen to miss an exit, or to hang; so the wait is not taken at its word for ever.
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(self._engine.wait(container))
            while not (await asyncio.wait((waiting,), timeout=LOOK_SECONDS))[0]:
                view = await self._engine.inspect(container)
                if view is None or not view.running:
                    waiting.cancel()
                    return

    async def _follow(self, container: str, keeper: LogKeeper, exited: asyncio.Event) -> None:
        while True:
            try:
                await follow(self._engine, container, keeper)
            except EngineRejected as error:
                # A log that cannot be read must not end the job; what there is gets collected at the end.
                log.warning("the log of container %s cannot be followed: %s", container[:12], error)
                return
            # A log that ends mostly means that the container did; only if not, it is followed anew.
            if exited.is_set() or keeper.truncated or await sleep_or(self._clock, 1.0, exited):
                return

    async def _stop_when_told(self, container: str) -> None:
        cause = await self._stop.wait()
        self._on_progress(f"stopping ({cause.value})")
        await self._end(container, self._grace)

    async def _stop_when_broken(self, container: str) -> None:
        await self._broken(container)
        # No time to tidy up: each second of it could be gigabytes.
        await self._end(container, 0.0)

    async def _end(self, container: str, grace: float) -> None:
        while True:
            try:
                return await self._engine.stop(container, grace)
            except EngineRejected as error:
                log.warning("container %s does not stop yet: %s", container[:12], error)
                await self._clock.sleep(5.0)


def _first(errors: BaseExceptionGroup[ContainerError]) -> ContainerError:
    leaf: BaseException = errors
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    assert isinstance(leaf, ContainerError)
    return leaf
