"""What a bundle says of one run of a job, beside the documents and bytes it carries (node/proof/bundle.py).

All of it is stated by the node; the signature fixes who said it. Redacted, it holds nothing that came from the poster:
no names of operations, no texts of errors (they quote images and commands), no logs.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr
from pydantic.alias_generators import to_camel
from solders.pubkey import Pubkey

from node.errors import ProofError

PREDICATE_TYPE = "urn:gpunode:bundle:1"
_Hash = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")]
PART_NAME = r"^[a-z]{1,16}(/[0-9]{1,4})?$"
PartName = Annotated[str, Field(strict=True, pattern=PART_NAME)]


def subject_of(job: str) -> dict[str, Any]:
    """The statement's subject: the job. Raises ProofError for what is no address."""
    try:
        key = bytes(Pubkey.from_string(job)).hex()
    except ValueError:
        raise ProofError(f"{job!r:.80} is no address") from None
    return {"name": job, "digest": {"solanaAddress": key}}


class _Said(BaseModel):
    # Later versions may add keys; a reader of this one passes over them.
    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)


class BundleChain(_Said):
    """Which chain the job is on."""

    name: StrictStr
    """`mainnet`, `devnet` or `localnet`."""
    genesis: StrictStr | None
    """Genesis hash; null: not known."""
    program: StrictStr
    """Address of the jobs program."""


class BundleJob(_Said):
    """The job and its run, as the chain gave them to this node. Addresses and CIDs are base58."""

    job: StrictStr
    """The job account."""
    run: StrictStr
    """The run account."""
    market: StrictStr
    """The market account."""
    node: StrictStr
    """The node's key, which signs the bundle."""
    poster: StrictStr
    """Who pays (`project` of the job account)."""
    definition: StrictStr
    """CID that the job account names."""
    price: StrictInt
    """Micro-NOS per second."""
    timeout: StrictInt
    """Seconds that are paid at most, as last extended."""
    run_time: StrictInt
    """Unix seconds: when the chain gave the job to this node."""
    slot: StrictInt | None
    """Slot of the read that showed it."""


class BundleEnd(_Said):
    """How far the run came, and how it ended."""

    stage: StrictStr
    """`done`, or the stage that it is in."""
    cause: StrictStr | None
    """Why the work ended: completed, expired, stopped, host, invalid, unplanned; null: it has not, or never began."""
    refused: StrictStr | None
    """The stage in which this host gave the job back: fetch, admit or run; null: it did not."""


class BundleSettlement(_Said):
    """How the outcome got on the chain, by this node's journal."""

    kind: StrictStr
    """`finish`, `complete`, `quit`, `already` or `lost`."""
    signature: StrictStr | None
    """Of the transaction; null: it was none of this node's."""
    slot: StrictInt | None
    """In which it landed; null: not known."""
    pay: StrictInt
    """Micro-NOS."""
    fee: StrictInt
    """Lamports."""
    payout: StrictStr | None
    """Token account that was paid; null: none."""


class BundleStage(_Said):
    """When the run entered a stage."""

    stage: StrictStr
    """`fetch`, `admit`, `run`, `report`, `settle` or `done`."""
    entered_ms: StrictInt
    """Unix milliseconds, by this host's clock."""


class BundleError(_Said):
    """A node-side error of an operation; its text is under `words`, of full bundles."""

    event: StrictStr
    """`image-pull-error`, `container-runtime-error`, `resource-error` or `operation-error`."""
    code: StrictInt | None
    """Null: it has none."""


class BundleIsolation(_Said):
    """How an operation's container was kept, by the plan it ran by."""

    profile: StrictStr
    """`standard` (the capabilities that ordinary images need) or `sealed` (none)."""
    runtime: StrictStr
    """The engine's, such as `runc` or `runsc`."""
    egress: StrictStr
    """What it may reach: `open` (the internet), `list` or `none`."""
    gpus: tuple[StrictStr, ...]
    """UUIDs it was given."""
    driver_parts: tuple[StrictStr, ...]
    """What of the GPU driver (NVIDIA's names); counts with a GPU only."""
    memory_bytes: StrictInt
    """Limit of memory, swap included."""
    pids: StrictInt
    """Limit of processes."""
    milli_cpus: StrictInt
    """Limit of processors, in thousandths."""
    shm_bytes: StrictInt
    """Size of its shared memory."""
    open_files: StrictInt
    """Limit of open files."""
    log_bytes: StrictInt
    """Limit of the kept log."""
    disk_bytes: StrictInt | None
    """Limit of what it may write to the host's disk; null: none."""


