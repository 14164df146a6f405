"""An agent that owners can ask, without an agent: one job whose every answer a test can set."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from solders.keypair import Keypair

from node.api.owner.port import (
    JobView,
    LogFrame,
    LogKind,
    NodeView,
    OperationProgress,
    OwnedJob,
    Progress,
    ServiceStatus,
    ServiceView,
    StateFrame,
    StatSample,
)
from node.base58 import b58encode
from node.errors import NotWaiting, OwnerRefused
from node.records import Address, Cid

JOB = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")
OTHER_JOB = Address("9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin")
CID = Cid("QmVp8m3Uq1Cm6JJ3NsuTMSGLNnqXa1mC85uV7YxBREQ78p")
OWNER = Keypair.from_seed(bytes(range(32)))
STRANGER = Keypair.from_seed(bytes(range(1, 33)))
NODE = Keypair.from_seed(bytes(range(2, 34)))
TIMEOUT = 3600

DEFINITION = {
    "version": "0.1",
    "type": "container",
    "ops": [{"type": "container/run", "id": "hello", "args": {"image": "ubuntu", "cmd": "echo hello"}}],
}


def signed(message: str, key: Keypair = OWNER, *, time_ms: int | None = None) -> str:
    """An auth string as the network's clients make it."""
    text = f"{message}:{b58encode(bytes(key.sign_message(message.encode())))}"
    return text if time_ms is None else f"{text}:{time_ms}"


def header(message: str = JOB, key: Keypair = OWNER, *, time_ms: int | None = None) -> dict[str, str]:
    """The header with an auth string."""
    return {"authorization": signed(message, key, time_ms=time_ms)}


def sample(operation: str, timestamp_ms: int) -> StatSample:
    """A sample of an operation that uses a quarter of its memory."""
    return StatSample(operation, timestamp_ms, 12.5, 256, 1024, 1, 2, 3, 4)


class AgentDouble:
    """An OwnerPort over fields that a test sets; `calls` has what was asked of it."""

    def __init__(self) -> None:
        owner, node = Address(str(OWNER.pubkey())), Address(str(NODE.pubkey()))
        self.jobs = {
            job: OwnedJob(address=job, owner=owner, node=node, definition_cid=CID, timeout=TIMEOUT)
            for job in (JOB, OTHER_JOB)
        }
        self.calls: list[tuple[Any, ...]] = []
        self.lookups = 0
        self.current: JobView | None = view("running")
        self.changed = asyncio.Event()
        self.body: bytes | None = json.dumps(DEFINITION).encode()
        self.waits_for_definition = False
        self.waiting_result: bytes | None = None
        self.exposed: tuple[ServiceView, ...] = ()
        self.runs = True
        self.kept: list[LogFrame] = []
        self.live: asyncio.Queue[LogFrame | None] = asyncio.Queue()
        self.steps: list[StateFrame] = []
        self.samples: tuple[StatSample, ...] = ()
        self.refusal: str = ""

    def change(self, current: JobView) -> None:
        """The job is now so."""
        self.current = current
        self.changed.set()

    def nodes(self) -> tuple[Address, ...]:
        return (Address(str(NODE.pubkey())),)

    async def node(self, address: Address) -> NodeView:
        return NodeView(address, 1_700_000_000.0, "RUNNING_JOB", {"version": "1.0.0", "country": "NL"})

    async def owned(self, job: Address) -> OwnedJob | None:
        self.lookups += 1
        return self.jobs.get(job)

    async def view(self, job: Address) -> JobView | None:
        return self.current

    @asynccontextmanager
    async def watch(self, job: Address) -> AsyncIterator[AsyncIterator[JobView]]:
        async def views() -> AsyncIterator[JobView]:
            while True:
                self.changed.clear()
                assert self.current is not None
                yield self.current
                await self.changed.wait()

        yield views()

    async def definition(self, job: Address) -> bytes | None:
        return self.body

    @asynccontextmanager
    async def follow(self, job: Address) -> AsyncIterator[AsyncIterator[LogFrame | None]]:
        if not self.runs:
            raise OwnerRefused("the job does not run")

        async def frames() -> AsyncIterator[LogFrame | None]:
            for frame in self.kept:
                yield frame
            yield None
            while (frame := await self.live.get()) is not None:
                yield frame

        yield frames()

    @asynccontextmanager
    async def states(self, job: Address) -> AsyncIterator[AsyncIterator[StateFrame]]:
        async def frames() -> AsyncIterator[StateFrame]:
            for step in self.steps:
                yield step

        yield frames()

    async def services(self, job: Address) -> tuple[ServiceView, ...]:
        return self.exposed

    def running(self) -> tuple[Address, ...]:
        return (JOB,) if self.runs else ()

    async def stats(self, job: Address) -> tuple[StatSample, ...]:
        return self.samples

    async def stop(self, job: Address) -> None:
        self._act("stop", job)

    async def restart_operation(self, job: Address, group: str, operation: str) -> None:
        self._act("restart_operation", job, group, operation)

    async def stop_operation(self, job: Address, group: str, operation: str) -> None:
        self._act("stop_operation", job, group, operation)

    async def restart_group(self, job: Address, group: str) -> None:
        self._act("restart_group", job, group)

    async def stop_group(self, job: Address, group: str) -> None:
        self._act("stop_group", job, group)

    async def move_group(self, job: Address, group: str) -> None:
        self._act("move_group", job, group)

    async def deliver(self, job: Address, definition: bytes) -> None:
        if not self.waits_for_definition:
            raise NotWaiting("the job has its definition")
        self.calls.append(("deliver", job, definition))
        self.waits_for_definition = False

    async def result(self, job: Address) -> bytes:
        if self.waiting_result is None:
            raise NotWaiting("nobody waits")
        return self.waiting_result

    async def collected(self, job: Address) -> None:
        self.calls.append(("collected", job))
        self.waiting_result = None

    def _act(self, *call: Any) -> None:
        if self.refusal:
            raise OwnerRefused(self.refusal)
        self.calls.append(call)


def view(status: str, *, ended: int | None = None, group: str | None = "one") -> JobView:
    """A job of two operations, the second of which waits."""
    return JobView(
        state={
            "status": status,
            "startTime": 1_700_000_000_000,
            "endTime": ended,
            "errors": [],
            "opStates": [{"operationId": "hello", "group": "one", "status": "running", "exitCode": None}],
        },
        operations=(
            OperationProgress("hello", "one", Progress.RUNNING),
            OperationProgress("after", "two", Progress.WAITING),
        ),
        current_group=group,
    )


def line(text: str, at: int, *, operation: str = "hello", group: str = "one", stream: str = "stdout") -> LogFrame:
    """A line of container output."""
    return LogFrame(at, operation, group, text, LogKind.CONTAINER, stream)


def service(status: ServiceStatus) -> ServiceView:
    """An exposed port."""
    return ServiceView("3Js9", "hello", "8080", "https://3Js9.node.example", status)
