"""The frozen records that travel between rooms.

Addresses, signatures and CIDs are text (base58) here, because records go into the journal and into JSON; the
chain room turns them into keys. Times are unix seconds unless a name ends in `_ms`. Amounts are lamports or
micro-NOS (1e-6 NOS), both integers.

How a job flows: Assignment -> FetchedDefinition -> Plan -> Outcome -> Report -> Settlement. Each is in the
journal before the next stage starts.

One module on purpose, though a long one: it holds declarations only, and who looks for a record finds it here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, NewType

from node.plan_records import NO_RESTART, FolderMount, Resource, RestartRule, Service, VolumeMount

Address = NewType("Address", str)
"""A Solana account address, base58."""
Cid = NewType("Cid", str)
"""A CIDv0 (base58, begins with Qm): sha2-256 of a dag-pb node."""
Signature = NewType("Signature", str)
"""A transaction signature, base58."""

SYSTEM_PROGRAM = Address("11111111111111111111111111111111")


# --- what is on the chain -------------------------------------------------------------------------------


class QueueType(IntEnum):
    """What waits in a market's queue (Nosana jobs program)."""

    JOBS = 0
    NODES = 1
    EMPTY = 255


class JobState(IntEnum):
    """A job's stored state. A running job is QUEUED with a run account beside it (Nosana jobs program)."""

    QUEUED = 0
    DONE = 2
    STOPPED = 3


@dataclass(frozen=True, slots=True)
class Market:
    """A market account: price, rules and the queue."""

    address: Address
    authority: Address
    job_expiration: int
    """Seconds a finished job's account is kept."""
    job_price: int
    """Micro-NOS per second."""
    job_timeout: int
    job_type: int
    vault: Address
    access_key: Address
    """Collection a node must hold a token of; the system program's address where none is asked."""
    xnos_minimum: int
    queue_type: QueueType
    queue: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """A job account: what a poster pays for."""

    address: Address
    definition_cid: Cid
    result_cid: Cid | None
    market: Address
    node: Address
    payer: Address
    price: int
    """Micro-NOS per second."""
    project: Address
    """The poster: who may extend, end or delist the job."""
    state: JobState
    time_end: int
    time_start: int
    timeout: int
    """Seconds that are paid at most."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run account: exists while a node works on a job."""

    address: Address
    job: Address
    node: Address
    payer: Address
    """Who paid the run account's rent and gets it back."""
    state: int
    time: int
    """Unix seconds at which it was created: the clock of the job's deadline and pay."""


@dataclass(frozen=True, slots=True)
class Stake:
    """A stake account (Nosana staking program)."""

    address: Address
    authority: Address
    amount: int
    """Micro-NOS deposited."""
    duration: int
    """Seconds the stake is locked after unstaking."""
    time_unstake: int
    vault: Address
    xnos: int
    """Weight that markets compare with their minimum."""


@dataclass(frozen=True, slots=True)
class NodeProfile:
    """What a NodeAccount says of a host (Nosana nodes program)."""

    architecture: int
    """0 amd64, 1 arm32v6, 2 arm32v7, 3 arm64v8, ... (Nosana nodes program)."""
    country: int
    """ISO 3166-1 numeric code."""
    cpu: int
    """Logical processors."""
    gpu: int
    """Number of GPUs."""
    memory: int
    """GiB."""
    iops: int
    storage: int
    """GiB."""
    endpoint: str
    icon: str
    version: str


@dataclass(frozen=True, slots=True)
class NodeAccount:
    """A registered host."""

    address: Address
    authority: Address
    audited: bool
    profile: NodeProfile


