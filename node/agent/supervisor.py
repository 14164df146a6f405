"""Runs the lanes side by side until the agent is told to stop.

SIGTERM and SIGINT detach: containers run on, places in queues stay, and the next start goes on where this one was. A
second signal exits at once, which loses nothing either: whatever matters is in the journal before it happens.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from node.agent.logs import current_lane
from node.agent.waiting import plain_errors
from node.records import LaneStatus

log = logging.getLogger(__name__)

HARD_EXIT = 130
"""Exit status after a second signal."""
RESTART_AFTER = 5.0
"""Seconds before a background task that failed is started again."""


class OneLane(Protocol):
    """A lane, for who runs it and for its operator."""

    @property
    def name(self) -> str:
        """As in the settings."""
        ...

    @property
    def status(self) -> LaneStatus:
        """What it is doing, and why."""
        ...

    async def start(self) -> None:
        """Make it known to the journal."""
        ...

    async def run(self) -> None:
        """Work until told to quit."""
        ...

    def quit(self) -> None:
        """Give the job at hand back, leave the queue, and end."""
        ...

    async def leave(self) -> None:
        """Leave the queue for a stop that keeps no place."""
        ...

    async def drain(self) -> None:
        """Finish the job at hand, and take no more."""
        ...

    async def pause(self, seconds: float | None) -> None:
        """As drain, for a time."""
        ...

    async def resume(self) -> None:
        """Undo drain and pause."""
        ...

    async def adopt(self) -> None:
        """As resume, and take over what the journal did not ask for."""
        ...


class Supervisor:
    """The lanes of one agent, and what runs beside them for all."""

    def __init__(
        self,
        lanes: Sequence[OneLane],
        background: Sequence[Callable[[], Awaitable[None]]] = (),
        *,
        leave_on_stop: bool = False,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """`background` runs for as long as the lanes do; `leave_on_stop` gives up queue places when detaching; `on_end`
        is called once when nothing but the end is left to do."""
        self.lanes = {lane.name: lane for lane in lanes}
        self._background = tuple(background)
        self._leave_on_stop = leave_on_stop
        self._on_end = on_end
        self._stopping = asyncio.Event()
        self._quitting = False

    def stop(self, quit_jobs: bool = False) -> None:
        """End the agent: detach, or (`quit_jobs`) give the jobs back and leave the queues first."""
        if quit_jobs:
            self._quitting = True
            for lane in self.lanes.values():
                lane.quit()
        self._stopping.set()

    async def run(self) -> None:
        """Run until told to stop. Raises JournalError when the journal cannot be written at the start; later on a lane
        says so and waits."""
        for lane in self.lanes.values():
            await lane.start()
        with plain_errors():
            async with asyncio.TaskGroup() as group:
                beside = [group.create_task(_forever(task)) for task in self._background]
                lanes = [group.create_task(self._run_lane(lane)) for lane in self.lanes.values()]
                await self._stopping.wait()
                if self._quitting:
                    await asyncio.wait(lanes)
                else:
                    log.info("detaching: containers run on, the next start goes on with them")
                self._on_end()
                for task in [*lanes, *beside]:
                    task.cancel()
        if self._leave_on_stop and not self._quitting:
            for lane in self.lanes.values():
                await lane.leave()

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT stop the agent while the block runs; a second one ends the process at once."""
        loop = asyncio.get_running_loop()
        caught = (signal.SIGTERM, signal.SIGINT)
        for number in caught:
            loop.add_signal_handler(number, self._on_signal)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            log.warning("second signal: exiting at once")
            logging.shutdown()
            os._exit(HARD_EXIT)
        self.stop()

    async def _run_lane(self, lane: OneLane) -> None:
        current_lane.set(lane.name)
        while True:
            try:
                await lane.run()
                return
            except Exception:
                # The journal has all that it was about: it is taken up again, and the other lanes hear nothing of it.
                log.exception("lane %s failed unexpectedly and is started again", lane.name)
            await asyncio.sleep(RESTART_AFTER)


async def _forever(task: Callable[[], Awaitable[None]]) -> None:
    """Start a background task again when it fails: jobs at hand must not end with it."""
    while True:
        try:
            await task()
        except Exception:
            log.exception("a background task failed unexpectedly and is started again")
        await asyncio.sleep(RESTART_AFTER)
