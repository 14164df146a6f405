"""The receipt: the node's signed account of how a result came about.

It states; it does not prove what ran. What an outsider can check of it is in node/proof/verify.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from node.chain.clusters import Cluster
from node.content.cid import cid_to_hash32
from node.content.merkle import CHUNK_BYTES
from node.errors import ContentError, ProofError
from node.proof.envelope import Sign, seal, unseal
from node.proof.memo import parse_memo, receipt_memo
from node.records import Address, Assignment, Cid, EnergyReading, Gpu, OperationState, Outcome, Signature

__all__ = ["PREDICATE_TYPE", "Previous", "Receipt", "build_receipt", "parse_memo", "parse_receipt", "receipt_memo",
           "verify_receipt"]  # fmt: skip

PREDICATE_TYPE = "urn:gpunode:receipt:1"
NAME = "gpunode"

_Hash = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    # Later versions may add keys; a reader of this one passes over them.
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=False)


class Moment(_Part):
    """A point of the chain: a slot and the blockhash known at it."""

    slot: StrictInt
    blockhash: StrictStr


class LogCommitment(_Part):
    """What an operation's kept log hashed to: a Merkle root over chunks, and its length in bytes."""

    root: _Hash
    length: StrictInt
    chunk: StrictInt
    truncated: StrictBool


class NetworkClaim(_Part):
    """Bytes that crossed the border of the job's own network until the operation ended; nobody else can count them."""

    received: StrictInt
    sent: StrictInt


class OperationClaim(_Part):
    """One operation as the node states it ran."""

    index: StrictInt
    id: StrictStr
    status: StrictStr
    image: StrictStr | None
    """Digest of the image as run."""
    command: StrictStr | None
    """SHA-256 (hex) of the canonical JSON of command and entrypoint as run."""
    exit_code: StrictInt | None = Field(alias="exitCode")
    started_ms: StrictInt | None = Field(alias="startedMs")
    ended_ms: StrictInt | None = Field(alias="endedMs")
    starts: StrictInt
    log: LogCommitment | None
    network: NetworkClaim | None = None


class GpuClaim(_Part):
    """A GPU that the lane offered to the job."""

    provider: StrictStr
    uuid: StrictStr
    name: StrictStr
    driver: StrictStr | None


class EnergyClaim(_Part):
    """Energy the GPUs used while the job ran."""

    millijoules: StrictInt | None
    source: StrictStr
    utilisation_permille: StrictInt | None = Field(alias="utilisationPermille")
    samples: StrictInt
    samples_root: StrictStr | None = Field(alias="samplesRoot")


class Previous(_Part):
    """The receipt before this one, and the signature of the transaction that settled its job."""

    receipt: StrictStr
    settle: StrictStr


class ChainName(_Part):
    """Which chain the job is on."""

    name: StrictStr
    genesis: StrictStr | None
    program: StrictStr


class Receipt(_Part):
    """A receipt's fields. Addresses, CIDs and signatures are base58."""

    agent: StrictStr
    """Name and version."""
    chain: ChainName
    job: StrictStr
    run: StrictStr
    market: StrictStr
    node: StrictStr
    poster: StrictStr
    definition: StrictStr
    result: StrictStr
    cause: StrictStr
    started_ms: StrictInt = Field(alias="startedMs")
    ended_ms: StrictInt = Field(alias="endedMs")
    start: Moment
    end: Moment | None
    operations: tuple[OperationClaim, ...]
    gpus: tuple[GpuClaim, ...]
    energy: EnergyClaim | None
    prev: Previous | None
    prev_reason: StrictStr = Field(alias="prevReason")