# --- GPUs -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as its provider reports it; None means "not available"."""

    provider: str
    """`nvidia` or `simulated`."""
    index: int
    uuid: str
    name: str
    vram_bytes: int | None
    driver: str | None
    cuda: str | None
    compute_capability: str | None
    power_limit_watts: float | None = None
    power_default_watts: float | None = None
    power_most_watts: float | None = None
    """Which its owner could set."""
    pcie_width_most: int | None = None
    """Lanes, of card and slot together."""
    pcie_generation_most: int | None = None
    slowdown_temperature: int | None = None
    """Degrees Celsius at which it slows itself down."""
    shutdown_temperature: int | None = None
    bus_id: str | None = None
    ecc: bool | None = None
    persistence: bool | None = None
    compute_mode: str | None = None
    """`default`, `exclusive` or `prohibited`."""
    mig: bool | None = None
    """Whether it is divided, or ready to be."""
    parent: str | None = None
    """UUID of the GPU that this MIG device is a part of; None: it is a whole one."""
    slices: int | None = None
    """Of a MIG device: how many of the whole's."""


@dataclass(frozen=True, slots=True)
class GpuTelemetry:
    """One GPU over a span, from its samples. None: this GPU or driver does not tell."""

    uuid: str
    samples: int
    seconds: float
    """From the first sample to the last."""
    joules: float | None
    source: str
    """As in EnergyReading."""
    utilisation_mean: float | None = None
    """0–1."""
    memory_most: int | None = None
    """Bytes in use, at most."""
    power_most: float | None = None
    """Watts."""
    temperature_most: int | None = None
    """Degrees Celsius."""
    throttled: tuple[tuple[str, float], ...] = ()
    """Reason for lower clocks and seconds of it, by reason; idling is none."""
    errors: tuple[str, ...] = ()
    """What the GPU reported as failed within the span, for people: Xid, uncorrected memory errors, lost."""
    gap_seconds: float = 0.0
    """Of `seconds`, those between samples that are too far apart to say anything of what was between them, but by the
    energy counter: a driver that did not answer, or an agent that was not running."""


@dataclass(frozen=True, slots=True)
class EnergyReading:
    """Energy used over a span of time."""

    joules: float | None
    source: str
    """`counter` (metered), `power` (integrated samples), `simulated` or `none`."""
    utilisation_mean: float | None = None
    """0–1 over the span."""
    samples: int = 0
    """Lines that the root is over: one for each sample of a GPU, and one for each new reason why one was not read."""
    samples_root: str | None = None
    """Merkle root (hex) over the samples' canonical lines."""
    gpus: tuple[GpuTelemetry, ...] = ()
    first_ms: int | None = None
    """Unix milliseconds from which on all of the GPUs were sampled."""
    last_ms: int | None = None
    """Unix milliseconds up to which all of them were."""


@dataclass(frozen=True, slots=True)
class WorkReference:
    """The newest GPU work proof of a lane, as receipts name it."""

    sha256: str
    """Of its document; hex."""
    cid: Cid
    """Of the same document, where content is kept."""
    root: str
    """That was anchored; hex."""
    signature: Signature
    """Of the memo's transaction."""
    engine: str
    """`cuda` or `cpu`."""
    gpu: str
    """UUID that the proof names; `cpu`: none."""
    made_ms: int
    """Unix milliseconds at which it was done."""


# --- a job on its way through the stages ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assignment:
    """The chain gave this lane a job. Made by watch."""

    lane: str
    run: Run
    job: Job
    slot: int
    """Slot of the read or notification that showed it."""
    blockhash: str
    """Blockhash known at that slot: the receipt's start."""
    seen_at: float


class LegKind(StrEnum):
    """Who goes to whom when a definition or a result is not pinned, as definitions spell it."""

    API = "api"
    """This host asks an address of the poster's."""
    LISTEN = "api-listen"
    """The poster asks this host's API."""


@dataclass(frozen=True, slots=True)
class Leg:
    """How a confidential job's definition comes, or how its result goes."""

    kind: LegKind
    endpoint: str = ""
    """The poster's address, as the pinned definition has it."""


@dataclass(frozen=True, slots=True)
class FetchedDefinition:
    """A definition's bytes, proven to match the CID. Made by fetch."""

    cid: Cid
    body: bytes
    source: str
    """Which store or gateway served it; of a delivered one: `delivered`."""
    send: Leg | None = None
    """How the definition came that stands in for the pinned one; None: the pinned one counts."""
    receive: Leg | None = None
    """How the result goes to its owner instead of being pinned, by the pinned definition."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one container may use, and what all containers of its job may use together: memory, log, disk, inodes."""

    memory_bytes: int
    pids: int
    cpus: float
    shm_bytes: int
    open_files: int
    log_bytes: int
    disk_bytes: int | None = None
    """Bytes written to the host's disk, volumes included; None: no limit."""
    inodes: int | None = None
    """Files and folders on the host's disk; None: no limit."""


