"""What a GPU work proof costs and gives: rate, seconds, joules, bytes, what checking it takes on one core, and how long
a job waits for one that it cuts off.

    .venv/bin/python -m tests.bench.gpu_work [--engine cuda --gpu GPU-...] [--seconds 15] [--size 8192] [--json]

With `cuda`, the rate of the product alone stands beside it, and that of cuBLAS INT8 where it is installed, in the same
run. Nothing is asserted but that the proof is good: the figures are for people.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from typing import Any

from node.base58 import b58encode
from node.gpu.work.challenge import OPENINGS, WorkChallenge, operations
from node.gpu.work.engine import choose_engine
from node.gpu.work.helper import energy_counter
from node.gpu.work.process import working
from node.gpu.work.prover import open_rows, prove
from node.proof.work import verify_work


def measure(engine_name: str, gpu: str | None, seconds: float, size: int | None) -> dict[str, Any]:
    """One proof, from seed to verdict."""
    engine = choose_engine(engine_name, gpu)
    challenge = WorkChallenge(b58encode(os.urandom(32)), 1, b58encode(os.urandom(32)), gpu or "cpu", "bench")
    energy = energy_counter(gpu) if gpu is not None else lambda: None
    worked = prove(engine, challenge, size=size, seconds=seconds, openings=OPENINGS, energy=energy)
    began = time.perf_counter()
    proof = open_rows(engine, worked, 2, b58encode(os.urandom(32)))
    opening = time.perf_counter() - began
    body = proof.body()
    checking = []
    for _ in range(3):
        start = time.process_time()
        assert verify_work(body).ok
        checking.append(time.process_time() - start)
    spent = worked.stated.milliseconds / 1000
    return {
        "engine": engine.name,
        "device": engine.device,
        "size": worked.size,
        "rounds": worked.rounds,
        "seconds": spent,
        "joules": None if worked.stated.millijoules is None else worked.stated.millijoules / 1000,
        "operations_per_second": operations(worked.size, worked.rounds) / spent,
        "opening_seconds": opening,
        "document_bytes": len(body),
        "verify_cpu_seconds": min(checking),
        "products": _products(gpu) if engine_name == "cuda" else [],
    }


def measure_cuts(engine_name: str, gpu: str | None, size: int | None, times: int) -> list[float]:
    """Milliseconds from the moment a job comes until the helper process, with its GPU memory, is gone."""

    async def cut(number: int) -> float:
        async with working() as helper:
            await helper.start(engine_name, gpu)
            challenge = WorkChallenge(b58encode(os.urandom(32)), 1, b58encode(os.urandom(32)), gpu or "cpu", "bench")
            proving = asyncio.create_task(helper.prove(challenge, seconds=600, size=size))
            await asyncio.sleep(0.2 + 0.3 * number)
            began = time.perf_counter()
            proving.cancel()
            await asyncio.wait((proving,))
            await helper.gone()
            return (time.perf_counter() - began) * 1000

    async def several() -> list[float]:
        return [await cut(number) for number in range(times)]

    return asyncio.run(several())


def _products(gpu: str | None) -> list[dict[str, Any]]:
    """int8 products alone, by our kernel and by cuBLAS."""
    from node.gpu.cuda import CudaDevice
    from node.gpu.ladder.cuda import CudaLadder

    found = CudaLadder(CudaDevice(gpu), gpu).products()
    return [each.document() for each in found if each.precision == "int8"]


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--gpu", help="UUID, as nvidia-smi -L gives it")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--size", type=int)
    parser.add_argument("--cuts", type=int, default=5, help="How often one is cut off.")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    known = measure(chosen.engine, chosen.gpu, chosen.seconds, chosen.size)
    known["cut_milliseconds"] = measure_cuts(chosen.engine, chosen.gpu, chosen.size, chosen.cuts)
    if chosen.json:
        print(json.dumps(known))
        return 0
    for name, value in known.items():
        print(f"{name:24} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
