"""The fields of a receipt, with their units. The published schema (node/proof/schemas) is made from these."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

__all__ = ["PREDICATE_TYPE", "ChainName", "EnergyClaim", "GpuClaim", "GpuTelemetryClaim", "LogCommitment", "Moment",
           "NetworkClaim", "OperationClaim", "Previous", "Receipt", "TelemetryClaim", "ThrottleClaim",
           "WorkClaim"]  # fmt: skip

PREDICATE_TYPE = "urn:gpunode:receipt:1"

_Hash = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    # Later versions may add keys; a reader of this one passes over them.
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=False)


class Moment(_Part):
    """A point of the chain: nothing that holds a blockhash was written before its block."""

    slot: StrictInt
    """Slot of the chain."""
    blockhash: StrictStr
    """Blockhash known at that slot, base58."""


class LogCommitment(_Part):
    """What an operation's kept log hashed to while it streamed."""

    root: _Hash
    """Merkle root (hex) over the chunks of the kept log: SHA-256, leaves and nodes as in RFC 6962."""
    length: StrictInt
    """Bytes of the kept log."""
    chunk: StrictInt
    """Bytes of a chunk; the last may be shorter."""
    truncated: StrictBool
    """Whether the log was cut, which its last entry says too."""


class NetworkClaim(_Part):
    """Bytes that crossed the border of the job's own network until the operation ended; nobody else can count them."""

    received: StrictInt
    """Bytes, with all headers."""
    sent: StrictInt
    """Bytes, with all headers; what the packet filter then dropped is among them."""


class OperationClaim(_Part):
    """One operation as the node states it ran. In a confidential job's receipt `id`, `image`, `command` and `log` are
    commitments instead (`commitments`): `id` is the index as text, the others are null."""

    index: StrictInt
    """Place in the definition, from 0."""
    id: StrictStr
    """Name in the definition."""
    status: StrictStr
    """`init`, `running`, `success`, `failed` or `stopped`."""
    image: StrictStr | None
    """Digest of the image as run; null: none was."""
    command: StrictStr | None
    """SHA-256 (hex) of the canonical JSON of command and entrypoint as run."""
    exit_code: StrictInt | None = Field(alias="exitCode")
    """Of the container's first process; null: it never ended, or never ran."""
    started_ms: StrictInt | None = Field(alias="startedMs")
    """Unix milliseconds, by this host's clock."""
    ended_ms: StrictInt | None = Field(alias="endedMs")
    """Unix milliseconds, by this host's clock."""
    starts: StrictInt
    """How often its container was started."""
    log: LogCommitment | None
    """Null: it wrote none."""
    network: NetworkClaim | None = None
    """Null: it was not counted."""


class GpuClaim(_Part):
    """A GPU that the lane offered to the job."""

    provider: StrictStr
    """`nvidia`, or `simulated`: there is no GPU."""
    uuid: StrictStr
    """As the driver reports it."""
    name: StrictStr
    """As the driver reports it."""
    driver: StrictStr | None
    """Version of the driver; null: not told."""


class EnergyClaim(_Part):
    """Energy that the GPUs used while the job ran."""

    millijoules: StrictInt | None
    """Millijoules of all GPUs together; null: not known."""
    source: StrictStr
    """`counter` (metered by the GPU), `power` (integrated from samples), `simulated` or `none`."""
    utilisation_permille: StrictInt | None = Field(alias="utilisationPermille")
    """Mean over the time, in thousandths."""
    samples: StrictInt
    """How many samples were taken."""
    samples_root: StrictStr | None = Field(alias="samplesRoot")
    """Merkle root (hex) over the samples, one line of canonical JSON each, in chunks of 65,536 bytes as of a log; null:
    no samples."""


class ThrottleClaim(_Part):
    """For how long a GPU's clocks were held down, by reason."""

    reason: StrictStr
    """As the driver names it."""
    milliseconds: StrictInt
    """Of the time that was sampled."""


class GpuTelemetryClaim(_Part):
    """One GPU while the job ran, from its samples. Null: this GPU or its driver does not tell."""

    uuid: StrictStr
    """As in `gpus`."""
    samples: StrictInt
    """How many were taken of it."""
    milliseconds: StrictInt
    """From the first sample to the last."""
    millijoules: StrictInt | None
    """Energy it used."""
    source: StrictStr
    """Of the energy, as in `energy`."""
    utilisation_permille: StrictInt | None = Field(alias="utilisationPermille")
    """Mean over the time, in thousandths."""
    memory_most_bytes: StrictInt | None = Field(alias="memoryMostBytes")
    """Bytes of its memory in use, at most."""
    power_most_milliwatts: StrictInt | None = Field(alias="powerMostMilliwatts")
    """Milliwatts, at most."""
    temperature_most_celsius: StrictInt | None = Field(alias="temperatureMostCelsius")
    """Degrees Celsius, at most."""
    gap_ms: StrictInt = Field(default=0, alias="gapMs")
    """Of `milliseconds`, those between samples too far apart to tell what was between them."""
    throttled: tuple[ThrottleClaim, ...]
    """Only what it was held down by; idling is none."""
    errors: tuple[StrictStr, ...]
    """What it reported as failed: Xid, uncorrected memory errors, lost."""


