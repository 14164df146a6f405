"""Being with a running container to its end: its log followed, its exit awaited, the word to stop passed on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from node.container.engine import Engine
from node.container.follower import follow
from node.container.log import LogKeeper
from node.container.stop import StopWord
from node.errors import ContainerError, EngineRejected, EngineUnavailable
from node.records import EndCause
from node.retry import Clock, sleep_or

LOOK_SECONDS = 30.0
"""How often a container that is waited for is also looked at."""
DRAIN_SECONDS = 20.0
"""How long the log's end may take after the container's; then it is read once more from the engine's copy."""

Ender = Callable[[str], Awaitable[float]]
"""Returns once a container must be ended, why being written down already, with the seconds between SIGTERM and SIGKILL
that it is given. It raises nothing."""

log = logging.getLogger(__name__)


class Attendance:
    """Attends one operation's containers."""

    def __init__(self, engine: Engine, clock: Clock, stop: StopWord, enders: Sequence[Ender]) -> None:
        """`stop`: whose cause counts if it was given by the time of the exit."""
        self._engine = engine
        self._clock = clock
        self._stop = stop
        self._enders = enders

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
                stoppers = [group.create_task(self._end_when(ender, container)) for ender in self._enders]
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

    async def _end_when(self, ender: Ender, container: str) -> None:
        await self._end(container, await ender(container))

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
