"""The narrow object the running agent offers to its control API.

Not here: how requests reach it (the api room), nor what is answered when no agent runs (the journal's reader).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from node.agent.bundle import BundleMaker
from node.agent.bundle_parts import EARLIER, BundleWish
from node.agent.lane import DRAINED
from node.agent.moments import first_output
from node.agent.readiness import Inventory
from node.agent.supervisor import OneLane
from node.agent.work_room import WorkRoom
from node.errors import ControlError
from node.gpu.ladder.record import kept_ladder
from node.journal.job_filter import EVERY_JOB, JobFilter
from node.journal.job_work import RunEnergy
from node.journal.latency import Latency, Moment
from node.journal.money import Money
from node.journal.reader import JournalReader
from node.records import (
    Address,
    AgentStatus,
    EarningState,
    ExposedService,
    Gpu,
    JobSummary,
    JournalEvent,
    LanePhase,
    LaneStatus,
    OperationState,
    Plan,
    PlannedOperation,
    Relaxation,
    Stage,
    SubjectHealth,
)
from node.records_gpus import GpuNow
from node.records_proofs import KeptLadder, ProofsKnown


async def _nothing_seen() -> tuple[GpuNow, ...]:
    return ()


async def _not_asked(_status: LaneStatus) -> EarningState | None:
    return None


@dataclass(frozen=True, slots=True)
class RunningAgent:
    """The ControlPort of an agent that runs. Commands are durable when they return: a restart does not forget them."""

    version: str
    cluster: str
    started_at: float
    gpu_provider: str
    lanes: Mapping[str, OneLane]
    journal: JournalReader
    inventory: Inventory
    data: Path
    """The data folder; log paths are relative to it."""
    log_name: Callable[[PlannedOperation], str]
    """An operation's log file, relative to the data folder."""
    stopping: Callable[[bool], None]
    """Ends the agent; with True, its jobs are given back first."""
    health: Callable[[], tuple[SubjectHealth, ...]] = tuple
    """How everything the agent depends on stands."""
    relaxations: tuple[Relaxation, ...] = ()
    services: Callable[[], tuple[ExposedService, ...]] = tuple
    """What jobs expose now."""
    earning: Callable[[LaneStatus], Awaitable[EarningState | None]] = _not_asked
    """Whether a lane earns, by what the chain shows."""
    work: WorkRoom | None = None
    """Where work proofs are made."""
    bundles: BundleMaker | None = None
    """Makes bundles, signed by the lanes' keys."""
    now: Callable[[], Awaitable[tuple[GpuNow, ...]]] = _nothing_seen
    """GPUs at this moment."""

    async def status(self) -> AgentStatus:
        """The agent at a glance."""
        lanes = await self._lanes()
        gpus = {gpu.uuid: gpu for status in lanes for gpu in status.gpus}
        return AgentStatus(
            version=self.version,
            cluster=self.cluster,
            pid=os.getpid(),
            started_at=self.started_at,
            gpu_provider=self.gpu_provider,
            gpus=tuple(gpus.values()),
            lanes=lanes,
            health=self.health(),
            relaxations=self.relaxations,
            services=self.services(),
        )

    async def _lanes(self) -> tuple[LaneStatus, ...]:
        """Each lane's status, with what the chain says of its earning."""
        statuses = [lane.status for lane in self.lanes.values()]
        states = await asyncio.gather(*(self.earning(status) for status in statuses))
        return tuple(replace(status, earning=state) for status, state in zip(statuses, states, strict=True))

    async def jobs(self, limit: int = 50, wanted: JobFilter = EVERY_JOB) -> tuple[JobSummary, ...]:
        """The latest runs among those wanted, newest first."""
        return await self.journal.jobs(limit, wanted)

    async def moments(self, run: Address) -> Mapping[Moment, int]:
        """When one run came to each point of its way; of one that runs, with the first line of its log."""
        found = await self.journal.latency.of(run)
        if Moment.STARTED in found and not found.keys() & {Moment.FIRST_OUTPUT, Moment.EXITED}:
            at = await asyncio.to_thread(first_output, await self.log_paths(run))
            if at is not None:
                self.journal.latency.note(run, Moment.FIRST_OUTPUT, at)
                return {**found, Moment.FIRST_OUTPUT: at}
        return found

    async def energy(self, run: Address) -> RunEnergy | None:
        """What one run's GPUs used."""
        return await self.journal.energy(run)

    async def latency(self, since: float) -> Latency:
        """What the legs of the ways took."""
        return await self.journal.latency.latency(since)

    async def job(self, address: str) -> tuple[JobSummary, ...]:
        """All runs of one job, newest first."""
        return await self.journal.job(address)

    async def operations(self, run: str) -> tuple[OperationState, ...]:
        """The operation states of one run."""
        return await self.journal.operations(run)

    async def events(self, after: int = 0, limit: int = 200) -> tuple[JournalEvent, ...]:
        """Journal events after an id, oldest first."""
        return await self.journal.events(after, limit)

    async def money(self, since: float, until: float) -> Money:
        """What was settled and spent."""
        return await self.journal.money(since, until)

    async def log_paths(self, address: str) -> tuple[Path, ...]:
        """Log files of a job's newest run."""
        runs = await self.journal.job(address)
        plan = await self.journal.stage_record(runs[0].run, Stage.ADMIT) if runs else None
        if not isinstance(plan, Plan):
            return ()
        return tuple(
            self.data / self.log_name(operation) for operation in plan.operations if operation.container is not None
        )

    async def bundle(self, address: str, *, full: bool, earlier: int | None) -> bytes:
        """The signed bundle of a job's newest run."""
        if self.bundles is None:
            raise ControlError("this agent makes no bundles")
        return await self.bundles.make(address, BundleWish(full, EARLIER if earlier is None else earlier))

    async def gpus_now(self) -> tuple[GpuNow, ...]:
        """The same GPUs at this moment, as last sampled."""
        return await self.now()

    async def gpus(self) -> tuple[Gpu, ...]:
        """The host's GPUs now."""
        return await self.inventory.inventory()

    async def proofs(self) -> ProofsKnown:
        """Work proofs and precision ladders, and when the next proof is due."""
        return await self._work.known(lane.status for lane in self.lanes.values())

    async def require_rest(self) -> None:
        """Raise ControlError while a lane may get a job: a measurement beside it would be wrong, and would slow it."""
        for lane in self.lanes.values():
            status = lane.status
            drained = status.phase is LanePhase.DRAINING and status.reason.startswith(DRAINED)
            if not drained and status.phase not in (LanePhase.PAUSED, LanePhase.STOPPED):
                raise ControlError(
                    f"lane {status.lane} is {status.phase.value}: measuring would disturb its jobs",
                    hint="gpunode pause, measure, then gpunode resume",
                )

    async def keep_ladder(self, body: bytes) -> KeptLadder:
        """Keep what was measured while the lanes rested."""
        await self.require_rest()
        ladder = kept_ladder(body)
        await self._work.journal.work.add_ladder(ladder)
        return ladder

    @property
    def _work(self) -> WorkRoom:
        assert self.work is not None, "the agent has one"
        return self.work

    async def drain(self, lane: str | None = None) -> tuple[LaneStatus, ...]:
        """Finish the job at hand and take no more."""
        return await self._tell(lane, lambda one: one.drain())

    async def pause(self, lane: str | None = None, seconds: float | None = None) -> tuple[LaneStatus, ...]:
        """As drain, for a time."""
        return await self._tell(lane, lambda one: one.pause(seconds))

    async def resume(self, lane: str | None = None) -> tuple[LaneStatus, ...]:
        """Undo drain or pause."""
        return await self._tell(lane, lambda one: one.resume())

    async def adopt(self, lane: str | None = None) -> tuple[LaneStatus, ...]:
        """As resume, and take over what the journal did not ask for."""
        return await self._tell(lane, lambda one: one.adopt())

    async def stop(self) -> None:
        """Detach and end."""
        self.stopping(False)

    async def stop_and_quit(self) -> None:
        """Give the jobs back, leave the queues, and end."""
        self.stopping(True)

    async def _tell(self, name: str | None, word: Callable[[OneLane], Awaitable[None]]) -> tuple[LaneStatus, ...]:
        if name is not None and name not in self.lanes:
            raise ControlError(f"there is no lane {name!r}", hint=f"lanes: {', '.join(self.lanes)}")
        told = [lane for lane in self.lanes.values() if name in (None, lane.name)]
        for lane in told:
            await word(lane)
        return tuple(lane.status for lane in told)