class TelemetryClaim(_Part):
    """What the lane's GPUs were doing while the job ran, summed up from samples whose lines the node keeps."""

    root: _Hash | None
    """As `energy.samplesRoot`."""
    samples: StrictInt
    """How many lines that root is over."""
    first_ms: StrictInt | None = Field(default=None, alias="firstMs")
    """Unix milliseconds from which on all of the GPUs were sampled."""
    last_ms: StrictInt | None = Field(default=None, alias="lastMs")
    """Unix milliseconds up to which all of them were."""
    gpus: tuple[GpuTelemetryClaim, ...]
    """One of each GPU that was sampled."""


class WorkClaim(_Part):
    """The newest GPU work proof that the lane had made when this receipt was. The proof is a document of its own."""

    sha256: _Hash
    """SHA-256 (hex) of the proof's document."""
    cid: StrictStr
    """CID of the same document."""
    root: _Hash
    """What was anchored (hex)."""
    memo: StrictStr
    """Signature of the transaction whose memo anchored it, base58."""
    engine: StrictStr
    """What did the work: `cuda` or `cpu`."""
    gpu: StrictStr
    """UUID of the GPU that the proof names; `cpu`: none."""
    made_ms: StrictInt = Field(alias="madeMs")
    """Unix milliseconds at which it was done, by this host's clock."""


class Previous(_Part):
    """A receipt, and the signature of the transaction that settled its job."""

    receipt: StrictStr
    """CID."""
    settle: StrictStr
    """Transaction signature, base58."""


class ChainName(_Part):
    """Which chain the job is on."""

    name: StrictStr
    """`mainnet`, `devnet` or `localnet`; what counts is `genesis`."""
    genesis: StrictStr | None
    """Genesis hash, base58; null: it was never read."""
    program: StrictStr
    """Address of the jobs program."""


class Receipt(_Part):
    """How a result came about, as the node states it. Addresses, CIDs and signatures are base58; times are unix
    milliseconds by the host's clock."""

    agent: StrictStr
    """Name and version, with a slash between them."""
    chain: ChainName
    """Which chain the job is on."""
    job: StrictStr
    """Address of the job account."""
    run: StrictStr
    """Address of the run account that gave the job to this node."""
    market: StrictStr
    """Address of the market account."""
    node: StrictStr
    """The node's key, which signs this receipt."""
    poster: StrictStr
    """The key that pays for the job."""
    definition: StrictStr
    """CID of the definition as the job account names it."""
    result: StrictStr
    """CID of the result as the settle transaction puts it on the chain; the statement's subject."""
    cause: StrictStr
    """Why the work ended: `completed`, `expired`, `stopped`, `host`, `invalid` or `unplanned`."""
    started_ms: StrictInt = Field(alias="startedMs")
    """When the work began."""
    ended_ms: StrictInt = Field(alias="endedMs")
    """When the work was over."""
    start: Moment
    """Where the chain was when it showed the job's run."""
    end: Moment | None
    """Where the chain was when the work was over."""
    operations: tuple[OperationClaim, ...]
    """In the order of the definition."""
    gpus: tuple[GpuClaim, ...]
    """Those that the job's containers were given."""
    energy: EnergyClaim | None
    """Null: nothing was metered."""
    telemetry: TelemetryClaim | None = None
    """Null: no GPU was sampled."""
    work: WorkClaim | None = None
    """Null: the lane has made none yet."""
    ladder: _Hash | None = None
    """SHA-256 (hex) of the host's newest precision ladder; null: none was measured."""
    commitments: dict[str, _Hash] = Field(default_factory=dict)
    """Of a confidential job: name of each hidden value, and SHA-256 (hex) of the text `gpunode/commitment/1`, a zero
    byte, the name, a zero byte, 32 bytes of salt and the value's canonical JSON. The owner has salts and values."""
    prev: Previous | None
    """The receipt before this one by the same key; null: `prevReason` says why."""
    prev_reason: StrictStr = Field(alias="prevReason")
    """Why the chain of receipts begins here; empty where `prev` is given."""
    prev_seen: Previous | None = Field(default=None, alias="prevSeen")
    """Where the journal was lost: the key's newest receipt that the chain showed. It is no link: what lies between is
    not known."""