def build_receipt(
    *,
    assignment: Assignment,
    outcome: Outcome,
    result: Cid,
    cluster: Cluster,
    gpus: Sequence[Gpu],
    agent_version: str,
    previous: tuple[Cid, Signature] | None,
    previous_reason: str = "",
    sign: Sign,
    genesis: str | None = None,
) -> bytes:
    """The signed receipt of a job, as the bytes of its file.

    `gpus` are those the job's containers were given; `previous` is the last receipt of this key and the signature
    that settled its job, or None with a reason (the first one, a lost journal). `genesis` is the chain's genesis
    hash where the cluster does not fix it. Raises ProofError if `sign` signs with another key than the run's node.
    """
    if previous is None and not previous_reason:
        raise ProofError("a receipt without a previous one says why", hint="Pass previous_reason.")
    end = None
    if outcome.end_slot is not None and outcome.end_blockhash is not None:
        end = {"slot": outcome.end_slot, "blockhash": outcome.end_blockhash}
    job, run = assignment.job, assignment.run
    predicate = {
        "agent": f"{NAME}/{agent_version}",
        "chain": {"name": cluster.name, "genesis": cluster.genesis_hash or genesis, "program": cluster.jobs},
        "job": job.address,
        "run": run.address,
        "market": job.market,
        "node": run.node,
        "poster": job.project,
        "definition": job.definition_cid,
        "result": result,
        "cause": outcome.cause.value,
        "startedMs": outcome.started_ms,
        "endedMs": outcome.ended_ms,
        "start": {"slot": assignment.slot, "blockhash": assignment.blockhash},
        "end": end,
        "operations": [_operation(state) for state in outcome.operations],
        "gpus": [{"provider": gpu.provider, "uuid": gpu.uuid, "name": gpu.name, "driver": gpu.driver} for gpu in gpus],
        "energy": _energy(outcome.energy),
        "prev": None if previous is None else {"receipt": previous[0], "settle": previous[1]},
        "prevReason": previous_reason if previous is None else "",
    }
    subject = {
        "name": "result",
        "uri": f"ipfs://{result}",
        # The hash of the CID's root block, as the job account holds it; not that of the file's bytes.
        "digest": {"dagPbSha256": cid_to_hash32(result).hex()},
    }
    return seal(run.node, sign, subject=[subject], predicate_type=PREDICATE_TYPE, predicate=predicate)


def _operation(state: OperationState) -> dict[str, Any]:
    log = state.log
    return {
        "index": state.index,
        "id": state.id,
        "status": state.status.value,
        "image": state.image_digest,
        "command": state.command_hash,
        "exitCode": state.exit_code,
        "startedMs": state.started_ms,
        "endedMs": state.ended_ms,
        "starts": state.starts,
        "log": None
        if log is None
        else {"root": log.root, "length": log.length, "chunk": CHUNK_BYTES, "truncated": log.truncated},
        "network": None if state.network is None else {"received": state.network.received, "sent": state.network.sent},
    }


def _energy(reading: EnergyReading | None) -> dict[str, Any] | None:
    if reading is None:
        return None
    return {
        "millijoules": None if reading.joules is None else round(reading.joules * 1000),
        "source": reading.source,
        "utilisationPermille": None if reading.utilisation_mean is None else round(reading.utilisation_mean * 1000),
        "samples": reading.samples,
        "samplesRoot": reading.samples_root,
    }


def verify_receipt(envelope: bytes, node: Address) -> Receipt:
    """The fields of a receipt that this node's key signed. Raises ProofError that says what is wrong."""
    receipt = _receipt(envelope, node)
    if receipt.node != node:
        raise ProofError(f"the receipt names node {receipt.node}, not {node}")
    return receipt


def parse_receipt(envelope: bytes) -> Receipt:
    """The fields of a receipt signed by whatever key it names. Raises ProofError."""
    receipt = _receipt(envelope, None)
    return verify_receipt(envelope, Address(receipt.node))


def _receipt(envelope: bytes, node: Address | None) -> Receipt:
    statement = unseal(envelope, node, PREDICATE_TYPE)
    try:
        receipt = Receipt.model_validate(statement.predicate)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ProofError(f"the receipt's {place} is malformed: {first['msg']}") from None
    try:
        expected = {"dagPbSha256": cid_to_hash32(receipt.result).hex()}
    except ContentError:
        raise ProofError(f"the receipt's result {receipt.result!r} is no CID") from None
    if [item.get("digest") for item in statement.subject] != [expected]:
        raise ProofError("the receipt's subject is not its result")
    return receipt
