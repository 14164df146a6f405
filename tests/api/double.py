"""A port that answers from memory and remembers what it was told."""

from __future__ import annotations

from pathlib import Path

from node.errors import ControlError
from node.records import (
    Address,
    AgentStatus,
    Cid,
    EndCause,
    Gpu,
    JobSummary,
    JournalEvent,
    LanePhase,
    LaneStatus,
    OperationState,
    OperationStatus,
    SettleKind,
    Settlement,
    Signature,
    Stage,
    StageTime,
    SubjectHealth,
)

NODE = Address("9B5XszUGdMaxCZ7uSQhPzdks5ZQSmWxrmzCSvtJ6Ns6g")
MARKET = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")
JOB = Address("4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T")
RUN = Address("8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR")
CID = Cid("QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG")
GPU = Gpu("simulated", 0, "GPU-1", "Simulated GPU", 24 << 30, "sim", "12.4", "8.9")


def lane(phase: LanePhase = LanePhase.WORKING, reason: str = "running a job", name: str = "main") -> LaneStatus:
    """A lane in the given phase."""
    return LaneStatus(name, NODE, MARKET, phase, reason, 1000.0, job=JOB, stage=Stage.RUN, gpus=(GPU,))


def summary() -> JobSummary:
    """A finished run."""
    stages = (StageTime(Stage.FETCH, 100.0), StageTime(Stage.RUN, 100.5), StageTime(Stage.DONE, 103.0))
    return JobSummary(
        RUN, JOB, "main", NODE, MARKET, NODE, CID, 10, 3600, 99, Stage.DONE, stages,
        cause=EndCause.COMPLETED, result_cid=CID, receipt_cid=CID,
        settlement=Settlement(JOB, SettleKind.FINISH, Signature("5" * 88), 7, 30, NODE, fee=5000),
    )  # fmt: skip


class DoublePort:
    """Answers as an agent with one lane would."""

    def __init__(self, logs: tuple[Path, ...] = ()) -> None:
        self.told: list[tuple[object, ...]] = []
        self.logs = logs
        self.lane = lane()
        self.broken: Exception | None = None
        self.health: tuple[SubjectHealth, ...] = ()

    async def status(self) -> AgentStatus:
        if self.broken is not None:
            raise self.broken
        return AgentStatus("0.1.0", "localnet", 42, 900.0, "simulated", (GPU,), (self.lane,), self.health)

    async def jobs(self, limit: int = 50) -> tuple[JobSummary, ...]:
        self.told.append(("jobs", limit))
        return (summary(),)[:limit]

    async def job(self, address: str) -> tuple[JobSummary, ...]:
        return (summary(),) if address in (JOB, RUN) else ()

    async def operations(self, run: str) -> tuple[OperationState, ...]:
        return (OperationState(0, "hello", "0", OperationStatus.SUCCESS, exit_code=0, starts=1),)

    async def events(self, after: int = 0, limit: int = 200) -> tuple[JournalEvent, ...]:
        return tuple(JournalEvent(i, 1.0, "main", "", "info", f"event {i}") for i in range(after + 1, 4))

    async def log_paths(self, address: str) -> tuple[Path, ...]:
        return self.logs if address in (JOB, RUN) else ()

    async def gpus(self) -> tuple[Gpu, ...]:
        return (GPU,)

    async def drain(self, lane: str | None = None) -> tuple[LaneStatus, ...]:
        return self._do("drain", lane)

    async def pause(self, lane: str | None = None, seconds: float | None = None) -> tuple[LaneStatus, ...]:
        return self._do("pause", lane, seconds)

    async def resume(self, lane: str | None = None) -> tuple[LaneStatus, ...]:
        return self._do("resume", lane)

    async def adopt(self, lane: str | None = None) -> tuple[LaneStatus, ...]:
        return self._do("adopt", lane)

    async def stop(self) -> None:
        self.told.append(("stop",))

    async def stop_and_quit(self) -> None:
        self.told.append(("stop_and_quit",))

    def _do(self, command: str, lane: str | None, *rest: object) -> tuple[LaneStatus, ...]:
        if lane not in (None, "main"):
            raise ControlError(f"{lane}: no such lane", hint="see `gpunode status`")
        self.told.append((command, lane, *rest))
        return (self.lane,)
