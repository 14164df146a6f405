"""What looking at GPUs once a second costs: `python -m tests.bench.gpu_sampling [ROUNDS]`.

1, 8 and 64 GPUs, each followed by a meter that keeps and hashes its lines, and all by the monitor. Rounds follow each
other without a pause; processor time of a round is the share of a processor that one round a second takes. NVML is the
tests' double in the real helper process: what the real library does inside a call is not in it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from node.content.merkle import MerkleHasher
from node.gpu.monitor import GpuMonitor, local_day
from node.gpu.nvidia import NvidiaProvider
from node.retry import SystemClock

DOUBLE = Path(__file__).parents[1] / "gpu" / "nvml_double.py"
FIXTURE = Path(__file__).parents[1] / "gpu" / "fixtures" / "a100.json"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one round, in milliseconds."""

    gpus: int
    agent: float
    """Processor time of this process."""
    helper: float
    """Of the helper process."""
    wall: float
    look: float
    """Wall time of a closer look at all: processes, settings, faults; one in five seconds."""
    line_bytes: int


async def measure(count: int, rounds: int, folder: Path) -> Cost:
    """Look at so many GPUs so often."""
    script = json.loads(FIXTURE.read_text())
    (device,) = script["devices"]
    script["devices"] = [device | {"uuid": f"GPU-5e3c1a7e-0000-4000-8000-{index:012x}"} for index in range(count)]
    file = folder / f"{count}.json"
    file.write_text(json.dumps(script))
    os.environ["NVML_DOUBLE"] = str(file)
    provider = NvidiaProvider(library=str(DOUBLE), new_hasher=MerkleHasher, deadline=60.0)
    monitor = GpuMonitor(provider, SystemClock(), local_day)
    try:
        uuids = tuple(gpu.uuid for gpu in await monitor.inventory())
        async with AsyncExitStack() as stack:
            for uuid in uuids:
                await stack.enter_async_context(provider.meter((uuid,), folder / f"{count}-{uuid}.jsonl"))
            await stack.enter_async_context(provider.sampler.following(uuids, monitor.add))
            process = provider._helper._process
            assert process is not None
            began, agent, helper = time.monotonic(), time.process_time(), _spent(process.pid)
            for _ in range(rounds):
                await provider.sampler.sample(uuids)
            wall = time.monotonic() - began
            agent, helper = time.process_time() - agent, _spent(process.pid) - helper
            began = time.monotonic()
            await monitor.look(uuids)
            look = time.monotonic() - began
        lines = (folder / f"{count}-{uuids[0]}.jsonl").read_bytes().splitlines(keepends=True)
        per_round = (1000 * each / rounds for each in (agent, helper, wall))
        return Cost(count, *per_round, 1000 * look, len(lines[-1]))
    finally:
        await provider.aclose()


def _spent(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / TICKS


async def run(rounds: int, counts: tuple[int, ...] = (1, 8, 64)) -> list[Cost]:
    """One after the other."""
    with tempfile.TemporaryDirectory() as folder:
        return [await measure(count, rounds, Path(folder)) for count in counts]


def main(arguments: list[str]) -> int:
    """Print a line for each number of GPUs."""
    for cost in asyncio.run(run(int(arguments[0]) if arguments else 300)):
        print(
            f"{cost.gpus:3d} GPUs: {cost.agent:6.2f} ms agent, {cost.helper:6.2f} ms helper, {cost.wall:6.2f} ms wall "
            f"a round = {(cost.agent + cost.helper) / 10:.2f} % of a processor; a look {cost.look:.1f} ms; "
            f"{cost.line_bytes} bytes a sample"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
