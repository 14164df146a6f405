"""A lane in a world of doubles, with a real journal, that can be killed and started again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from node.agent.definitions import DefinitionFiles
from node.agent.edges_services import Resources, Services
from node.agent.health.board import HealthBoard
from node.agent.health.chain_clock import ChainClock, ChainMoment
from node.agent.hygiene import LaneHygiene, Tolerance
from node.agent.lane import Lane, LaneServices
from node.agent.live import LiveJobs
from node.agent.logistics import Logistics, endpoints_here
from node.agent.pipeline import Callbacks, JobPipeline, JobServices
from node.agent.receipt_chain import NewestReceipt
from node.agent.stages.admit import Readiness
from node.agent.work_shift import Shift, no_shift
from node.agent.worker import Tools
from node.errors import GpunodeError
from node.gpu.state import GpuState
from node.journal.journal import Journal
from node.records import Address, Assignment, Gpu, LanePhase, Plan, Stage
from tests.agent.absent import NoResources, NoServices
from tests.agent.clock import FakeClock
from tests.agent.doubles import (
    GPU,
    MARKET,
    FakeChain,
    FakeContent,
    FakeDesk,
    FakeEngine,
    FakeMarket,
    FakeMeters,
    FakeOperations,
)


async def nothing_settled(_node: Address) -> None:
    """A key that has never settled a job."""


class World:
    """What outlives an agent, and the means to start one in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.chain = FakeChain(self.clock)
        self.engine = FakeEngine()
        self.content = FakeContent()
        self.market = FakeMarket(self.chain)
        self.desk = FakeDesk()
        self.meters = FakeMeters(self.clock)
        self.operations = FakeOperations(self.engine, self.clock)
        self.newest_receipt: NewestReceipt = nothing_settled
        self.service_desk: Services = NoServices()
        self.resource_desk: Resources = NoResources()
        self.live = LiveJobs()
        self.logistics = Logistics(lambda document: bytes(64), self.clock, endpoints_here("localnet"))
        self.health = HealthBoard()
        self.chain_clock = ChainClock(self._chain_time, self.clock)
        self.gpus: tuple[Gpu, ...] = (GPU,)
        self.gpu_error: GpunodeError | None = None
        self.check_error: GpunodeError | None = None
        self.gpu_state = GpuState(GPU.uuid)
        """What the lane's GPU is left with; blank: it tells nothing."""
        self.state_error: GpunodeError | None = None
        self.looks = 0
        self.fence_error: GpunodeError | None = None
        self.disk_free = 0
        self.no_space = ""
        self.runtime_trouble = ""
        self.reserved: dict[Address, tuple[str, ...]] = {}
        self.open_shift: Callable[[], Awaitable[Shift]] | None = None
        """What the lane of the next life does while it is queued; None: nothing."""
        self.journal: Journal
        self.job: Assignment
        self.stages: list[Stage] = []
        self.troubles: list[tuple[Stage, GpunodeError]] = []

    @asynccontextmanager
    async def open_journal(self) -> AsyncIterator[Journal]:
        async with await Journal.open(self.folder / "journal.sqlite", self.clock.time) as journal:
            self.journal = self.clock.journal = journal
            try:
                yield journal
            finally:
                self.clock.journal = None

    async def _chain_time(self) -> ChainMoment:
        """The chain's clock does not follow the host's when that is set (`clock.skew`)."""
        self.market._may_fail("clock")
        return ChainMoment(slot=int(self.clock.now * 2.5), time=int(self.clock.now))

    async def _gpus(self) -> tuple[Gpu, ...]:
        if self.gpu_error is not None:
            raise self.gpu_error
        return self.gpus

    async def _states(self, uuids: tuple[str, ...]) -> tuple[GpuState, ...]:
        self.looks += 1
        if self.state_error is not None:
            raise self.state_error
        return tuple(self.gpu_state for uuid in uuids if uuid == self.gpu_state.uuid)

    async def _reserve(self, run: Address, images: Sequence[str], _logins: object) -> str:
        self.reserved[run] = tuple(images)
        return self.no_space

    async def _runtimes(self, plan: Plan, gpus: tuple[Gpu, ...]) -> str:
        return self.runtime_trouble

    async def _fence(self) -> None:
        if self.fence_error is not None:
            raise self.fence_error

    async def _check(self) -> None:
        if self.check_error is not None:
            raise self.check_error

    def services(self) -> JobServices:
        return JobServices(
            market=self.market,
            journal=self.journal,
            fetcher=self.content.network,
            publisher=self.content.network,
            drawer=self.content,
            desk=self.desk,
            definitions=DefinitionFiles(self.folder / "definitions"),
            tools=Tools(
                operations=self.operations,
                services=self.service_desk,
                resources=self.resource_desk,
                log_path=lambda operation: self.folder / "logs" / f"{operation.spec.name}.jsonl",
                clock=self.clock,
            ),
            live=self.live,
            meters=self.meters,
            readiness=Readiness(
                folder=self.folder,
                disk_free=self.disk_free,
                reserve=self._reserve,
                gpus=self._gpus,
                runtimes=self._runtimes,
            ),
            samples=self.folder / "samples",
            clock=self.clock,
            chain=self.chain_clock,
            hygiene=self.hygiene(),
            logistics=self.logistics,
            newest_receipt=self.newest_receipt,
        )

    def hygiene(self) -> LaneHygiene:
        tolerance = Tolerance(vram=256 * 1024**2, seconds=30.0)
        return LaneHygiene("main", self._states, self.journal, self.clock, tolerance, proc=self.folder / "proc")

    def pipeline(self, a: Assignment) -> JobPipeline:
        callbacks = Callbacks(
            on_stage=lambda _a, stage: self.stages.append(stage),
            on_progress=lambda line: None,
            on_trouble=lambda _a, stage, error: self.troubles.append((stage, error)),
        )
        return JobPipeline(a, self.services(), callbacks)

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[Lane]:
        """A life of the agent with one lane; leaving detaches."""
        async with self.open_journal():
            lane = Lane(
                "main",
                MARKET,
                LaneServices(
                    jobs=self.services(),
                    check=self._check,
                    gpus=self._gpus,
                    health=self.health,
                    fence=self._fence,
                    shift=no_shift if self.open_shift is None else await self.open_shift(),
                ),
            )
            await lane.start()
            async with asyncio.TaskGroup() as group:
                task = group.create_task(lane.run())
                try:
                    yield lane
                finally:
                    task.cancel()

    async def phase(self, lane: Lane, phase: LanePhase, limit: float = 0.0) -> None:
        await self.clock.until(lambda: lane.status.phase is phase, limit=limit)
