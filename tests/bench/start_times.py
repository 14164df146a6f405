"""How long a command takes to say its first word: wall time, processor time and memory of whole processes.

python -m tests.bench.start_times [--runs 10] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

COMMANDS = {
    "help": ["--help"],
    "version": ["--version"],
    "completion": ["completion", "bash"],
    "Tab": [],
    "status (no agent)": ["status"],
    "status --json (no agent)": ["status", "--json"],
    "jobs": ["jobs"],
}
SETTINGS = """
cluster: localnet
host: {country: NL}
lanes: [{name: main, wallet: key.json, market: 7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41}]
"""


@dataclass(frozen=True)
class Figure:
    """One command. Seconds; MiB."""

    name: str
    wall: float
    least: float
    cpu: float
    memory: float


def measure(name: str, arguments: list[str], runs: int, folder: Path) -> Figure:
    """Run it so many times; the median of the wall time, the mean of the processor's."""
    environment = {**os.environ, "GPUNODE_SETTINGS": str(folder / "node.yaml"), "GPUNODE_PATHS__DATA": str(folder)}
    if name == "Tab":
        environment |= {"_GPUNODE_COMPLETE": "complete_bash", "COMP_WORDS": "gpunode st", "COMP_CWORD": "1"}
    walls = []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "node.cli", *arguments], env=environment, capture_output=True, check=False
        )
        walls.append(time.perf_counter() - began)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # The largest of all children so far: the commands go from small to large.
    return Figure(name, statistics.median(walls), min(walls), used / runs, after.ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "node.yaml").write_text(SETTINGS)
        figures = [measure(name, arguments, options.runs, folder) for name, arguments in COMMANDS.items()]
    if options.json:
        print(json.dumps({"runs": options.runs, "figures": [asdict(each) for each in figures]}))
        return
    for each in figures:
        wall, cpu = f"{each.wall:.2f} s (least {each.least:.2f})", f"{each.cpu:.2f} s of processor"
        print(f"{each.name:26} {wall:22} {cpu:24} up to {each.memory:.0f} MiB")


if __name__ == "__main__":
    main()
