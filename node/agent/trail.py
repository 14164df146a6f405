"""Jobs whose work is over and whose pay is not there yet, beside the lane that goes on without them.

A store that refuses, or a chain that does not answer, must not keep a GPU idle: after a while of trouble with a
report or a settlement the job is left to itself here, and its lane takes the next one. It is never given up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from node.agent.pipeline import Callbacks, JobPipeline, JobServices
from node.errors import GpunodeError, LaneDegraded
from node.records import Address, Assignment, Settlement, Stage
from node.retry import sleep_or

log = logging.getLogger(__name__)

TRAILING_AFTER = 30.0
"""Seconds of trouble with what follows the work after which the lane goes on."""
MOST_TRAILING = 8
"""Jobs at most that a lane leaves behind itself; with so many something lasting is wrong, and it waits."""
TRY_AGAIN = 30.0
"""Seconds before a trailing job that failed unexpectedly is taken up again."""

AFTER_WORK = (Stage.REPORT, Stage.SETTLE)


class JobTask:
    """One job on its way, which its lane waits for, or leaves behind."""

    def __init__(self, assignment: Assignment, services: JobServices, callbacks: Callbacks) -> None:
        self.assignment = assignment
        self.settlement: Settlement | None = None
        self.error: Exception | None = None
        """What ended it, while the lane was waiting for it."""
        self._services = services
        self._callbacks = callbacks
        self._clock = services.clock
        self._left = False
        self._stage: Stage | None = None
        self._troubled_since: float | None = None
        self._over = asyncio.Event()
        self._news = asyncio.Event()
        self.pipeline = self._make()

    async def run(self) -> None:
        """Bring the job to its settlement. While the lane waits, an error ends it and is the lane's to deal with."""
        while True:
            try:
                self.settlement = await self.pipeline.complete()
                break
            except Exception as error:
                if not self._left:
                    self.error = error
                    break
                self._log(error)
            await self._clock.sleep(TRY_AGAIN)
            self.pipeline = self._make()
        self._over.set()
        self._news.set()

    @property
    def is_over(self) -> bool:
        """Whether it came to an end, good or bad."""
        return self._over.is_set()

    async def until_over(self, patience: float) -> bool:
        """True when the job is over; False when it is past its work and in trouble for `patience` seconds."""
        while not self._over.is_set():
            self._news.clear()
            since = self._troubled_since
            if since is None:
                await self._news.wait()
                continue
            left = since + patience - self._clock.monotonic()
            if left <= 0:
                return False
            await sleep_or(self._clock, left, self._news)
        return True

    def leave(self) -> None:
        """The lane goes on without it: from here on it only says what a log needs."""
        self._left = True
        self._callbacks = Callbacks(
            on_stage=lambda _, stage: log.info("job %s, behind its lane: %s", self.assignment.job.address, stage.value),
            on_progress=lambda _: None,
            on_trouble=lambda _, stage, error: log.warning("%s: trying again: %s", stage.value, error),
        )

    def _make(self) -> JobPipeline:
        return JobPipeline(
            self.assignment,
            self._services,
            Callbacks(on_stage=self._on_stage, on_progress=self._on_progress, on_trouble=self._on_trouble),
        )

    def _on_stage(self, assignment: Assignment, stage: Stage) -> None:
        self._stage = stage
        self._troubled_since = None
        self._callbacks.on_stage(assignment, stage)

    def _on_progress(self, line: str) -> None:
        self._callbacks.on_progress(line)

    def _on_trouble(self, assignment: Assignment, stage: Stage, error: GpunodeError) -> None:
        # What a person has to act on would be so for the next job as well: the lane stays with it, and says so.
        if stage in AFTER_WORK and not isinstance(error, LaneDegraded):
            if self._troubled_since is None:
                self._troubled_since = self._clock.monotonic()
                self._news.set()
        else:
            self._troubled_since = None
        self._callbacks.on_trouble(assignment, stage, error)

    def _log(self, error: Exception) -> None:
        if isinstance(error, GpunodeError):
            log.warning("job %s, behind its lane: %s", self.assignment.job.address, error)
        else:
            log.error("job %s, behind its lane, failed unexpectedly", self.assignment.job.address, exc_info=error)


class Trail:
    """The jobs a lane has left behind itself."""

    def __init__(self, on_change: Callable[[tuple[Address, ...]], None]) -> None:
        """`on_change` is told the jobs whenever there is one more or one less."""
        self._tasks: dict[Address, JobTask] = {}
        self._on_change = on_change

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, run: Address) -> bool:
        return run in self._tasks

    @property
    def patience(self) -> float:
        """Seconds that the lane waits for a job in trouble before it leaves it here."""
        if len(self) >= MOST_TRAILING:
            return float("inf")
        # The trouble of one is most likely that of the next.
        return TRAILING_AFTER if not self._tasks else TRAILING_AFTER / 3

    def take(self, task: JobTask) -> None:
        """A job that the lane goes on without."""
        task.leave()
        self._tasks[task.assignment.run.address] = task
        self._tell()

    def drop(self, task: JobTask) -> None:
        """It is over."""
        if self._tasks.pop(task.assignment.run.address, None) is not None:
            self._tell()

    def _tell(self) -> None:
        self._on_change(tuple(task.assignment.job.address for task in self._tasks.values()))
