"""What a bundle says of one run of a job, beside the documents and bytes it carries (node/proof/bundle.py).

All of it is stated by the node; the signature fixes who said it. Redacted, it holds nothing that came from the poster:
no names of operations, no texts of errors (they quote images and commands), no logs.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

_Hash = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")]
PartName = Annotated[str, Field(strict=True, pattern=r"^[a-z]{1,16}(/[0-9]{1,4})?$")]


class _Said(BaseModel):
    # Later versions may add keys; a reader of this one passes over them.
    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)


class BundleChain(_Said):
    """Which chain the job is on."""

    name: StrictStr
    genesis: StrictStr | None
    program: StrictStr


class BundleJob(_Said):
    """The job and its run, as the chain gave them to this node. Addresses and CIDs are base58."""

    job: StrictStr
    run: StrictStr
    market: StrictStr
    node: StrictStr
    poster: StrictStr
    definition: StrictStr
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
    signature: StrictStr | None
    slot: StrictInt | None
    pay: StrictInt
    """Micro-NOS."""
    fee: StrictInt
    """Lamports."""
    payout: StrictStr | None


class BundleStage(_Said):
    """When the run entered a stage."""

    stage: StrictStr
    entered_ms: StrictInt


class BundleError(_Said):
    """A node-side error of an operation; its text is under `words`, of full bundles."""

    event: StrictStr
    code: StrictInt | None


class BundleIsolation(_Said):
    """How an operation's container was kept, by the plan it ran by."""

    profile: StrictStr
    runtime: StrictStr
    egress: StrictStr
    gpus: tuple[StrictStr, ...]
    """UUIDs it was given."""
    driver_parts: tuple[StrictStr, ...]
    """What of the GPU driver (NVIDIA's names); counts with a GPU only."""
    memory_bytes: StrictInt
    pids: StrictInt
    milli_cpus: StrictInt
    shm_bytes: StrictInt
    open_files: StrictInt
    log_bytes: StrictInt
    disk_bytes: StrictInt | None


class BundleOperation(_Said):
    """An operation as it stood when the bundle was made."""

    index: StrictInt
    status: StrictStr
    exit_code: StrictInt | None
    starts: StrictInt
    restarts: StrictInt
    timed_out: StrictBool
    out_of_memory: StrictBool
    """The kernel ended it for its memory, as the engine saw it."""
    started_ms: StrictInt | None
    ended_ms: StrictInt | None
    errors: tuple[BundleError, ...]
    isolation: BundleIsolation | None


class BundleGpu(_Said):
    """A GPU that the job was given, and what it reported as failed meanwhile (Xid, uncorrected errors, lost)."""

    uuid: StrictStr
    name: StrictStr
    provider: StrictStr
    driver: StrictStr | None
    errors: tuple[StrictStr, ...]


class BundleRelaxations(_Said):
    """Settings in force that keep jobs less strictly than the agent does by itself; null: not known."""

    admitted: tuple[StrictStr, ...] | None
    """When the job was admitted."""
    made: tuple[StrictStr, ...] | None
    """When the bundle was made."""


class BundleWords(_Said):
    """Texts that may quote the job; full bundles only."""

    refusal: StrictStr
    settlement: StrictStr
    job: tuple[StrictStr, ...]
    """Errors of the job as a whole."""
    operations: tuple[tuple[StrictStr, ...], ...]
    """Ids of the operations, each followed by the texts of its errors."""


class BundleEarlier(_Said):
    """A receipt before this job's, in the part of that name."""

    part: PartName
    receipt: StrictStr
    """CID."""
    settle: StrictStr | None
    """Signature of the transaction that settled its job, by this node's journal."""


class BundleMissing(_Said):
    """A part that the bundle should hold and does not, with the reason."""

    part: StrictStr
    why: StrictStr


class Account(_Said):
    """All that a bundle says."""

    agent: StrictStr
    """Name and version of what made the bundle; the receipt has that of what ran the job."""
    made_ms: StrictInt
    full: StrictBool
    chain: BundleChain
    job: BundleJob
    end: BundleEnd
    settlement: BundleSettlement | None
    stages: tuple[BundleStage, ...]
    operations: tuple[BundleOperation, ...]
    gpus: tuple[BundleGpu, ...]
    relaxations: BundleRelaxations
    words: BundleWords | None
    earlier: tuple[BundleEarlier, ...]
    """Newest first."""
    cids: dict[PartName, StrictStr]
    """Of the parts that are kept by CID."""
    missing: tuple[BundleMissing, ...]
    left_out: tuple[StrictStr, ...]
    """What a full bundle would hold beside this."""

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return self.model_dump(by_alias=True, mode="json")


class Digests(_Said):
    """SHA-256 (hex) of each member of the predicate, canonically encoded, and of each part's bytes (`parts/NAME`)."""

    digests: dict[StrictStr, _Hash]