class IsolationProfile(StrEnum):
    """How much a container may do inside itself."""

    STANDARD = "standard"
    """The capabilities ordinary images need, under no-new-privileges."""
    SEALED = "sealed"
    """None at all."""


DRIVER_CAPABILITIES = ("compute", "utility", "video")
"""Parts of the GPU driver, by NVIDIA's names, that ordinary images need."""


class Egress(StrEnum):
    """What a job may reach over the network."""

    OPEN = "open"
    """The internet, and nothing of the host's own surroundings."""
    NONE = "none"
    """Nothing; this host can still ask its ports."""
    LIST = "list"
    """What the operator listed."""


STRICTNESS = (Egress.OPEN, Egress.LIST, Egress.NONE)
"""From the loosest to the strictest."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container, complete: the container room needs nothing else to start it."""

    name: str
    image: str
    command: tuple[str, ...] | None
    entrypoint: tuple[str, ...] | None
    env: tuple[tuple[str, str], ...]
    work_dir: str | None
    gpu_uuids: tuple[str, ...]
    """Exactly these devices; empty: no GPU at all."""
    labels: tuple[tuple[str, str], ...]
    network: str
    aliases: tuple[str, ...]
    limits: Limits
    profile: IsolationProfile
    runtime: str = "runc"
    gpu_capabilities: tuple[str, ...] = DRIVER_CAPABILITIES
    """What of the GPU driver its libraries give it (NVIDIA's names); counts with a GPU only."""
    egress: Egress = Egress.OPEN
    resolvers: tuple[str, ...] = ()
    """Name servers that it asks; empty: the engine's."""
    volumes: tuple[VolumeMount, ...] = ()
    folders: tuple[FolderMount, ...] = ()
    """Of remote data; known once those have been fetched."""


@dataclass(frozen=True, slots=True)
class PlannedOperation:
    """One step of a job, ready to run."""

    index: int
    id: str
    group: str
    container: ContainerSpec | None
    """None: it makes a volume."""
    results: tuple[tuple[str, Any], ...] = ()
    """Name -> regex text, or a mapping with `regex` and `logType`, as the definition has it."""
    pending: tuple[str, ...] = ()
    """Literals that only other operations' outputs can fill in; until then the container is a sketch."""
    volume: str = ""
    """The volume that this operation makes (engine's name), instead of running a container; empty: it runs one."""
    depends_on: tuple[str, ...] = ()
    """Ids of operations of its group that are ready before it starts."""
    stop_with_dependencies: bool = False
    timeout: int | None = None
    """Seconds of run time, counted from the container's start; None: the job's."""
    restart: RestartRule = NO_RESTART
    services: tuple[Service, ...] = ()
    resources: tuple[Resource, ...] = ()
    has_login: bool = False
    """Its image is pulled with a login of its own, and removed afterwards."""

    @property
    def spec(self) -> ContainerSpec:
        """The container, for who knows that there is one."""
        if self.container is None:
            raise ValueError(f"operation {self.id} runs no container")
        return self.container


@dataclass(frozen=True, slots=True)
class Plan:
    """What will run, in order. Made by admit."""

    job: Address
    network: str
    operations: tuple[PlannedOperation, ...]
    notes: tuple[str, ...] = ()
    """What of the definition was left out, and why."""
    gpus: tuple[Gpu, ...] = ()
    """Those the containers are given, as their provider reported them when the job was admitted."""
    relaxed: tuple[str, ...] | None = None
    """Settings then in force that keep jobs less strictly than the agent does by itself; None: not known."""

    @property
    def containers(self) -> tuple[ContainerSpec, ...]:
        """Of the operations that run one, in order."""
        return tuple(operation.container for operation in self.operations if operation.container is not None)


