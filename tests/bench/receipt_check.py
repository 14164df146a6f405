"""What a receipt weighs and what it takes to make and to check one, signature included, on one core.

    .venv/bin/python -m tests.bench.receipt_check [--times 200] [--json]

Of a job of one operation on one GPU; of the largest that is likely (32 operations on 8 GPUs); and of the same as a
confidential job. Nothing is asserted but that the receipts are good: the figures are for people.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from solders.keypair import Keypair

from node.chain.clusters import DEVNET
from node.content.cid import file_cid
from node.proof.commitments import Reveal, conceal
from node.proof.receipt import build_receipt, hidden_of, verify_receipt
from node.records import (
    Address,
    Assignment,
    EndCause,
    EnergyReading,
    Gpu,
    GpuTelemetry,
    Job,
    JobState,
    LogDigest,
    OperationState,
    OperationStatus,
    Outcome,
    Run,
    Signature,
    WorkReference,
)

KEY = Keypair.from_seed(bytes(range(32)))
NODE = Address(str(KEY.pubkey()))
CID = file_cid(b"a file")
HASH = "ab" * 32


def _outcome(operations: int, gpus: int) -> Outcome:
    state = OperationState(
        index=0,
        id="operation",
        group="operation",
        status=OperationStatus.SUCCESS,
        image_digest=f"sha256:{HASH}",
        command_hash=HASH,
        started_ms=1_700_000_000_000,
        ended_ms=1_700_000_600_000,
        exit_code=0,
        log=LogDigest(HASH, 1 << 20),
        starts=1,
    )
    telemetry = GpuTelemetry(
        uuid="GPU-6cf1bd5b-8f6f-7d4c-94cb-6d1f0a7f1c11",
        samples=600,
        seconds=599.9,
        joules=123_456.7,
        source="counter",
        utilisation_mean=0.97,
        memory_most=70 << 30,
        power_most=699.5,
        temperature_most=71,
        throttled=(("power cap", 12.5),),
    )
    return Outcome(
        job=NODE,
        cause=EndCause.COMPLETED,
        started_ms=1_700_000_000_000,
        ended_ms=1_700_000_600_000,
        operations=tuple(replace(state, index=number) for number in range(operations)),
        energy=EnergyReading(123_456.7, "counter", 0.97, 600 * gpus, HASH, (telemetry,) * gpus),
        end_slot=1500,
        end_blockhash=str(NODE),
    )


def _receipt(outcome: Outcome, gpus: int, reveal: Reveal | None) -> bytes:
    job = Job(NODE, CID, None, NODE, NODE, NODE, 100, NODE, JobState.QUEUED, 0, 0, 600)
    run = Run(NODE, NODE, NODE, NODE, 0, 1_700_000_000)
    gpu = Gpu("nvidia", 0, outcome.energy.gpus[0].uuid if outcome.energy else "", "H100", 1, "570.1", None, "9.0")
    return build_receipt(
        assignment=Assignment("main", run, job, 500, str(NODE), 0.0),
        outcome=outcome,
        result=CID,
        cluster=DEVNET,
        gpus=(gpu,) * gpus,
        agent_version="1.0.0",
        previous=(CID, Signature(str(KEY.sign_message(b"settle")))),
        work=WorkReference(HASH, CID, HASH, Signature("s" * 88), "cuda", gpu.uuid, 1_700_000_000_000),
        ladder=HASH,
        reveal=reveal,
        sign=lambda message: bytes(KEY.sign_message(message)),
    )


def measure(times: int) -> dict[str, dict[str, Any]]:
    """Bytes, and milliseconds of processor time: the mean and the most."""
    figures = {}
    for name, operations, gpus, is_private in (
        ("small", 1, 1, False),
        ("large", 32, 8, False),
        ("confidential", 32, 8, True),
    ):
        outcome = _outcome(operations, gpus)
        reveal = conceal(hidden_of(outcome, CID)) if is_private else None
        body = _receipt(outcome, gpus, reveal)
        assert len(verify_receipt(body, NODE).operations) == operations
        making = _milliseconds(lambda outcome=outcome, gpus=gpus, reveal=reveal: _receipt(outcome, gpus, reveal), times)
        checking = _milliseconds(lambda body=body: verify_receipt(body, NODE), times)
        figures[name] = {"bytes": len(body), "make_ms": making, "verify_ms": checking}
    return figures


def _milliseconds(work: Callable[[], object], times: int) -> dict[str, float]:
    spans = []
    for _ in range(times):
        start = time.process_time()
        work()
        spans.append((time.process_time() - start) * 1000)
    return {"mean": round(sum(spans) / times, 3), "most": round(max(spans), 3)}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    figures = measure(chosen.times)
    if chosen.json:
        print(json.dumps(figures))
        return 0
    for name, known in figures.items():
        print(name, known)
    return 0


if __name__ == "__main__":
    sys.exit(main())
