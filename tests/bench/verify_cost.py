"""What examining a job's evidence takes on one core: processor time, without what gathering it waits for.

    .venv/bin/python -m tests.bench.verify_cost [--times 50] [--lines 24000] [--json]

`receipt`: a job's receipt, settle transaction, blocks, card and a result without logs. `chain`: with ten receipts
before it, their settlements and the key's history. `logs`: with a result of so many log lines (`--lines`). What a GPU
work proof adds is measured by `tests.bench.gpu_work`. Nothing is asserted but that all of it verifies.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import replace
from typing import Any

from node.chain.clusters import DEVNET
from node.content.merkle import MerkleHasher
from node.proof.evidence import Evidence
from node.proof.examine import examine
from node.proof.gather import Sources, gather
from node.proof.result_checks import log_lines
from node.records import LogDigest
from tests.proof.series import Series
from tests.proof.test_receipt import JOB, OUTCOME
from tests.proof.world import Parts, world

EARLIER = 10


async def _row() -> Evidence:
    series = Series()
    jobs = series.line(EARLIER + 2)
    return await gather(jobs[-2].job, Sources(DEVNET, series.world, series.world), EARLIER)


async def _one(lines: int) -> Evidence:
    logs = [
        {"log": f"token {number} of some output of a model\n", "type": "stdout", "timestamp": "2026-01-01T00:00:00Z"}
        for number in range(lines)
    ]
    hasher = MerkleHasher()
    for line in log_lines(logs):
        hasher.update(line)
    state = {"operationId": "a", "status": "success", "exitCode": 0, "logs": logs}
    digest = LogDigest(root=hasher.root(), length=hasher.length)
    outcome = replace(OUTCOME, operations=(replace(OUTCOME.operations[0], log=digest),))
    made = world(Parts(result={"opStates": [state]}, receipt={"outcome": outcome}))
    return await gather(JOB.address, Sources(DEVNET, made, made), 0)


def measure(times: int, lines: int) -> dict[str, dict[str, Any]]:
    """Milliseconds of processor time, by kind: mean and most."""
    kinds = {"receipt": asyncio.run(_one(0)), "chain": asyncio.run(_row()), "logs": asyncio.run(_one(lines))}
    figures = {}
    for name, evidence in kinds.items():
        spans = []
        for _ in range(times):
            began = time.process_time()
            found = examine(evidence)
            spans.append((time.process_time() - began) * 1000)
            assert found.ok, [check for check in found.checks if check.ok is False]
        size = 0 if evidence.result is None or evidence.result.body is None else len(evidence.result.body)
        mean, most = round(sum(spans) / times, 3), round(max(spans), 3)
        figures[name] = {"lines": len(found.checks), "result_bytes": size, "mean_ms": mean, "most_ms": most}
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--lines", type=int, default=24_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    figures = measure(chosen.times, chosen.lines)
    if chosen.json:
        print(json.dumps(figures))
        return 0
    for name, known in figures.items():
        print(name, known)
    return 0


if __name__ == "__main__":
    sys.exit(main())