@dataclass(frozen=True, slots=True)
class PulledImage:
    """An image that the agent had its engine pull, and may therefore remove."""

    reference: str
    """As the definition named it."""
    id: str
    """The engine's; empty while the pull is under way, and where it was cut off."""
    size_bytes: int
    used_at: float
    """Unix seconds at which a job last asked for it."""
    before: frozenset[str] = frozenset()
    """While the pull is under way: ids of the images that the host had before it."""
    private: bool = False
    """Pulled with a job's own login: only the registry says who else may have it, and it goes with its operation."""


class OperationStatus(StrEnum):
    """An operation's status as results spell it."""

    INIT = "init"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class OperationError:
    """One node-side error of an operation, as results spell it."""

    event: str
    """`image-pull-error`, `container-runtime-error`, `resource-error` or `operation-error`."""
    message: str
    code: int | None = None


@dataclass(frozen=True, slots=True)
class LogDigest:
    """What the log of an operation hashed to while it streamed."""

    root: str
    """Merkle root (hex) over fixed chunks of the kept log."""
    length: int
    """Bytes of the kept log."""
    truncated: bool = False
    path: str = ""
    """File below the data folder, relative."""
    last_timestamp: str = ""
    """Engine timestamp (RFC 3339, nanoseconds) of the last line; following resumes there."""


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """Bytes that crossed the border of a job's own network, with all headers."""

    received: int
    sent: int
    """By the job; what the packet filter then dropped is among them."""


@dataclass(frozen=True, slots=True)
class OperationState:
    """An operation as it stands; journaled at each change."""

    index: int
    id: str
    group: str
    status: OperationStatus
    container_id: str | None = None
    image_digest: str | None = None
    """`sha256:...` of the image as run."""
    command_hash: str | None = None
    """SHA-256 (hex) of the canonical JSON of entrypoint and command as run."""
    started_ms: int | None = None
    ended_ms: int | None = None
    exit_code: int | None = None
    engine_state: dict[str, Any] | None = None
    """The engine's own State object plus RestartCount."""
    errors: tuple[OperationError, ...] = ()
    log: LogDigest | None = None
    starts: int = 0
    network: NetworkUse | None = None
    """What crossed the border of the job's network and no other operation has counted, when its container had ended;
    so all operations' together are the job's. None: not counted."""
    began_ms: int | None = None
    """When its container was first told to start: the beginning of its own timeout."""
    pulled_ms: int | None = None
    """When the image of its first container was on this host."""
    restarts: int = 0
    """How often its rule had the present container started again."""
    earlier_starts: int = 0
    """Of the starts, those before its owner last had it begin anew."""
    earlier_errors: int = 0
    """Of the errors, those before its owner last had it begin anew: they do not judge what it does now."""
    stopped: bool = False
    """It was told to stop by itself, apart from its job."""
    timed_out: bool = False
    """It was ended because its own timeout had passed."""
    ready: bool = False
    """Whether what depends on it could start."""
    stopping: str = ""
    """Why it was stopped by itself, for people."""
    cause: EndCause | None = None
    """The end of the whole job that ended it, or kept it from starting; None: none did."""
    note: str = ""
    """A line of the node's own behind its log."""
    services: tuple[Service, ...] = ()
    """What it exposes, where that was not known before its literals were filled in."""