class BundleOperation(_Said):
    """An operation as it stood when the bundle was made."""

    index: StrictInt
    """Place in the definition, from 0."""
    status: StrictStr
    """`init`, `running`, `success`, `failed` or `stopped`."""
    exit_code: StrictInt | None
    """Of the container's first process; null: it never ended, or never ran."""
    starts: StrictInt
    """How often its container was started."""
    restarts: StrictInt
    """How often its rule had the present container started again."""
    timed_out: StrictBool
    """Its own timeout had passed."""
    out_of_memory: StrictBool
    """The kernel ended it for its memory, as the engine saw it."""
    started_ms: StrictInt | None
    """Unix milliseconds, by this host's clock."""
    ended_ms: StrictInt | None
    """Unix milliseconds, by this host's clock."""
    errors: tuple[BundleError, ...]
    """Node-side errors, in order."""
    isolation: BundleIsolation | None
    """Null: it ran no container, or the records are pruned."""


class BundleGpu(_Said):
    """A GPU that the job was given, and what it reported as failed meanwhile (Xid, uncorrected errors, lost)."""

    uuid: StrictStr
    """As the driver reports it."""
    name: StrictStr
    """As the driver reports it."""
    provider: StrictStr
    """`nvidia`, or `simulated`: there is no GPU."""
    driver: StrictStr | None
    """Version; null: not told."""
    errors: tuple[StrictStr, ...]
    """Lines, the earliest 64."""


class BundleRelaxations(_Said):
    """Settings in force that keep jobs less strictly than the agent does by itself; null: not known."""

    admitted: tuple[StrictStr, ...] | None
    """When the job was admitted."""
    made: tuple[StrictStr, ...] | None
    """When the bundle was made."""


class BundleWords(_Said):
    """Texts that may quote the job; full bundles only."""

    refusal: StrictStr
    """Why this host gave the job back; empty: it did not."""
    settlement: StrictStr
    """What the settlement has beside its kind."""
    job: tuple[StrictStr, ...]
    """Errors of the job as a whole."""
    operations: tuple[tuple[StrictStr, ...], ...]
    """Ids of the operations, each followed by the texts of its errors."""


class BundleEarlier(_Said):
    """A receipt before this job's, in the part of that name."""

    part: PartName
    """`earlier/1` is the newest."""
    receipt: StrictStr
    """CID."""
    settle: StrictStr | None
    """Signature of the transaction that settled its job, by this node's journal."""


class BundleMissing(_Said):
    """A part that the bundle should hold and does not, with the reason."""

    part: StrictStr
    """Its name."""
    why: StrictStr
    """For people."""


class Account(_Said):
    """All that a bundle says."""

    agent: StrictStr
    """Name and version of what made the bundle; the receipt has that of what ran the job."""
    made_ms: StrictInt
    """Unix milliseconds, by this host's clock."""
    full: StrictBool
    """Whether it holds what came from the job's poster as well."""
    chain: BundleChain
    """Which chain the job is on."""
    job: BundleJob
    """The job and its run."""
    end: BundleEnd
    """How far the run came."""
    settlement: BundleSettlement | None
    """Null: it is not settled."""
    stages: tuple[BundleStage, ...]
    """In the order entered."""
    operations: tuple[BundleOperation, ...]
    """In order."""
    gpus: tuple[BundleGpu, ...]
    """Those that the job was given."""
    relaxations: BundleRelaxations
    """Settings in force."""
    words: BundleWords | None
    """Null in redacted bundles."""
    earlier: tuple[BundleEarlier, ...]
    """Newest first."""
    cids: dict[PartName, StrictStr]
    """Of the parts that are kept by CID."""
    missing: tuple[BundleMissing, ...]
    """Parts that should be there."""
    left_out: tuple[StrictStr, ...]
    """What a full bundle would hold beside this."""

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return self.model_dump(by_alias=True, mode="json")


class Digests(_Said):
    """SHA-256 (hex) of each member of the predicate, canonically encoded, and of each part's bytes (`parts/NAME`)."""

    digests: dict[StrictStr, _Hash]
    """By name."""
