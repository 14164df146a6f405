"""What the owner's API needs of the running agent, and the records it speaks in.

Nothing here reads the chain: all of it is known from the journal and from the job as it runs, so that a stranger's
request costs no call. Documents (`JobView.state`, results) are in the Nosana node's own form, as `node/job/result.py`
makes them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from node.records import Address, Cid


class Progress(StrEnum):
    """How far an operation is, as the API spells it (Nosana node)."""

    INIT = "init"
    PENDING = "pending"
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    RESTARTING = "restarting"
    FINISHED = "finished"
    FAILED = "failed"


class ServiceStatus(StrEnum):
    """Whether an exposed port answers."""

    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"
    UNKNOWN = "UNKNOWN"


class LogKind(StrEnum):
    """What a line of a job's log is."""

    CONTAINER = "container"
    INFO = "info"
    ERROR = "error"


SYSTEM = "system"
"""Operation and group of log lines that belong to no operation."""


@dataclass(frozen=True, slots=True)
class OwnedJob:
    """A job that this host has or had, as far as requests are judged by it."""

    address: Address
    owner: Address
    """`job.project`: who signs."""
    node: Address
    """The key that it was given to."""
    definition_cid: Cid
    timeout: int
    """Seconds, as last extended."""


@dataclass(frozen=True, slots=True)
class OperationProgress:
    """One operation on its way."""

    id: str
    group: str
    status: Progress


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it stands."""

    state: Mapping[str, Any]
    """The flow state: `status`, `startTime`, `endTime`, `errors` (a list, always), `opStates` (without `logs` and
    `providerId`), and `secrets` where services are exposed. `endTime` is set once the job's work is over."""
    operations: tuple[OperationProgress, ...] | None = None
    """In the definition's order; None: there is no plan (yet)."""
    current_group: str | None = None
    """None: between groups, before the first and after the last."""


@dataclass(frozen=True, slots=True)
class LogFrame:
    """One line of a job's log, or one word of the agent about the job."""

    timestamp_ms: int
    """Never falls within one job."""
    operation: str
    """Its id; `system` for what belongs to none."""
    group: str
    message: str | Mapping[str, Any]
    """Text with its newline; for pull progress `{type, payload}` with the types `multi-process-bar-start`,
    `multi-process-bar-update` and `multi-process-bar-stop`."""
    kind: LogKind | None = None
    """None: an event of an operation that has no type on the network."""
    stream: str = ""
    """`stdout`, `stderr` or `nodeerr` for a container's output."""


@dataclass(frozen=True, slots=True)
class StateFrame:
    """One step of the agent with a job, for the socket `/status`."""

    status: str
    state: Mapping[str, Any]
    timestamp_ms: int
    index: int
    """Counts from 0 within the job."""


@dataclass(frozen=True, slots=True)
class ServiceView:
    """An exposed port as its owner sees it."""

    id: str
    """First label of the host name."""
    operation: str
    port: str
    url: str
    """With its scheme."""
    status: ServiceStatus


@dataclass(frozen=True, slots=True)
class StatSample:
    """What one operation's container used. Bytes; disk and network since the container started."""

    operation: str
    timestamp_ms: int
    cpu_percent: float
    memory_usage: int
    memory_limit: int
    disk_read: int
    disk_write: int
    network_received: int
    network_sent: int


@dataclass(frozen=True, slots=True)
class NodeView:
    """What anybody may know of a node of this host."""

    address: Address
    started_at: float
    """Unix seconds: when the agent started."""
    state: str
    """`RUNNING_JOB`, `QUEUED`, `JOINING_MARKET`, `STARTING`, `RESTARTING` or `OTHER` (Nosana node)."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """`version`, `country`, `network`, `system_environment`, `cpu`, `disk_gb`, `ram_mb`, `gpus`."""


class OwnerPort(Protocol):
    """The running agent, as owners of its jobs see it. `job` is always an address that `owned` knows.

    Methods return at once or after reading local files; none waits for a job.
    """

    def nodes(self) -> tuple[Address, ...]:
        """The keys of this host's lanes, the first lane's first."""
        ...

    async def node(self, address: Address) -> NodeView:
        """What is public of one of `nodes`."""
        ...

    async def owned(self, job: Address) -> OwnedJob | None:
        """The newest run of a job on this host, running or over; None: the journal knows no such job."""
        ...

    async def view(self, job: Address) -> JobView | None:
        """The job as it stands, also when it is over; None where nothing is known of it any more."""
        ...

    def watch(self, job: Address) -> AbstractAsyncContextManager[AsyncIterator[JobView]]:
        """The job as it stands now, and again whenever it has changed. Who is slow gets the newest view, not each.
        Ends when the job is over, after the last view."""
        ...

    async def definition(self, job: Address) -> bytes | None:
        """The definition's bytes (the delivered one of a confidential job); None: not there (yet, or any more)."""
        ...

    def follow(self, job: Address) -> AbstractAsyncContextManager[AsyncIterator[LogFrame | None]]:
        """All log lines that are kept, then a None, then live ones, until the job is over.

        The reader is read for: an implementation holds a bounded number of lines for it, and raises OwnerRefused out
        of the iterator when it falls further behind. Raises OwnerRefused on entry where the job does not run.
        """
        ...

    def states(self, job: Address) -> AbstractAsyncContextManager[AsyncIterator[StateFrame]]:
        """The agent's steps with the job so far, then live ones, until the job is over. Bounded as `follow` is."""
        ...

    async def services(self, job: Address) -> tuple[ServiceView, ...]:
        """The ports that are exposed now; empty before exposure and after the end."""
        ...

    def running(self) -> tuple[Address, ...]:
        """Jobs whose containers may run now."""
        ...

    async def stats(self, job: Address) -> tuple[StatSample, ...]:
        """What each running operation's container uses now."""
        ...

    async def stop(self, job: Address) -> None:
        """End the job as if its time were over. Raises OwnerRefused where its work is over."""
        ...

    async def restart_operation(self, job: Address, group: str, operation: str) -> None:
        """Stop and start one operation anew. Raises OwnerRefused."""
        ...

    async def stop_operation(self, job: Address, group: str, operation: str) -> None:
        """End one operation; its group need not be the current one. Raises OwnerRefused."""
        ...

    async def restart_group(self, job: Address, group: str) -> None:
        """As `restart_operation`, for all operations of a group."""
        ...

    async def stop_group(self, job: Address, group: str) -> None:
        """As `stop_operation`, for all operations of a group."""
        ...

    async def move_group(self, job: Address, group: str) -> None:
        """End the current group's operations, and go on with this group. Raises OwnerRefused."""
        ...

    async def deliver(self, job: Address, definition: bytes) -> None:
        """Take a confidential job's definition; durable when it returns. Raises NotWaiting."""
        ...

    async def result(self, job: Address) -> bytes:
        """The full result (JSON) of a job that waits for its owner to collect it. Raises NotWaiting."""
        ...

    async def collected(self, job: Address) -> None:
        """The whole result has been handed to its owner: the job need not wait any longer."""
        ...
