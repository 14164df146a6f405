"""The receipt: the node's signed account of how a result came about.

It states; it does not prove what ran. What an outsider can check of it is in node/proof/verify.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from node.chain.clusters import Cluster
from node.content.cid import cid_to_hash32
from node.content.merkle import CHUNK_BYTES
from node.errors import ContentError, ProofError
from node.proof.commitments import Reveal, hidden_values, without_hidden
from node.proof.envelope import Sign, seal, unseal
from node.proof.memo import parse_memo, receipt_memo
from node.proof.receipt_model import PREDICATE_TYPE, OperationClaim, Previous, Receipt
from node.records import (
    Address,
    Assignment,
    Cid,
    EnergyReading,
    Gpu,
    GpuTelemetry,
    OperationState,
    Outcome,
    Signature,
    WorkReference,
)

__all__ = ["PREDICATE_TYPE", "OperationClaim", "Previous", "Receipt", "build_receipt", "hidden_of", "parse_memo",
           "parse_receipt", "receipt_memo", "verify_receipt"]  # fmt: skip

NAME = "gpunode"
MOST_ERRORS = 64
"""Lines that a GPU reported as failed, in a receipt; the earliest."""
LONGEST_ERROR = 300
"""Characters of one of them."""
MOST_MEASURED = 1e15
"""Joules, watts or seconds; beyond it a reading is nonsense."""


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
    seen: tuple[Cid, Signature] | None = None,
    work: WorkReference | None = None,
    ladder: str | None = None,
    reveal: Reveal | None = None,
    sign: Sign,
    genesis: str | None = None,
) -> bytes:
    """The signed receipt of a job, as the bytes of its file.

    `gpus` are those the job's containers were given; `previous` is the last receipt of this key and the signature
    that settled its job, or None with a reason (the first one, a lost journal), and then `seen` is the key's newest
    one that the chain showed. `work` is the lane's newest GPU work proof, `ladder` the digest (hex) of the host's
    newest precision ladder. With `reveal`, the receipt holds commitments in place of what a confidential job was.
    `genesis` is the chain's genesis hash where the cluster does not fix it. Raises ProofError if `sign` signs with
    another key than the run's node.
    """
    if previous is None and not previous_reason:
        raise ProofError("a receipt without a previous one says why", hint="Pass previous_reason.")
    end = None
    if outcome.end_slot is not None and outcome.end_blockhash is not None:
        end = {"slot": outcome.end_slot, "blockhash": outcome.end_blockhash}
    job, run = assignment.job, assignment.run
    operations = [_operation(state) for state in outcome.operations]
    if reveal is not None:
        operations = [without_hidden(operation) for operation in operations]
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
        "operations": operations,
        "gpus": [{"provider": gpu.provider, "uuid": gpu.uuid, "name": gpu.name, "driver": gpu.driver} for gpu in gpus],
        "energy": _energy(outcome.energy),
        "telemetry": _telemetry(outcome.energy),
        "work": _work(work),
        "ladder": ladder,
        "commitments": {} if reveal is None else reveal.commitments,
        "prev": _link(previous),
        "prevReason": previous_reason if previous is None else "",
        "prevSeen": _link(seen) if previous is None else None,
    }
    return seal(run.node, sign, subject=[_subject(result)], predicate_type=PREDICATE_TYPE, predicate=predicate)


def _subject(result: str) -> dict[str, Any]:
    return {
        "name": "result",
        "uri": f"ipfs://{result}",
        # The hash of the CID's root block, as the job account holds it; not that of the file's bytes.
        "digest": {"dagPbSha256": cid_to_hash32(result).hex()},
    }


def hidden_of(outcome: Outcome, delivered: Cid | None) -> dict[str, Any]:
    """What the receipt of a confidential job commits to, by name (node/proof/commitments.py). `delivered`: CID of the
    definition that its owner sent; None: the pinned one counted."""
    return hidden_values([_operation(state) for state in outcome.operations], delivered)


def _link(receipt: tuple[Cid, Signature] | None) -> dict[str, Any] | None:
    return None if receipt is None else {"receipt": receipt[0], "settle": receipt[1]}


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
        "millijoules": _thousandths(reading.joules),
        "source": reading.source,
        "utilisationPermille": _thousandths(reading.utilisation_mean),
        "samples": reading.samples,
        "samplesRoot": reading.samples_root,
    }


def _telemetry(reading: EnergyReading | None) -> dict[str, Any] | None:
    if reading is None or not (reading.samples or reading.gpus):
        return None
    return {
        "root": reading.samples_root,
        "samples": reading.samples,
        "firstMs": reading.first_ms,
        "lastMs": reading.last_ms,
        "gpus": [_gpu_telemetry(gpu) for gpu in reading.gpus],
    }


def _gpu_telemetry(gpu: GpuTelemetry) -> dict[str, Any]:
    return {
        "uuid": gpu.uuid,
        "samples": gpu.samples,
        "milliseconds": _thousandths(gpu.seconds) or 0,
        "millijoules": _thousandths(gpu.joules),
        "source": gpu.source,
        "utilisationPermille": _thousandths(gpu.utilisation_mean),
        "memoryMostBytes": gpu.memory_most,
        "powerMostMilliwatts": _thousandths(gpu.power_most),
        "temperatureMostCelsius": gpu.temperature_most,
        "gapMs": _thousandths(gpu.gap_seconds) or 0,
        "throttled": [{"reason": why, "milliseconds": _thousandths(seconds) or 0} for why, seconds in gpu.throttled],
        "errors": [error[:LONGEST_ERROR] for error in gpu.errors[:MOST_ERRORS]],
    }


def _thousandths(amount: float | None) -> int | None:
    """Whole thousandths; None for what no device can have measured."""
    return None if amount is None or not abs(amount) < MOST_MEASURED else round(amount * 1000)


def _work(work: WorkReference | None) -> dict[str, Any] | None:
    if work is None:
        return None
    return {
        "sha256": work.sha256,
        "cid": work.cid,
        "root": work.root,
        "memo": work.signature,
        "engine": work.engine,
        "gpu": work.gpu,
        "madeMs": work.made_ms,
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
        expected = _subject(receipt.result)
    except ContentError:
        raise ProofError(f"the receipt's result {receipt.result!r} is no CID") from None
    if list(statement.subject) != [expected]:
        raise ProofError("the receipt's subject is not its result")
    return receipt
