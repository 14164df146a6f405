"""How long each stage of the main job takes, next to `docker run --rm` of the same image and command.

    .venv/bin/python -m tests.bench.demo_latency [--runs 5] [--json]

Demo and plain run take turns, so that both see the same machine. Nothing is asserted: the figures are for people.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.localnet.recipes import definition

PLAIN = "docker run --rm"
STAGES = "all stages"
WHOLE = "gpunode demo"
OVERHEAD = f"all stages less {PLAIN}"
RUN_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds of one thing over all runs."""

    name: str
    seconds: tuple[float, ...]

    def document(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "name": self.name,
            "min": round(min(self.seconds), 3),
            "median": round(statistics.median(self.seconds), 3),
            "max": round(max(self.seconds), 3),
            "seconds": [round(value, 3) for value in self.seconds],
        }


def measure(runs: int, job: str = "spam") -> tuple[Spread, ...]:
    """Run demo and plain container `runs` times in turn. Raises RuntimeError when one of them fails."""
    rounds = []
    for number in range(1, runs + 1):
        plain = run_plain(job)
        stages, whole = run_demo(job)
        spent = sum(stages.values())
        rounds.append({**stages, STAGES: spent, PLAIN: plain, OVERHEAD: spent - plain, WHOLE: whole})
        print(f"run {number} of {runs}: stages {spent:.1f} s, {PLAIN} {plain:.1f} s", file=sys.stderr, flush=True)
    return tuple(spreads(rounds))


def spreads(rounds: Sequence[Mapping[str, float]]) -> Iterable[Spread]:
    """The rounds by name, in the order of the first one."""
    for name in rounds[0]:
        yield Spread(name, tuple(each[name] for each in rounds))


def run_plain(job: str) -> float:
    """Seconds of `docker run --rm` with the job's image and command."""
    arguments = definition(job)["ops"][0]["args"]
    began = time.monotonic()
    _run("docker", "run", "--rm", arguments["image"], *arguments["cmd"])
    return time.monotonic() - began


def run_demo(job: str) -> tuple[dict[str, float], float]:
    """Seconds of each stage of the demo's job, and of the whole demo."""
    began = time.monotonic()
    out = _run(sys.executable, "-m", "node.cli", "demo", "--job", job, "--json")
    whole = time.monotonic() - began
    summary = json.loads(out.splitlines()[-1])
    if not summary["ok"]:
        raise RuntimeError(f"the demo's job failed: {summary}")
    return {name: spent for name, spent in summary["stages"].items() if spent is not None}, whole


def table(measured: Iterable[Spread]) -> str:
    """The figures as a Markdown table."""
    rows = [each.document() for each in measured]
    lines = ["| seconds | min | median | max |", "|---|---:|---:|---:|"]
    lines += [f"| {row['name']} | {row['min']:.3f} | {row['median']:.3f} | {row['max']:.3f} |" for row in rows]
    return "\n".join(lines)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="of each of the two (default 5)")
    parser.add_argument("--job", default="spam", help="which demo job")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs: at least one")
    # Before the first measured run: an image that has to be built first would count as the demo's time.
    _run(sys.executable, "-m", "node.localnet.images", options.job)
    measured = measure(options.runs, options.job)
    if options.json:
        print(json.dumps({"runs": options.runs, "figures": [each.document() for each in measured]}))
    else:
        print(table(measured))


if __name__ == "__main__":
    main()
