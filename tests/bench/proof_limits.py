"""What checking costs, beside the limit that each thing has, in one run.

    .venv/bin/python -m tests.bench.proof_limits [--times 50] [--gpu-size] [--json]

A receipt; a bundle without a GPU work proof and with one; a work proof at the CPU's default size, and with `--gpu-size`
at the GPU's (a proof of that size is made first, by the CPU: a minute). Times are of one core (CPU time of the
process), the least of the tries, because the machine has other work. What a proof costs whoever makes it is measured
too: seconds, joules (metered by a GPU only), bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from node.gpu.work.cpu import CpuEngine
from node.gpu.work.prover import open_rows, prove
from node.proof.bundle_check import verify_bundle
from node.proof.receipt import verify_receipt
from node.proof.work import verify_work
from tests.gpu.work.examples import AFTER, CHALLENGE
from tests.proof.test_receipt import NODE, receipt
from tests.proof.whole import parts, whole_bundle

GPU_SIZE = 8192


@dataclass(frozen=True)
class Figure:
    """One thing that is checked."""

    what: str
    seconds: float
    limit: float | None
    size: int
    """Bytes of the document."""
    made_seconds: float | None = None
    """For a work proof: wall time of making it, opening included."""
    joules: float | None = None

    @property
    def kept(self) -> bool:
        """Whether it is within its limit."""
        return self.limit is None or self.seconds <= self.limit


def least(times: int, check: Callable[[], bool]) -> float:
    """CPU seconds of the quickest try."""
    spent = []
    for _ in range(times):
        began = time.process_time()
        assert check()
        spent.append(time.process_time() - began)
    return min(spent)


def work_figure(size: int | None, rounds: int, times: int) -> Figure:
    """A proof of that size, made and checked."""
    engine = CpuEngine()
    began = time.perf_counter()
    done = prove(engine, CHALLENGE, size=size, rounds=rounds)
    body = open_rows(engine, done, *AFTER).body()
    made = time.perf_counter() - began
    millijoules = done.stated.millijoules
    return Figure(
        f"work proof, size {done.size}, {rounds} rounds, {done.openings} openings",
        least(times, lambda: verify_work(body).ok),
        2.0,
        len(body),
        made,
        None if millijoules is None else millijoules / 1000,
    )


def figures(times: int, gpu_size: bool) -> list[Figure]:
    """All of them."""
    small, large = receipt(), whole_bundle(*parts(work=True))
    bundle = whole_bundle(*parts(work=False))
    found = [
        Figure("receipt", least(times, lambda: verify_receipt(small, NODE).node == NODE), 0.05, len(small)),
        Figure("bundle without a work proof", least(times, lambda: verify_bundle(bundle).ok), None, len(bundle)),
        Figure("bundle with one of size 256", least(3, lambda: verify_bundle(large).ok), None, len(large)),
        work_figure(None, 40, 3),
    ]
    return [*found, work_figure(GPU_SIZE, 1, 3)] if gpu_size else found


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1 if something is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--gpu-size", action="store_true")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    found = figures(chosen.times, chosen.gpu_size)
    if chosen.json:
        print(json.dumps([asdict(each) | {"kept": each.kept} for each in found]))
    else:
        for each in found:
            limit = "no limit" if each.limit is None else f"limit {1000 * each.limit:,.0f} ms"
            made = "" if each.made_seconds is None else f", made in {each.made_seconds:.1f} s, energy "
            if made:
                made += "not metered" if each.joules is None else f"{each.joules:.1f} J"
            print(f"{each.what:50} {1000 * each.seconds:9.2f} ms of one core ({limit}), {each.size:,} bytes{made}")
    return 0 if all(each.kept for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
