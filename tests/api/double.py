"""A port that answers from memory and remembers what it was told."""

from __future__ import annotations

from pathlib import Path

from node.errors import ControlError
from node.gpu.ladder.record import (
    Bandwidth,
    Device,
    Ladder,
    ModelRun,
    Product,
    Variant,
    kept_ladder,
    not_measured,
)
from node.journal.job_filter import EVERY_JOB, JobFilter
from node.journal.job_work import RunEnergy
from node.journal.latency import Latency, Moment, latency_of
from node.journal.money import JobMoney, Money, Spent
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
    PaySource,
    SettleKind,
    Settlement,
    Signature,
    Stage,
    StageTime,
    SubjectHealth,
    WorkReference,
)
from node.records_gpus import GpuNow, GpuProgram
from node.records_proofs import KeptLadder, KeptProof, ProofsKnown, WorkOutlook

NODE = Address("9B5XszUGdMaxCZ7uSQhPzdks5ZQSmWxrmzCSvtJ6Ns6g")
MARKET = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")
JOB = Address("4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T")
RUN = Address("8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR")
CID = Cid("QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG")
GPU = Gpu("simulated", 0, "GPU-1", "Simulated GPU", 24 << 30, "sim", "12.4", "8.9")
NOW = GpuNow(
    "GPU-1",
    time_ms=1_700_000_000_000,
    utilisation=63,
    memory_bytes=12 << 30,
    temperature=71,
    power_watts=312.4,
    clock_mhz=1755,
    slowed_by=("power_cap",),
    pcie_width=16,
    pcie_generation=5,
    ecc_corrected=0,
    ecc_uncorrected=0,
    processes=(GpuProgram(4711, "python", 12 << 30, "job", JOB), GpuProgram(99, "Xorg\x1b[2J", None, "other")),
    energy_today_joules=360_000.0,
    energy_today_since_ms=1_700_000_000_000,
)
LADDER = Ladder(
    device=Device("cuda", "Some GPU", "GPU-1", "compute capability 8.9"),
    measured_ms=1_700_000_000_000,
    agent="gpunode/0.1.0",
    products=(Product("fp32", "our kernel", 4096, 40 * 10**12), not_measured("fp8", "the device has none")),
    bandwidth=Bandwidth(900 * 10**9, "a copy of 1 GiB"),
    model=ModelRun("mlp", 20_000_000, 64, "our kernel", Variant("fp32", 80, 3000), Variant("int8", 20, 1000), 995, 0),
).body()
PROOF = KeptProof(
    lane="main",
    reference=WorkReference("ab" * 32, CID, "cd" * 32, Signature("5" * 88), "cuda", "GPU-1", 1_700_000_000_000),
    size=8192,
    rounds=100,
    document_bytes=2_200_000,
    milliseconds=15_000,
    joules=4200.0,
    metered=True,
    seed_slot=10,
    seed_time=1_700_000_000,
    anchor_slot=60,
    anchor_time=1_700_000_020,
)
PROOFS = ProofsKnown(
    work=(WorkOutlook("main", "cuda", "there is an NVIDIA GPU", False, 1_700_021_600.0, PROOF),),
    ladders=(kept_ladder(LADDER),),
    joules_today=8400.0,
    daily_joules=40_000.0,
)


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


MONEY = Money(
    (
        JobMoney(
            RUN, JOB, "main", MARKET, 10, 99, 103.0, SettleKind.FINISH, EndCause.COMPLETED, 30, PaySource.BALANCES, 0,
            None, ("GPU-1",), 100, 200, None, 7, "counter",
        ),
    ),
    (Spent(103.0, "main", RUN, "finish", 5000, 5000, 0, 1, 1),),
    1.0,
)  # fmt: skip


MOMENTS = {Moment.ASSIGNED: 99_000, Moment.PICKED_UP: 100_000, Moment.STARTED: 100_600, Moment.EXITED: 102_600}


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

    async def jobs(self, limit: int = 50, wanted: JobFilter = EVERY_JOB) -> tuple[JobSummary, ...]:
        self.told.append(("jobs", limit) if wanted == EVERY_JOB else ("jobs", limit, wanted))
        return (summary(),)[:limit]

    async def job(self, address: str) -> tuple[JobSummary, ...]:
        return (summary(),) if address in (JOB, RUN) else ()

    async def moments(self, run: Address) -> dict[Moment, int]:
        return MOMENTS if run == RUN else {}

    async def energy(self, run: Address) -> RunEnergy | None:
        return RunEnergy(7, "counter") if run == RUN else None

    async def latency(self, since: float) -> Latency:
        self.told.append(("latency", since))
        return latency_of([MOMENTS], since)

    async def operations(self, run: str) -> tuple[OperationState, ...]:
        return (OperationState(0, "hello", "0", OperationStatus.SUCCESS, exit_code=0, starts=1),)

    async def events(self, after: int = 0, limit: int = 200) -> tuple[JournalEvent, ...]:
        return tuple(JournalEvent(i, 1.0, "main", "", "info", f"event {i}") for i in range(after + 1, 4))

    async def log_paths(self, address: str) -> tuple[Path, ...]:
        return self.logs if address in (JOB, RUN) else ()

    async def bundle(self, address: str, *, full: bool, earlier: int | None) -> bytes:
        self.told.append(("bundle", address, full, earlier))
        if address not in (JOB, RUN):
            raise ControlError(f"{address}: this host has run no such job", hint="see `gpunode jobs`")
        return b'{"payload":"..."}'

    async def money(self, since: float, until: float) -> Money:
        self.told.append(("money", since, until))
        return MONEY

    async def gpus(self) -> tuple[Gpu, ...]:
        return (GPU,)

    async def gpus_now(self) -> tuple[GpuNow, ...]:
        return (NOW,)

    async def proofs(self) -> ProofsKnown:
        return PROOFS

    async def require_rest(self) -> None:
        if self.lane.phase is not LanePhase.PAUSED:
            raise ControlError(f"lane main is {self.lane.phase.value}", hint="gpunode pause")

    async def keep_ladder(self, body: bytes) -> KeptLadder:
        await self.require_rest()
        self.told.append(("keep_ladder", body))
        return kept_ladder(body)

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
