"""A job as it runs, for whoever looks on: how far it is, what it says, what may be asked of it.

Nothing here is durable: what must survive is in the journal, and a new life of the agent builds this anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from node.agent.edges_services import OpenServices, ServiceLook
from node.agent.logistics import Letterbox
from node.agent.schedule import Schedule
from node.agent.step import Step
from node.api.owner.port import SYSTEM, LogFrame, LogKind, Progress, StateFrame
from node.errors import OwnerRefused
from node.journal.latency import Moment
from node.records import Address, Assignment, EndCause, ExposedService, PlannedOperation, Stage
from node.retry import Clock

WORDS_KEPT = 2000
"""Lines of the agent's own about a job that are kept for those who come later."""
STATES_KEPT = 500

OPERATION_STOPPING = "OPERATION_STOPPING"
OPERATION_RESTARTING = "OPERATION_RESTARTING"
GROUP_NOT_FOUND = "GROUP_NOT_FOUND"
GROUP_NOT_ACTIVE = "GROUP_NOT_ACTIVE"
"""What the Nosana node answers to a word that cannot be followed."""

_WORDS = {
    Progress.STARTING: "Operation Starting",
    Progress.RUNNING: "Operation Started",
    Progress.STOPPING: "Operation Stopping",
    Progress.RESTARTING: "Restarting Operation",
    Progress.FINISHED: "Operation Completed",
    Progress.STOPPED: "Operation Completed",
    Progress.FAILED: "Operation Failed",
}


