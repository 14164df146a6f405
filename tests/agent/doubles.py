"""Stand-ins for the rooms at a lane's edges. They keep the edges' promises, and count what is asked of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from node.agent.edges import ReceiptFacts, Standing
from node.container.controls import OperationControls
from node.container.engine import ContainerView
from node.container.stop import EitherSignal, StopSignal
from node.content.cid import file_cid
from node.errors import ContentMismatch, ContentTooLarge, ContentUnavailable, GpunodeError
from node.job.store import Store
from node.logins import Credentials, DockerLogin
from node.market.watch import Assigned, JobEnded, JobEvent, JobExtended, LaneEvent, NotQueued, Queued, RunGone
from node.records import (
    Address,
    Assignment,
    Cid,
    ContainerSpec,
    EndCause,
    EnergyReading,
    FetchedDefinition,
    Gpu,
    IsolationProfile,
    Job,
    JobState,
    Limits,
    OperationState,
    OperationStatus,
    Outcome,
    Plan,
    PlannedOperation,
    Run,
    SettleKind,
    Settlement,
    Signature,
)
from node.retry import Clock
from tests.journal.samples import address, assignment

NODE = address(2)
MARKET = address(1)
GPU = Gpu(
    provider="simulated",
    index=0,
    uuid="GPU-sim-0",
    name="Simulated",
    vram_bytes=None,
    driver=None,
    cuda=None,
    compute_capability=None,
)


class FakeChain:
    """A market with one queue, as one node sees it; shared by successive lives of an agent."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.queue: list[Address] = []
        self.jobs: dict[Address, Job] = {}
        self.runs: dict[Address, Assignment] = {}
        self.sent: list[str] = []
        """Instructions that landed, in order."""
        self.waiting: list[Assignment] = []
        """Jobs in the market's queue: the next `work` gets the first."""
        self.stale: Assignment | None = None
        """A run that is gone and that a lagging endpoint still shows."""
        self.reopened = asyncio.Event()
        self.leaving = False
        """A `stop` has landed and is not final."""
        self._changed = asyncio.Event()

    def change(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @property
    def changed(self) -> asyncio.Event:
        """Set at the next change; to be taken before looking, or one in between is missed."""
        return self._changed

    def assign(self, number: int, *, timeout: int = 3600, definition: Cid | None = None) -> Assignment:
        """A poster lists a job and the node, first in the queue, gets it."""
        a = assignment(number, timeout=timeout, run_time=int(self.clock.time()))
        job = a.job if definition is None else replace(a.job, definition_cid=definition)
        a = replace(a, job=job)
        if NODE in self.queue:
            self.queue.remove(NODE)
        self.jobs[job.address] = job
        self.runs[a.run.address] = a
        self.change()
        return a

    def extend(self, a: Assignment, timeout: int) -> None:
        self.jobs[a.job.address] = replace(self.jobs[a.job.address], timeout=timeout)
        self.change()

    def end(self, a: Assignment) -> None:
        """The poster ends the job."""
        del self.runs[a.run.address]
        self.jobs[a.job.address] = replace(self.jobs[a.job.address], state=JobState.DONE, node=NODE)
        self.change()

    def take_away(self, a: Assignment) -> None:
        """The market's administrator closes the run."""
        del self.runs[a.run.address]
        self.change()


class FakeMarket:
    """A LaneMarket over a FakeChain."""

    def __init__(self, chain: FakeChain) -> None:
        self.chain = chain
        self.node = NODE
        self.failures: dict[str, list[GpunodeError]] = {}
        """Errors to raise, by method, one a call."""
        self.registered: list[tuple[Gpu, ...]] = []
        self.memos: list[str] = []

    def _may_fail(self, name: str) -> None:
        waiting = self.failures.get(name)
        if waiting:
            raise waiting.pop(0)

    async def prepare(self) -> None:
        self._may_fail("prepare")

    async def register(self, gpus: tuple[Gpu, ...]) -> None:
        self.registered.append(gpus)

    async def resume(self) -> None:
        self._may_fail("resume")

    async def tend(self) -> None:
        await asyncio.Event().wait()

    async def reopened(self) -> None:
        await self.chain.reopened.wait()
        self.chain.reopened.clear()

    async def is_gone(self, assignment: Assignment) -> bool:
        self._may_fail("is_gone")
        return assignment.run.address not in self.chain.runs

    async def standing(self) -> Standing:
        self._may_fail("standing")
        return self._standing()

    def _standing(self) -> Standing:
        position = self.chain.queue.index(NODE) + 1 if NODE in self.chain.queue else None
        stale = () if self.chain.stale is None else (self.chain.stale.run,)
        return Standing((*stale, *(a.run for a in self.chain.runs.values())), position, self.chain.leaving)

    async def assignment(self, run: Run) -> Assignment:
        self._may_fail("assignment")
        return self.chain.runs[run.address]

    async def join(self) -> None:
        self._may_fail("join")
        assert NODE not in self.chain.queue, "joined twice"
        self.chain.sent.append("work")
        self.chain.queue.append(NODE)
        if self.chain.waiting:
            a = self.chain.waiting.pop(0)
            self.chain.queue.remove(NODE)
            self.chain.jobs[a.job.address] = a.job
            self.chain.runs[a.run.address] = a
        self.chain.change()

    async def leave(self) -> Signature | None:
        self._may_fail("leave")
        if NODE not in self.chain.queue:
            return None
        self.chain.queue.remove(NODE)
        self.chain.sent.append("stop")
        self.chain.change()
        return Signature("stopsig")

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[AsyncIterator[LaneEvent]]:
        yield self._lane_events()

    async def _lane_events(self) -> AsyncIterator[LaneEvent]:
        passed: set[Address] = set()
        while True:
            self._may_fail("watch")
            changed = self.chain.changed
            standing = self._standing()
            if self.chain.stale is not None:
                yield Assigned(self.chain.stale)
            elif standing.position is not None:
                yield Queued(standing.position, len(self.chain.queue))
            elif standing.runs and standing.runs[-1].address not in passed:
                passed.add(standing.runs[-1].address)
                yield Assigned(self.chain.runs[standing.runs[-1].address])
                continue
            else:
                yield NotQueued()
            await changed.wait()

    @asynccontextmanager
    async def watch_job(self, assignment: Assignment) -> AsyncIterator[AsyncIterator[JobEvent]]:
        yield self._job_events(assignment)

    async def _job_events(self, a: Assignment) -> AsyncIterator[JobEvent]:
        timeout = a.job.timeout
        while True:
            self._may_fail("watch_job")
            changed = self.chain.changed
            job = self.chain.jobs.get(a.job.address)
            if a.run.address not in self.chain.runs:
                if job is not None and job.state is JobState.DONE:
                    yield JobEnded(job)
                else:
                    yield RunGone(job)
                return
            assert job is not None
            if job.timeout != timeout:
                timeout = job.timeout
                yield JobExtended(timeout)
            await changed.wait()

    async def timeout_of(self, assignment: Assignment) -> int | None:
        self._may_fail("timeout_of")
        return self.chain.jobs[assignment.job.address].timeout

    async def settle(self, assignment: Assignment, result: Cid, memo: str) -> Settlement:
        self._may_fail("settle")
        job = self.chain.jobs[assignment.job.address]
        if job.result_cid == result:
            return self._settlement(job, SettleKind.ALREADY, 0)
        if assignment.run.address in self.chain.runs:
            del self.chain.runs[assignment.run.address]
            self._land("finish", job, result, memo)
            self._may_fail("settled")
            return self._settlement(job, SettleKind.FINISH, 120)
        if job.state is JobState.DONE:
            self._land("complete", job, result, memo)
            self._may_fail("settled")
            return self._settlement(job, SettleKind.COMPLETE, 60)
        return self._settlement(job, SettleKind.LOST, 0, "the administrator took the run")

    def _land(self, name: str, job: Job, result: Cid, memo: str) -> None:
        self.chain.sent.append(name)
        self.memos.append(memo)
        self.chain.jobs[job.address] = replace(job, state=JobState.DONE, result_cid=result)
        self.chain.change()

    async def quit(self, assignment: Assignment, reason: str) -> Settlement:
        self._may_fail("quit")
        job = self.chain.jobs[assignment.job.address]
        if self.chain.runs.pop(assignment.run.address, None) is None:
            return self._settlement(job, SettleKind.LOST, 0, "the run was gone already")
        self.chain.sent.append("quit")
        self.chain.jobs[job.address] = replace(job, state=JobState.STOPPED)
        self.chain.change()
        return self._settlement(job, SettleKind.QUIT, 0, reason)

    def _settlement(self, job: Job, kind: SettleKind, pay: int, reason: str = "") -> Settlement:
        signature = None if kind is SettleKind.LOST else Signature(f"{kind.value}-{job.address}")
        return Settlement(
            job=job.address, kind=kind, signature=signature, slot=9, pay=pay, payout=NODE, reason=reason, fee=5000
        )

    async def head(self, assignment: Assignment) -> tuple[int, str]:
        self._may_fail("head")
        assert assignment.slot <= 77, "the end is not before the beginning"
        return 77, "headhash"


class FakeDesk:
    """A JobDesk: the definition's bytes are the image's name; documents are plain JSON."""

    def __init__(self) -> None:
        self.refuse: GpunodeError | None = None

    def plan(self, assignment: Assignment, body: bytes, gpu_uuids: tuple[str, ...]) -> Plan:
        if self.refuse is not None:
            raise self.refuse
        return plan(assignment, body.decode(), gpu_uuids)

    def store(self, assignment: Assignment, plan: Plan, body: bytes) -> Store:
        return Store()

    def complete(self, operation: PlannedOperation, body: bytes, store: Store) -> PlannedOperation:
        return replace(operation, pending=())

    def credentials(self, index: int, body: bytes, store: Store) -> Credentials:
        return Credentials()

    def result(self, plan: Plan | None, outcome: Outcome) -> bytes:
        document = {"cause": outcome.cause, "states": [state.status for state in outcome.operations]}
        return json.dumps({**document, "violations": outcome.violations}).encode()

    def receipt(self, facts: ReceiptFacts) -> bytes:
        document = {
            "result": facts.result_cid,
            "previous": facts.previous,
            "end": [facts.outcome.end_slot, facts.outcome.end_blockhash],
        }
        return json.dumps(document).encode()

    def memo(self, receipt: Cid) -> str:
        return f"gpunode/1 r={receipt}"


def plan(a: Assignment, image: str = "image", gpu_uuids: tuple[str, ...] = ()) -> Plan:
    """One operation."""
    spec = ContainerSpec(
        name=f"{a.job.address}-0",
        image=image,
        command=("run",),
        entrypoint=None,
        env=(),
        work_dir=None,
        gpu_uuids=gpu_uuids,
        labels=(("gpunode.job", a.job.address),),
        network="gpn0",
        aliases=(),
        limits=Limits(memory_bytes=1, pids=1, cpus=1.0, shm_bytes=1, open_files=1, log_bytes=1),
        profile=IsolationProfile.STANDARD,
    )
    return Plan(job=a.job.address, network="gpn0", operations=(PlannedOperation(0, "op", "group", spec),))


class FakeEngine:
    """Containers that outlive the agent: what runs, and how each ended."""

    def __init__(self) -> None:
        self.running: dict[str, asyncio.Event] = {}
        self.exits: dict[str, int] = {}
        self.starts = 0
        self.started: list[str] = []
        """Names of the containers started, in order."""
        self.stops: list[EndCause] = []
        self.stopped: list[str] = []
        """Names of the containers that were told to stop, in order."""
        self.volumes: list[str] = []
        self.cleaned: list[Address] = []
        """Jobs of which everything was removed."""
        self.drain = 0.0
        """Seconds from a container's end to the end of its log."""

    def exit(self, code: int = 0, name: str = "") -> None:
        """The running container ends by itself; with several, the one of that name."""
        if not name:
            (name,) = self.running
        self.exits[name] = code
        self.running.pop(name).set()


class FakeOperations:
    """An Operations over a FakeEngine."""

    def __init__(self, engine: FakeEngine, clock: Clock) -> None:
        self.engine = engine
        self.clock = clock
        self.adopted = 0
        self.logins: dict[str, DockerLogin | None] = {}

    def recall(self, network: str, states: Sequence[OperationState]) -> None:
        del network, states

    async def run_operation(
        self,
        operation: PlannedOperation,
        previous: OperationState | None,
        *,
        on_change: Callable[[OperationState], Awaitable[None]],
        stop: StopSignal,
        on_progress: Callable[[str], None],
        login: DockerLogin | None = None,
        controls: OperationControls | None = None,
        on_started: Callable[[ContainerView], Awaitable[None]] | None = None,
    ) -> OperationState:
        if previous is not None and previous.ended_ms is not None:
            return previous
        name = operation.spec.name
        self.logins[name] = login
        controls = controls or OperationControls()
        word = EitherSignal(stop, controls.signal)
        now = self._now()
        state = previous or OperationState(operation.index, operation.id, operation.group, OperationStatus.INIT)
        if previous is not None and previous.container_id is None:
            self.engine.exits.pop(name, None)  # begun anew
        if name in self.engine.running or name in self.engine.exits:
            self.adopted += 1
        elif word.cause is not None:
            state = replace(state, status=OperationStatus.STOPPED, started_ms=now, ended_ms=now, exit_code=0)
            await on_change(state)
            return state
        else:
            state = await self._started(state, name, on_change)
        while True:
            if name in self.engine.running:
                on_progress("running")
                if on_started is not None:
                    await on_started(view(name))
                if await self._ended_or_restarted(name, word, controls):
                    self.engine.stops.append(EndCause.STOPPED)
                    self.engine.running.pop(name)
                    controls.restarted()
                    state = await self._started(state, name, on_change)
                    continue
            break
        status = OperationStatus.SUCCESS if not self.engine.exits[name] else OperationStatus.FAILED
        if word.cause is not None and name in self.engine.stopped:
            status = {EndCause.STOPPED: OperationStatus.STOPPED, EndCause.HOST: OperationStatus.FAILED}.get(
                word.cause, OperationStatus.SUCCESS
            )
        ended_ms = self._now()
        if self.engine.drain:
            await self.clock.sleep(self.engine.drain)
        state = replace(
            state,
            status=status,
            ended_ms=ended_ms,
            exit_code=self.engine.exits[name],
            engine_state={"Status": "exited", "StartedAt": "2026-01-01T00:00:00Z"},
            stopped=controls.signal.cause is not None and stop.cause is None,
        )
        await on_change(state)
        return state

    async def _started(
        self, state: OperationState, name: str, on_change: Callable[[OperationState], Awaitable[None]]
    ) -> OperationState:
        began = state.started_ms if state.started_ms is not None else self._now()
        state = replace(
            state, status=OperationStatus.RUNNING, started_ms=began, starts=state.starts + 1, container_id=f"id-{name}"
        )
        await on_change(state)
        self.engine.running[name] = asyncio.Event()
        self.engine.starts += 1
        self.engine.started.append(name)
        return state

    async def _ended_or_restarted(self, name: str, word: EitherSignal, controls: OperationControls) -> bool:
        """Until the container has ended (False), or is to begin anew (True)."""
        ended = self.engine.running[name]
        async with asyncio.TaskGroup() as group:
            waits = [
                group.create_task(ended.wait()),
                group.create_task(word.wait()),
                group.create_task(controls.restart_asked.wait()),
            ]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in waits:
                task.cancel()
        if ended.is_set():
            return False
        if word.cause is None:
            return True
        self.engine.stops.append(word.cause)
        self.engine.stopped.append(name)
        self.engine.exit(137, name)
        return False

    async def make_volume(
        self,
        operation: PlannedOperation,
        previous: OperationState | None,
        labels: Sequence[tuple[str, str]],
        *,
        on_change: Callable[[OperationState], Awaitable[None]],
        stop: StopSignal,
        on_progress: Callable[[str], None],
    ) -> OperationState:
        assert dict(labels)["gpunode.job"]
        now = self._now()
        self.engine.volumes.append(operation.volume)
        state = previous or OperationState(operation.index, operation.id, operation.group, OperationStatus.INIT)
        state = replace(state, status=OperationStatus.SUCCESS, started_ms=now, ended_ms=now, exit_code=0)
        await on_change(state)
        return state

    async def clean_job(self, job: Address, network: str) -> None:
        self.engine.cleaned.append(job)

    def _now(self) -> int:
        return round(self.clock.time() * 1000)


def view(name: str) -> ContainerView:
    """A container that runs."""
    return ContainerView(
        id=f"id-{name}",
        name=name,
        labels={},
        status="running",
        running=True,
        exit_code=None,
        state={},
        image_id="",
        entrypoint=None,
        command=None,
        started_at="",
        created_at="",
        addresses=("10.0.0.2",),
    )


@dataclass
class FakeContent:
    """A network of content: sources, stores and this host's folder."""

    files: dict[Cid, bytes] = field(default_factory=dict)
    kept: dict[Cid, bytes] = field(default_factory=dict)
    fetch_errors: list[GpunodeError] = field(default_factory=list)
    publish_errors: list[GpunodeError] = field(default_factory=list)
    published: list[str] = field(default_factory=list)

    def offer(self, body: bytes) -> Cid:
        cid = file_cid(body)
        self.files[cid] = body
        return cid

    @property
    def network(self) -> FakeNetwork:
        return FakeNetwork(self)

    async def add_file(self, name: str, data: bytes) -> Cid:
        cid = file_cid(data)
        self.kept[cid] = data
        return cid

    async def fetch(self, cid: Cid, limit: int) -> bytes:
        if cid not in self.kept:
            raise ContentUnavailable("not kept here")
        return self.kept[cid]

    async def remove(self, cid: Cid) -> None:
        self.kept.pop(cid, None)


@dataclass
class FakeNetwork:
    """The fetching and publishing side."""

    content: FakeContent

    async def fetch(self, cid: Cid, limit: int) -> FetchedDefinition:
        if self.content.fetch_errors:
            raise self.content.fetch_errors.pop(0)
        body = self.content.files.get(cid)
        if body is None:
            raise ContentUnavailable(f"no source has {cid}")
        if file_cid(body) != cid:
            raise ContentMismatch("bytes do not match")
        if len(body) > limit:
            raise ContentTooLarge("too large")
        return FetchedDefinition(cid, body, "fake")

    store_names = ("fake", "other")

    async def publish(self, name: str, data: bytes) -> tuple[Cid, tuple[str, ...]]:
        if self.content.publish_errors:
            raise self.content.publish_errors.pop(0)
        self.content.published.append(name)
        return self.content.offer(data), ("fake",)


class FakeMeters:
    """Meters that read one joule, and keep when they began where a meter keeps its samples."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.started = 0
        self._first_ms = 0
        self.joules: float | None = 1.0

    @asynccontextmanager
    async def meter(self, uuids: tuple[str, ...], samples: Path | None = None) -> AsyncIterator[FakeMeters]:
        self.started += 1
        self._first_ms = round(self._clock.time() * 1000)
        if samples is not None:
            samples.parent.mkdir(exist_ok=True)
            if samples.exists():
                self._first_ms = int(samples.read_text())
            else:
                samples.write_text(str(self._first_ms))
        yield self

    async def reading(self) -> EnergyReading:
        return EnergyReading(joules=self.joules, source="simulated", first_ms=self._first_ms)