class EndCause(StrEnum):
    """Why a job's work ended."""

    COMPLETED = "completed"
    EXPIRED = "expired"
    """The deadline (run time + timeout) passed."""
    STOPPED = "stopped"
    """The poster ended the job."""
    HOST = "host"
    """This host gave the job up."""
    INVALID = "invalid"
    """The definition breaks the schema; settled with status `validation-error`."""
    UNPLANNED = "unplanned"
    """Its operations depend on each other in a way that cannot be run; settled with status `init error`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the work ended. Made by run."""

    job: Address
    cause: EndCause
    started_ms: int
    ended_ms: int
    operations: tuple[OperationState, ...]
    violations: tuple[dict[str, Any], ...] = ()
    energy: EnergyReading | None = None
    end_slot: int | None = None
    end_blockhash: str | None = None
    status: str = ""
    """The whole job's status as results spell it, where cause and operations do not tell; empty: they do."""
    errors: tuple[str, ...] = ()
    """Of the job as a whole."""
    receive: Leg | None = None
    """How the result goes to its owner, of whom nothing but how the job ended is pinned; None: the result is pinned."""
    handover: str | None = None
    """Why the result did not reach its owner; empty: it did; None: not tried yet, or nothing to hand over."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """This host will not do the job: settled by quit, never billed. Made by fetch, admit or run."""

    job: Address
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """Result and receipt, uploaded. Made by report."""

    job: Address
    result_cid: Cid
    receipt_cid: Cid
    result_bytes: int
    receipt_bytes: int
    stores: tuple[str, ...] = ()


class SettleKind(StrEnum):
    """How a job's outcome got on-chain, or why it could not."""

    FINISH = "finish"
    COMPLETE = "complete"
    QUIT = "quit"
    ALREADY = "already"
    """Our result was there already."""
    LOST = "lost"
    """Another result, a stopped job, an administrator or a cleaned account: `reason` says which."""


class PaySource(StrEnum):
    """Where the figure of a settlement's pay is from."""

    BALANCES = "balances"
    """The transaction's own token balances: exact."""
    ACCOUNT = "account"
    """What the job's account says, because no endpoint has the record: price times time."""
    UNKNOWN = "unknown"
    """Neither can be read: the figure is 0 and says nothing."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of a job's way. Made by settle."""

    job: Address
    kind: SettleKind
    signature: Signature | None
    slot: int | None
    pay: int
    """Micro-NOS that reached the payout account, read from the chain."""
    payout: Address | None
    reason: str = ""
    fee: int = 0
    """Lamports paid as fees for settling."""
    source: PaySource = PaySource.BALANCES
    returned: int = 0
    """Lamports of rent that came back to this wallet by somebody else's transaction (a poster's `end`)."""


@dataclass(frozen=True, slots=True)
class Booking:
    """What one transaction on the chain cost its wallet. Lamports are positive when they left it."""

    lane: str
    purpose: str
    """The transaction's key in the outbox: `work:<run>`, `finish:<run>`, ..."""
    signature: Signature
    lamports: int
    """Fee and rent together; negative when more rent came back. 0, and no fee: it is not on the chain after all."""
    fee: int
    """Base fee and priority fee."""
    priority: int
    """Of the fee, what was offered beyond the base fee."""
    certain: bool = True
    """False: the ledger did not show it; the fee is that of its bytes, and rent is not counted."""


# --- lanes ------------------------------------------------------------------------------------------------


class LanePhase(StrEnum):
    """What a lane is doing."""

    CHECKING = "checking"
    JOINING = "joining"
    QUEUED = "queued"
    WORKING = "working"
    PAUSED = "paused"
    DRAINING = "draining"
    DEGRADED = "degraded"
    STOPPED = "stopped"


class Stage(StrEnum):
    """Where a job is on its way."""

    FETCH = "fetch"
    ADMIT = "admit"
    RUN = "run"
    REPORT = "report"
    SETTLE = "settle"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class EarningState:
    """Whether a lane earns, by what the chain shows of it."""

    earning: bool | None
    """At work on a paid job, or waiting for one in its market's queue; None: the chain cannot be asked."""
    code: str
    """`working`, `queued`; `no-market`, `closed`, `access-key`, `stake`, `sol`, `operator`, `not-queued`; `unknown`."""
    sentence: str
    asked_at: float


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """A lane's state with a reason that a person can act on."""

    lane: str
    node: Address
    market: Address
    phase: LanePhase
    reason: str
    since: float
    position: int | None = None
    """1-based place in the market's queue, while queued."""
    queue_length: int | None = None
    job: Address | None = None
    stage: Stage | None = None
    progress: str = ""
    """One line on long work: a pull, an upload."""
    gpus: tuple[Gpu, ...] = field(default=())
    trailing: tuple[Address, ...] = ()
    """Jobs whose work is over and whose pay is still on its way, while the lane takes others."""
    earning: EarningState | None = None
    """As last asked of the chain, which is done when somebody wants to know; None: not asked yet."""