class JobLive:
    """One job at hand."""

    def __init__(self, assignment: Assignment, clock: Clock, log_path: Callable[[PlannedOperation], Path]) -> None:
        self.assignment = assignment
        self.log_path = log_path
        """Where an operation's log is kept."""
        self.status = "init"
        """The flow status while the work goes on, as results spell it."""
        self.started_ms = round(clock.time() * 1000)
        self.ended_ms: int | None = None
        self.errors: list[Any] = []
        self.schedule: Schedule | None = None
        self.words: deque[LogFrame] = deque(maxlen=WORDS_KEPT)
        """What the agent itself had to say, oldest first."""
        self.words_dropped = 0
        self.states: deque[StateFrame] = deque(maxlen=STATES_KEPT)
        self.is_over = False
        self.expire: Callable[[], None] = lambda: None
        """Ends the job as if its time were over."""
        self.note: Callable[[Moment, int], None] = lambda _moment, _ms: None
        """Takes the moments (unix ms) at which the job came to points of its way."""
        self._clock = clock
        self.letterbox = Letterbox()
        """Where the owner of a confidential job leaves the definition and collects the result."""
        self._services: dict[str, OpenServices] = {}
        self._said: dict[str, Progress] = {}
        self._changed = asyncio.Event()
        self._count = 0

    # --- told by the stages ---------------------------------------------------------------------------------

    def enter(self, stage: Stage) -> None:
        """The job has come to a stage."""
        if stage is Stage.RUN and self.status == "init":
            self.status = "running"
        self.record(stage.value, {"stage": stage.value})
        self.say(f"job {self.assignment.job.address}: {stage.value}\n")

    def record(self, status: str, state: Mapping[str, Any]) -> None:
        """A step of the agent with the job."""
        self.states.append(StateFrame(status, state, self._now(), self._count))
        self._count += 1
        self.ring()

    def say(self, text: str, step: Step | None = None, kind: LogKind | None = LogKind.INFO) -> None:
        """A line of the agent's own."""
        operation, group = (SYSTEM, SYSTEM) if step is None else (step.id, step.operation.group)
        if len(self.words) == WORDS_KEPT:
            self.words_dropped += 1
        self.words.append(LogFrame(self._now(), operation, group, text, kind))
        self.ring()

    @contextmanager
    def running(self, schedule: Schedule) -> Iterator[None]:
        """Its operations run while the block does."""
        self.schedule = schedule
        self.status = "running"
        self.started_ms = self._now()
        self.ring()
        yield
        schedule.current_group = None
        self.ring()

    def step_changed(self, step: Step) -> None:
        """Something about an operation has changed."""
        if self.schedule is not None:
            self.schedule.wake()
        if self._said.get(step.id) is not step.progress:
            self._said[step.id] = step.progress
            if word := _WORDS.get(step.progress):
                self.say(f"{word}: {step.id}\n", step, _KINDS.get(step.progress))
                return
        self.ring()

    @contextmanager
    def serving(self, step: Step, services: OpenServices) -> Iterator[None]:
        """The operation's services are open while the block runs."""
        self._services[step.id] = services
        self.ring()
        try:
            yield
        finally:
            del self._services[step.id]
            self.ring()

    def finish(self) -> None:
        """Nothing changes any more."""
        self.is_over = True
        self.ring()

    def ring(self) -> None:
        """Wake who looks on."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    # --- for those who look on ------------------------------------------------------------------------------

    @property
    def changed(self) -> asyncio.Event:
        """Set at the next change; taken before looking."""
        return self._changed

    @property
    def steps(self) -> tuple[Step, ...]:
        """The operations, in the definition's order; none before they are planned."""
        return self.schedule.steps if self.schedule is not None else ()

    @property
    def current_group(self) -> str | None:
        """The group that runs."""
        return self.schedule.current_group if self.schedule is not None else None

    def service_looks(self) -> dict[str, ServiceLook]:
        """Each service that is open, by its id."""
        return {name: look for services in self._services.values() for name, look in services.states().items()}

    async def stop(self) -> None:
        """End the job as if its time were over; durable, as far as anything runs, when this returns."""
        for step in self.steps:
            if step.has_begun and not step.is_over:
                await step.change(cause=EndCause.EXPIRED)
        self.expire()

    # --- asked by its owner ---------------------------------------------------------------------------------

    def stop_operation(self, group: str, operation: str) -> None:
        """End one operation. Raises OwnerRefused."""
        step = self._step(group, operation)
        self._require_free(step)
        step.end_alone("Operation stopped by its owner")
        self._wake()

    def restart_operation(self, group: str, operation: str) -> None:
        """Run one operation of the current group anew. Raises OwnerRefused."""
        step = self._step(group, operation)
        self._require_active(group)
        self._require_free(step)
        self._restart(step)

    def stop_group(self, group: str) -> None:
        """End a group's operations. Raises OwnerRefused."""
        for step in self._members(group):
            step.end_alone("Operation stopped by its owner")
        self._wake()

    def restart_group(self, group: str) -> None:
        """Run a group's operations anew. Raises OwnerRefused."""
        members = self._members(group)
        self._require_active(group)
        for step in members:
            self._require_free(step)
        for step in members:
            if step.has_begun:
                self._restart(step)

    def move_group(self, group: str) -> None:
        """End the current group and go on with a later one. Raises OwnerRefused."""
        if self.schedule is None:
            raise OwnerRefused(GROUP_NOT_ACTIVE)
        self.schedule.move(group)

    def _restart(self, step: Step) -> None:
        assert self.schedule is not None
        for other in self.steps:
            if other.operation.stop_with_dependencies and step.id in other.operation.depends_on:
                other.end_alone(f"Operation stopped because operation {step.id} was restarted")
        self.schedule.restart(step)

    def _members(self, group: str) -> list[Step]:
        members = [step for step in self.steps if step.operation.group == group]
        if not members:
            raise OwnerRefused(GROUP_NOT_FOUND)
        return members

    def _step(self, group: str, operation: str) -> Step:
        for step in self._members(group):
            if step.id == operation:
                return step
        raise OwnerRefused(GROUP_NOT_FOUND)

    def _require_active(self, group: str) -> None:
        if self.current_group != group:
            raise OwnerRefused(GROUP_NOT_ACTIVE)

    @staticmethod
    def _require_free(step: Step) -> None:
        if step.progress is Progress.STOPPING:
            raise OwnerRefused(OPERATION_STOPPING)
        if step.progress is Progress.RESTARTING:
            raise OwnerRefused(OPERATION_RESTARTING)

    def _wake(self) -> None:
        if self.schedule is not None:
            self.schedule.wake()

    def _now(self) -> int:
        return round(self._clock.time() * 1000)


_KINDS = {
    Progress.RUNNING: LogKind.INFO,
    Progress.FINISHED: LogKind.INFO,
    Progress.STOPPED: LogKind.INFO,
    Progress.FAILED: LogKind.ERROR,
}
"""Other events of an operation have no type on the network."""


class LiveJobs:
    """The jobs at hand on this host, by their address."""

    def __init__(self) -> None:
        self._jobs: dict[Address, JobLive] = {}

    def open(self, live: JobLive) -> None:
        """A job is at hand."""
        self._jobs[live.assignment.job.address] = live

    def close(self, live: JobLive) -> None:
        """It is not any more; harmless twice."""
        live.finish()
        if self._jobs.get(live.assignment.job.address) is live:
            del self._jobs[live.assignment.job.address]

    def get(self, job: Address) -> JobLive | None:
        """A job at hand."""
        return self._jobs.get(job)

    def all(self) -> tuple[JobLive, ...]:
        """Every job at hand."""
        return tuple(self._jobs.values())

    def services(self) -> tuple[ExposedService, ...]:
        """What the jobs expose now, as the operator sees it."""
        return tuple(
            ExposedService(
                job=live.assignment.job.address,
                operation=look.op_id,
                port=look.port,
                url="" if look.private else look.url,
                status=str(look.status),
            )
            for live in self._jobs.values()
            for look in live.service_looks().values()
        )
