"""What the control socket needs of a running agent. The agent implements it; nothing here knows how."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from node.journal.job_filter import EVERY_JOB, JobFilter
from node.journal.job_work import RunEnergy
from node.journal.latency import Latency, Moment
from node.journal.money import Money
from node.records import Address, AgentStatus, Gpu, JobSummary, JournalEvent, LaneStatus, OperationState
from node.records_gpus import GpuNow
from node.records_proofs import KeptLadder, ProofsKnown


class ControlPort(Protocol):
    """Questions and commands for a running agent. A lane named None means every lane.

    Commands raise ControlError for an unknown lane.
    """

    async def status(self) -> AgentStatus:
        """The agent, its GPUs and every lane's state with its reason."""
        ...

    async def jobs(self, limit: int = 50, wanted: JobFilter = EVERY_JOB) -> tuple[JobSummary, ...]:
        """The latest runs among those wanted, newest first."""
        ...

    async def job(self, address: str) -> tuple[JobSummary, ...]:
        """All runs of one job (by job or run address), newest first; empty when unknown."""
        ...

    async def moments(self, run: Address) -> Mapping[Moment, int]:
        """When one run came to each point of its way (unix ms), as far as that is known."""
        ...

    async def energy(self, run: Address) -> RunEnergy | None:
        """What one run's GPUs used; None where nothing was metered."""
        ...

    async def latency(self, since: float) -> Latency:
        """What the legs of the ways took, of runs that began after `since` (unix seconds)."""
        ...

    async def operations(self, run: str) -> tuple[OperationState, ...]:
        """The operation states of one run, in order."""
        ...

    async def events(self, after: int = 0, limit: int = 200) -> tuple[JournalEvent, ...]:
        """Journal events with an id greater than `after`, oldest first."""
        ...

    async def money(self, since: float, until: float) -> Money:
        """What was settled and spent from `since` to before `until` (unix seconds)."""
        ...

    async def log_paths(self, address: str) -> tuple[Path, ...]:
        """Log files of a job's newest run (by job or run address), one per operation, in order."""
        ...

    async def bundle(self, address: str, *, full: bool, earlier: int | None) -> bytes:
        """The signed bundle of a job's newest run (by job or run address): made here, so that nothing that comes from
        whoever asks is ever signed. `full`: with what came from the job's poster; `earlier`: receipts before it at
        most, None: as usual. Raises a GpunodeError where there is none to be made."""
        ...

    async def gpus(self) -> tuple[Gpu, ...]:
        """The host's GPUs as the provider reports them now."""
        ...

    async def gpus_now(self) -> tuple[GpuNow, ...]:
        """The same GPUs at this moment, as last sampled."""
        ...

    async def proofs(self) -> ProofsKnown:
        """GPU work proofs and precision ladders: the newest, and when the next proof is due."""
        ...

    async def require_rest(self) -> None:
        """Raise ControlError while any lane may get a job."""
        ...

    async def keep_ladder(self, body: bytes) -> KeptLadder:
        """Keep a precision ladder that was measured while the lanes rested; raises ControlError or GpuError."""
        ...

    async def drain(self, lane: str | None = None) -> tuple[LaneStatus, ...]:
        """Finish the job at hand, leave the queue, take no more; until `resume`."""
        ...

    async def pause(self, lane: str | None = None, seconds: float | None = None) -> tuple[LaneStatus, ...]:
        """As drain, and join again after `seconds` (None: only after `resume`)."""
        ...

    async def resume(self, lane: str | None = None) -> tuple[LaneStatus, ...]:
        """Undo drain or pause, and check a degraded lane again."""
        ...

    async def adopt(self, lane: str | None = None) -> tuple[LaneStatus, ...]:
        """As resume, and take over a queue place or run that the journal did not ask for."""
        ...

    async def stop(self) -> None:
        """Detach and end the agent: containers run on, the next start adopts them."""
        ...

    async def stop_and_quit(self) -> None:
        """Quit the jobs at hand (not billed), leave the queues, then end the agent."""
        ...
