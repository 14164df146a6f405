"""What lanes and stages need of the other rooms, as narrow protocols that tests can replace.

Wired to the real rooms in node/agent/wiring.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from node.container.controls import OperationControls
from node.container.engine import ContainerView
from node.container.stop import StopSignal
from node.errors import LaneDegraded
from node.job.store import Store
from node.logins import Credentials, DockerLogin
from node.market.watch import JobEvent, LaneEvent
from node.proof.commitments import Reveal
from node.records import (
    Address,
    Assignment,
    Cid,
    EnergyReading,
    FetchedDefinition,
    Gpu,
    OperationState,
    Outcome,
    Plan,
    PlannedOperation,
    Run,
    Settlement,
    Signature,
    WorkReference,
)

# --- the market ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the lane's key stands on its market: runs it has, and its place in the queue (from 1)."""

    runs: tuple[Run, ...]
    position: int | None
    leaving: bool = False
    """The key left the queue, and a fork may still take that back."""

    def unasked(self, *, asked: bool) -> str:
        """What the key has that nobody here asked for; `asked`: the journal asked for one place or one run."""
        if len(self.runs) > 1:
            return f"has {len(self.runs)} jobs at once"
        if asked or (not self.runs and self.position is None):
            return ""
        return "has a job" if self.runs else "waits in the queue"


class LaneMarket(Protocol):
    """One lane's dealings with its market. Methods raise the errors of the chain and market branches."""

    @property
    def node(self) -> Address:
        """The lane's key."""
        ...

    async def prepare(self) -> None:
        """See that the market exists and that funds, token account, stake and access key are there; make what may
        be made."""
        ...

    async def register(self, gpus: tuple[Gpu, ...]) -> None:
        """Register the host with these GPUs, or bring its NodeAccount and host card up to date."""
        ...

    async def resume(self) -> None:
        """Bring every transaction an earlier life of the agent left under way to its end."""
        ...

    async def tend(self) -> None:
        """See landed transactions through to finality, for as long as the lane runs."""
        ...

    async def reopened(self) -> None:
        """Return when a settled job was opened again since the last time: a fork took back what settled it."""
        ...

    async def is_gone(self, assignment: Assignment) -> bool:
        """Whether the chain has finalized that the run is over: ended by its poster, or taken away."""
        ...

    async def standing(self) -> Standing:
        """Where the lane stands now."""
        ...

    async def assignment(self, run: Run) -> Assignment:
        """The record of a run that the chain shows for this lane's key."""
        ...

    async def join(self) -> None:
        """Send `work`; returns when it has landed, harmless when the lane is queued or has a run already."""
        ...

    async def leave(self) -> Signature | None:
        """Leave the queue; None when the lane was not in it."""
        ...

    def watch(self) -> AbstractAsyncContextManager[AsyncIterator[LaneEvent]]:
        """Follow the lane's place and runs; the current state comes first."""
        ...

    def watch_job(self, assignment: Assignment) -> AbstractAsyncContextManager[AsyncIterator[JobEvent]]:
        """Follow one job; what changed since the assignment comes first."""
        ...

    async def timeout_of(self, assignment: Assignment) -> int | None:
        """Seconds that the job is paid for in all, as the chain has it now; None where its account is closed."""
        ...

    async def settle(self, assignment: Assignment, result: Cid, memo: str) -> Settlement:
        """Get a result on-chain, whatever instruction that takes now."""
        ...

    async def quit(self, assignment: Assignment, reason: str) -> Settlement:
        """Give a job back, unpaid."""
        ...

    async def head(self, assignment: Assignment) -> tuple[int, str]:
        """A recent slot, not before the assignment's, and its blockhash."""
        ...


class ChainTime(Protocol):
    """The time by the chain's clock, which paid time is counted by."""

    def time(self) -> float:
        """Unix seconds, as far as known: the host's clock where the chain's was never read."""
        ...

    async def sync(self) -> None:
        """Read the chain's clock; raises ChainError."""
        ...

    async def corrected(self) -> None:
        """Return when the time turns out to be another than it seemed."""
        ...


class HostHealth(Protocol):
    """Whether this host can serve, as its lanes see it. What is unknown for a moment is no hindrance."""

    def hindrance(self) -> LaneDegraded | None:
        """Why no job must be taken now, with what to do about it."""
        ...

    async def hindered(self) -> None:
        """Return as soon as there is a hindrance."""
        ...

    async def lost(self) -> LaneDegraded:
        """Return as soon as the lane's GPUs are known to be gone, with what is known of it."""
        ...


