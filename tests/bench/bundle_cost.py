"""What a bundle weighs, and what it takes to make (signing, once its parts are read) and to check on one core.

    .venv/bin/python -m tests.bench.bundle_cost [--times 20] [--lines 24000] [--size 1024] [--json]

`redacted`: receipt, settle transaction, card, one earlier receipt. `work`: the same with a GPU work proof of 1,024
openings (`--size`: rows of its matrices; those of a GPU have 8,192, which takes a CPU minutes to make). `full`: with
result and log of so many lines (`--lines`). Times are of the processor; nothing is asserted but that all of it
verifies.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from node.content.cid import file_cid
from node.content.merkle import MerkleHasher
from node.gpu.work.challenge import WorkChallenge
from node.gpu.work.cpu import CpuEngine
from node.gpu.work.prover import open_rows, prove
from node.proof.bundle import build_bundle, parse_bundle
from node.proof.bundle_check import verify_bundle
from node.proof.result_checks import log_lines
from node.records import LogDigest, Signature, WorkReference
from tests.gpu.work.examples import AFTER, key
from tests.proof.bundles import account, parts_of
from tests.proof.test_receipt import GPU, NODE, OUTCOME, sign
from tests.proof.world import Parts, world

Made = tuple[dict[str, bytes], dict[str, Any]]
"""Parts, and what is said of them."""


def _plain(parts: Parts | None = None) -> Made:
    return parts_of(world(parts))


def _work(size: int) -> Made:
    engine, challenge = CpuEngine(), WorkChallenge(key(1), 400, NODE, GPU.uuid)
    done = prove(engine, challenge, size=size, rounds=2, openings=1024)
    body = open_rows(engine, done, 420, AFTER[1]).body()
    root = json.loads(body)["root"]
    reference = WorkReference(
        sha256=hashlib.sha256(body).hexdigest(),
        cid=file_cid(body),
        root=root,
        signature=Signature("5" * 88),
        engine="cpu",
        gpu=GPU.uuid,
        made_ms=1_000,
    )
    held, said = _plain(Parts(receipt={"work": reference}))
    return {**held, "work": body}, {**said, "cids": {**said["cids"], "work": reference.cid}}


def _full(lines: int) -> Made:
    logs = [
        {"log": f"token {number} of some output of a model\n", "type": "stdout", "timestamp": "2026-01-01T00:00:00Z"}
        for number in range(lines)
    ]
    whole = b"".join(log_lines(logs))
    hasher = MerkleHasher()
    hasher.update(whole)
    digest = LogDigest(root=hasher.root(), length=hasher.length)
    outcome = replace(OUTCOME, operations=(replace(OUTCOME.operations[0], log=digest),))
    state = {"operationId": "a", "status": "success", "exitCode": 0, "logs": logs}
    made = world(Parts(result={"opStates": [state]}, receipt={"outcome": outcome}))
    held, said = parts_of(made)
    (cid,) = (cid for cid, body in made.files.items() if b'"opStates"' in body)
    more = {"log/0": whole, "result": made.files[cid]}
    return {**held, **more}, {**said, "full": True, "cids": {**said["cids"], "result": cid}}


def measure(times: int, lines: int, size: int) -> dict[str, dict[str, Any]]:
    """Bytes, and milliseconds of processor time: mean and most."""
    figures = {}
    kinds: Mapping[str, Made] = {"redacted": _plain(), "work": _work(size), "full": _full(lines)}
    for name, (held, said) in kinds.items():
        told = account(**said)
        body = build_bundle(told, held, sign)
        found = verify_bundle(body)
        assert found.ok, [check for check in found.checks if check.ok is False]
        figures[name] = {
            "bytes": len(body),
            "lines": len(found.checks),
            "make_ms": _milliseconds(lambda told=told, held=held: build_bundle(told, held, sign), times),
            "read_ms": _milliseconds(lambda body=body: parse_bundle(body), times),
            "verify_ms": _milliseconds(lambda body=body: verify_bundle(body), times),
        }
    return figures


def _milliseconds(work: Callable[[], object], times: int) -> dict[str, float]:
    spans = []
    for _ in range(times):
        start = time.process_time()
        work()
        spans.append((time.process_time() - start) * 1000)
    return {"mean": round(sum(spans) / times, 2), "most": round(max(spans), 2)}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--lines", type=int, default=24_000)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    figures = measure(chosen.times, chosen.lines, chosen.size)
    if chosen.json:
        print(json.dumps(figures))
        return 0
    for name, known in figures.items():
        print(name, known)
    return 0


if __name__ == "__main__":
    sys.exit(main())
