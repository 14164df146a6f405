"""Operations of jobs, run on one engine.

Each is a reconcile loop: what the plan and the journaled state want, against what the engine has. A turn looks for the
operation's container by label, makes one if there is none, attends it to its end and records how it ended. An engine
that does not answer is "unknown": the turn is taken again until it does, and the first turn after a restart of the
agent is the adoption of whatever still runs. Cancelling leaves the container running.

What belongs to a job and not to one operation (network, volumes) goes when the job is over.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from node.container.clearance import clear_job
from node.container.controls import OperationControls
from node.container.course import Course, OnChange, OnLog, OnProgress, OnStarted
from node.container.disk_guard import DiskGuard
from node.container.disk_watch import DiskTerms
from node.container.egress.networks import JobNetworks
from node.container.engine import JOB_LABEL, Engine
from node.container.images import PULL_RETRY, Images, PlainImages
from node.container.log_budget import LogBudget
from node.container.operation_run import CLEAN_RETRY, OperationRun, Tools
from node.container.startup import Origin
from node.container.stop import StopSignal
from node.container.volume_run import run_volume
from node.errors import ContainerError
from node.logins import DockerLogin
from node.records import Address, OperationState, PlannedOperation
from node.retry import Clock, Retry, SystemClock

log = logging.getLogger(__name__)


async def anywhere(_images: Sequence[str]) -> str:
    """No image is kept from being fetched."""
    return ""


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
        origins: Origin = anywhere,
    ) -> None:
        """`stop_grace`: seconds between SIGTERM and SIGKILL; `images`: by default the engine's, pulled with
        `pull_retry`; `disk`: what holds beside each container's own limits; `origins`: which images may be fetched."""
        self.engine = engine
        self.data = data
        self.stop_grace = stop_grace
        self.clock = clock or SystemClock()
        self.networks = networks or JobNetworks(engine)
        self.images = images or PlainImages(engine, pull_retry, self.clock)
        self.origins = origins
        self._log_budgets: dict[str, LogBudget] = {}
        self.guard = DiskGuard(engine, self.clock, disk or DiskTerms(), data / "logs")

    async def run_operation(
        self,
        operation: PlannedOperation,
        previous: OperationState | None,
        *,
        on_change: OnChange,
        stop: StopSignal,
        on_progress: OnProgress = lambda _line: None,
        login: DockerLogin | None = None,
        controls: OperationControls | None = None,
        on_started: OnStarted | None = None,
        on_log: OnLog | None = None,
    ) -> OperationState:
        """Bring one operation to its end and return its final state, which `on_change` has made durable.

        `previous` is the journaled state of this run (None: never begun): with it, a container that an earlier
        life of the agent left behind is adopted; without it, such a container is of an older run and removed.
        `login`: what its image is pulled with. `on_started` is told of each container that has started or was adopted
        running, again after each restart; `on_log` of each log entry as it is kept.
        Whatever the container does ends up in the state; what is raised comes from `on_change`, `on_started` and the
        book of images alone (and ContainerError for a plan without our labels).
        """
        course = Course(
            operation,
            previous,
            on_change,
            stop,
            controls or OperationControls(),
            (self.data, self.log_name(operation), self._log_budget(operation)),
            self.clock,
            on_log,
        )
        tools = Tools(self.engine, self.clock, self.images, self.networks, self.guard, self.origins, self.stop_grace)
        return await OperationRun(course, tools, login, on_started, on_progress).complete()

    async def make_volume(
        self,
        operation: PlannedOperation,
        previous: OperationState | None,
        labels: Sequence[tuple[str, str]],
        *,
        on_change: OnChange,
        stop: StopSignal,
        on_progress: OnProgress = lambda _line: None,
    ) -> OperationState:
        """Bring an operation that makes a volume to its end. `labels`: of the job's node, lane and the job itself.
        Errors as in `run_operation`."""
        return await run_volume(
            self.engine, self.clock, operation, previous, dict(labels), on_change, stop, on_progress
        )

    def recall(self, network: str, states: Sequence[OperationState]) -> None:
        """Tell what the operations of a job had counted of its network before this life of the agent."""
        self.networks.recall(network, [state.network for state in states if state.network is not None])

    async def clean_job(self, job: Address, network: str) -> None:
        """Remove what a job that is over has left on the engine: its containers, volumes and network. What cannot be
        removed now is the sweeper's. Raises nothing."""

        async def once() -> None:
            await clear_job(self.engine, job, network)

        try:
            await CLEAN_RETRY.call(once, on=(ContainerError,), clock=self.clock)
        except ContainerError as error:
            log.warning("job %s is not cleaned up yet, the sweeper will: %s", job, error)
        self.networks.forget(network)
        self._log_budgets.pop(network, None)

    def _log_budget(self, operation: PlannedOperation) -> LogBudget:
        spec = operation.spec
        found = self._log_budgets.get(spec.network)
        if found is None:
            job = dict(spec.labels).get(JOB_LABEL, "")
            kept = (self.data / "logs").glob(f"{job}-*.jsonl") if job else ()
            found = self._log_budgets[spec.network] = LogBudget(spec.limits.log_bytes, kept)
        return found

    def log_name(self, operation: PlannedOperation) -> str:
        """The operation's log file, relative to the data folder."""
        return f"logs/{re.sub(r'[^A-Za-z0-9_.-]', '_', operation.spec.name)[:200]}.jsonl"