@dataclass(frozen=True, slots=True)
class StageTime:
    """When a run entered a stage."""

    stage: Stage
    entered: float


@dataclass(frozen=True, slots=True)
class JobSummary:
    """One run of a job on this host, as the journal knows it."""

    run: Address
    job: Address
    lane: str
    node: Address
    market: Address
    poster: Address
    definition_cid: Cid
    price: int
    """Micro-NOS per second."""
    timeout: int
    """Seconds, as last extended."""
    run_time: int
    """Unix seconds: when the chain gave the job to this node."""
    stage: Stage
    stages: tuple[StageTime, ...]
    """In the order entered; a stage lasts until the next one's time."""
    cause: EndCause | None = None
    refusal: str = ""
    """Why this host quit the job; empty when it did not."""
    result_cid: Cid | None = None
    receipt_cid: Cid | None = None
    settlement: Settlement | None = None


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """One line of what happened, kept in the journal."""

    id: int
    time: float
    lane: str
    """Empty: the whole agent."""
    job: str
    """Empty: no job."""
    level: str
    """`info`, `warning` or `error`."""
    text: str


class HealthState(StrEnum):
    """How something that the agent depends on stands."""

    OK = "ok"
    FAILING = "failing"
    UNKNOWN = "unknown"
    """It could not be looked at; that is no failure."""


@dataclass(frozen=True, slots=True)
class SubjectHealth:
    """One thing that the agent depends on, as last judged."""

    subject: str
    """`engine`, `rpc`, `gpu`, `gpu fitness`, `gpu owner`, `gpu sharing`, `disk`, `clock` or `escapes`, say."""
    lane: str
    """The lane it is looked at for; empty: the whole host."""
    state: HealthState
    reason: str
    hint: str
    since: float
    """Unix seconds at which it came to be so."""
    hinders: bool
    """Whether no job is taken because of it."""


@dataclass(frozen=True, slots=True)
class Relaxation:
    """A setting in force that keeps jobs or strangers less strictly than the agent does by itself."""

    setting: str
    meaning: str
    """What it lets happen."""


@dataclass(frozen=True, slots=True)
class ExposedService:
    """A port of a job that can be reached from outside."""

    job: Address
    operation: str
    port: str
    url: str
    """Empty for a private one: it is told to the job's owner only."""
    status: str
    """`ONLINE`, `OFFLINE` or `UNKNOWN`."""


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """The running agent at a glance."""

    version: str
    cluster: str
    pid: int
    started_at: float
    gpu_provider: str
    """`nvidia` or `simulated`: every screen says so."""
    gpus: tuple[Gpu, ...]
    lanes: tuple[LaneStatus, ...]
    health: tuple[SubjectHealth, ...] = ()
    relaxations: tuple[Relaxation, ...] = ()
    services: tuple[ExposedService, ...] = ()


# --- transactions on their way to the chain -----------------------------------------------------------------


class OutboxState(StrEnum):
    """Where a transaction is on its way."""

    SENDING = "sending"
    """Signed bytes are durable; sent or about to be."""
    CONFIRMED = "confirmed"
    FAILED = "failed"
    """Landed with an error, or refused for good before landing."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One transaction, durable before its first send and until it is finalized."""

    key: str
    """What it is for, unique: `work:<run>`, `finish:<run>`, ..."""
    lane: str
    kind: str
    """Instruction name: work, finish, complete, quit, stop, register, stake, list, transfer, ..."""
    state: OutboxState
    wire: bytes
    """The signed transaction as sent."""
    signature: Signature
    last_valid_block_height: int
    attempt: int
    """How often it was signed, from 1."""
    created_at: float
    slot: int | None = None
    fee: int = 0
    """Lamports."""
    error: str = ""
    recipe: bytes = b""
    """What is needed to sign it anew (instructions, extra signer secrets), in the outbox's own encoding."""