class Hygiene(Protocol):
    """Sees that a job leaves the lane's GPUs as it found them."""

    async def begin(self, run: Address, uuids: tuple[str, ...]) -> tuple[str, ...]:
        """Keep what the GPUs are like before a run; lines worth telling."""
        ...

    async def settle(self, on_progress: Callable[[str], None]) -> None:
        """Return when they are as they were before the last run; raises LaneDegraded or GpuError."""
        ...

    async def accept(self) -> None:
        """Take what was found and told for the new normal."""
        ...


# --- the job ------------------------------------------------------------------------------------------------


class JobDesk(Protocol):
    """Turns definitions into plans and outcomes into documents, for one lane. Synchronous: call it in a thread."""

    def plan(self, assignment: Assignment, body: bytes, gpu_uuids: tuple[str, ...]) -> Plan:
        """What will run on these GPUs.

        Raises DefinitionInvalid (settled as such), JobRefused or another JobError (quit).
        """
        ...

    def store(self, assignment: Assignment, plan: Plan, body: bytes) -> Store:
        """What literals stand for before anything has run."""
        ...

    def complete(self, operation: PlannedOperation, body: bytes, store: Store) -> PlannedOperation:
        """The operation with its literals filled in. Raises LiteralUnresolved."""
        ...

    def credentials(self, index: int, body: bytes, store: Store) -> Credentials:
        """What the operation logs in with. Raises LiteralUnresolved."""
        ...

    def result(self, plan: Plan | None, outcome: Outcome) -> bytes:
        """The result document, within the store's limit."""
        ...

    def receipt(self, facts: ReceiptFacts) -> bytes:
        """The signed receipt."""
        ...

    def memo(self, receipt: Cid) -> str:
        """The memo that anchors a receipt."""
        ...


@dataclass(frozen=True, slots=True)
class ReceiptFacts:
    """What a receipt states beyond what it is signed with."""

    assignment: Assignment
    plan: Plan | None
    outcome: Outcome
    result_cid: Cid
    previous: tuple[Cid, Signature] | None
    """The lane's last settled receipt and the signature that settled its job."""
    genesis: str | None
    """Genesis hash of the chain the journal belongs to."""
    work: WorkReference | None = None
    """The lane's newest GPU work proof."""
    ladder: str | None = None
    """SHA-256 (hex) of the host's newest precision ladder."""
    previous_reason: str = ""
    """Why there is no previous one, where there is none."""
    seen: tuple[Cid, Signature] | None = None
    """The key's newest receipt that the chain showed, where the journal knows none."""
    reveal: Reveal | None = None
    """Of a confidential job: what its commitments are made of."""


# --- content, containers, GPUs --------------------------------------------------------------------------------


class Fetcher(Protocol):
    """Reads content by CID, proven to match."""

    async def fetch(self, cid: Cid, limit: int) -> FetchedDefinition:
        """Raises ContentUnavailable, ContentMismatch or ContentTooLarge."""
        ...


class Publisher(Protocol):
    """Uploads files."""

    @property
    def store_names(self) -> Sequence[str]:
        """Every store of the settings, each by a name of its own."""
        ...

    async def publish(self, name: str, data: bytes) -> tuple[Cid, tuple[str, ...]]:
        """The CID and the stores that took the file, at least one. Raises a ContentError."""
        ...


class Drawer(Protocol):
    """A folder of this host with one durable file per CID."""

    async def add_file(self, name: str, data: bytes) -> Cid:
        """Keep the bytes durably."""
        ...

    async def fetch(self, cid: Cid, limit: int) -> bytes:
        """The bytes, proven to match. Raises a ContentError."""
        ...


class Operations(Protocol):
    """Runs operations in containers; the reconcile loop of one operation."""

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
        """Bring one operation to its end; adopt what an earlier life of the agent left running. `on_started` is awaited
        whenever its container runs: started, started anew or adopted."""
        ...

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
        """Bring an operation that makes a volume to its end."""
        ...

    def recall(self, network: str, states: Sequence[OperationState]) -> None:
        """Tell what the operations of a job had counted of its network before this life of the agent."""
        ...

    async def clean_job(self, job: Address, network: str) -> None:
        """Remove what a job that is over has left on the engine. Raises nothing."""
        ...


class Meter(Protocol):
    """Measures GPUs over a span of time."""

    async def reading(self) -> EnergyReading:
        """What was used since the meter started."""
        ...


class MeterMaker(Protocol):
    """Starts meters."""

    def meter(self, uuids: tuple[str, ...], samples: Path | None = None) -> AbstractAsyncContextManager[Meter]:
        """A meter over these GPUs; `samples` is a file that takes the sample lines."""
        ...
