"""`python -m tests.fuzz [--cases N] [--target NAME]... [--seed S] [--keep FOLDER]`: N cases, shared by the targets."""

from __future__ import annotations

import argparse
import logging
import resource
import sys
from pathlib import Path

from tests.fuzz import campaign
from tests.fuzz.targets import TARGETS

MOST_MEMORY = 4 << 30
"""Address space of the process: a case that wants more meets MemoryError, which is a finding."""


def main() -> int:
    """Run the campaigns; 1 where something was found."""
    words = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    words.add_argument("--cases", type=int, default=100_000)
    words.add_argument("--target", action="append", choices=sorted(TARGETS))
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--keep", type=Path, help="folder for the cases that found something")
    chosen = words.parse_args()
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    names = chosen.target or sorted(TARGETS)
    reports = []
    for name in names:
        report = campaign.run(
            TARGETS[name], chosen.cases // len(names), chosen.seed, lambda line: print(line, flush=True)
        )
        print(report.line(), flush=True)
        reports.append(report)
        for number, (case, trace) in enumerate(report.findings.values()):
            print(trace)
            if chosen.keep:
                chosen.keep.mkdir(parents=True, exist_ok=True)
                (chosen.keep / f"{name}-{number}").write_bytes(case)
    cases, seconds = sum(report.cases for report in reports), sum(report.seconds for report in reports)
    found = sum(len(report.findings) for report in reports)
    print(f"{cases} cases in {seconds:.0f} s, {cases / max(seconds, 1e-9):.0f}/s, {found} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
