"""Every transaction of the programs' tests on a real node: error, logs, compute units, data and balances.

The tests run once on the virtual machine while a recorder looks on. What they sent is sent again, signed anew, to real
nodes whose genesis holds the accounts the tests had put in place, and whose clock begins at the tests' time. What the
node does is compared with what the virtual machine does at the node's clock.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.realchain.packing import Chain, choose, pack
from tests.realchain.process import ValidatorFailed
from tests.realchain.recorder import AT_IMPORT
from tests.realchain.recording import Recording
from tests.realchain.replay import FAKETIME, Report, replay
from tests.realchain.sending import NotLanded

pytestmark = [
    pytest.mark.realchain,
    pytest.mark.skipif(FAKETIME is None, reason="no libfaketime (Debian package of that name)"),
]

PROGRAMS = Path("tests") / "localnet" / "programs"
EXAMPLES = int(os.environ.get("GPUNODE_REALCHAIN_EXAMPLES", "10"))
"""Of each property, how many examples go to a real node."""
AT_ONCE = int(os.environ.get("GPUNODE_REALCHAIN_NODES", "2"))
"""Nodes that run side by side; each takes 600 MB and most of a core."""
UNITS_PER_INSTRUCTION = 200_000
"""What a transaction gets per instruction where it asks for nothing."""
ATTEMPTS = 3
"""A machine under load may be too slow for slots of 50 ms: the same is then tried on a new node."""


async def record(folder: Path, *choice: str) -> Recording:
    """Run the programs' tests (or some of them) with the recorder."""
    file = folder / "recording"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "tests.realchain.recorder", "--record", str(file)),
        *(choice or [str(PROGRAMS)]),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    recording = pickle.loads(file.read_bytes())
    assert isinstance(recording, Recording)
    return recording


async def replay_all(chains: Sequence[Chain]) -> Report:
    """Each chain on a node of its own."""
    total = Report()
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, chain: Chain) -> None:
        async with limit:
            for attempt in range(ATTEMPTS):
                try:
                    report = await replay(chain)
                    total.add(report)
                    found = f"{report.steps} transactions, {len(report.differences)} differences"
                    print(f"node {number} of {len(chains)}: {found}", flush=True)
                    return
                except (NotLanded, ValidatorFailed):
                    if attempt == ATTEMPTS - 1:
                        raise

    async with asyncio.TaskGroup() as group:
        for number, chain in enumerate(chains, start=1):
            group.create_task(one(number, chain))
    return total


def show(recording: Recording, chains: Sequence[Chain], report: Report) -> None:
    """What ran, for whoever reads the test's output."""
    sent = {test for chain in chains for segment in chain.segments for test in segment.tests} - {AT_IMPORT}
    files: dict[str, Counter[str]] = {}
    for test in sorted(recording.ran):
        files.setdefault(test.split("::")[0], Counter())["sent" if test in sent else "without transactions"] += 1
    for file, counts in files.items():
        print(f"{file}: {dict(counts)}")
    print(f"{report.steps} transactions on {len(chains)} nodes, {report.on_time} in the very second of their test")
    print(f"ended otherwise because the clock had moved on: {dict(Counter(report.late)) or 'none'}")
    for name, units in sorted(report.units.items(), key=lambda entry: -entry[1])[:10]:
        print(f"{units:>8} compute units: {name}")


def check(report: Report) -> None:
    assert report.steps > 0
    for difference in report.differences[:10]:
        print(f"{difference.test}: {difference.what}\n  node:    {difference.real}\n  machine: {difference.machine}")
    assert not report.differences, f"{len(report.differences)} differences"
    assert max(report.units.values()) < UNITS_PER_INSTRUCTION / 2


async def test_a_slice_of_the_programs_tests(validator_binary: str, tmp_path: Path) -> None:
    recording = await record(tmp_path, str(PROGRAMS / "test_runs.py"), str(PROGRAMS / "test_queue.py"))
    chains = pack(choose(recording, 1))[:2]
    report = await replay_all(chains)
    show(recording, chains, report)
    check(report)


@pytest.mark.timeout(3600)
async def test_all_of_the_programs_tests(validator_binary: str, tmp_path: Path) -> None:
    recording = await record(tmp_path)
    chains = pack(choose(recording, EXAMPLES))
    report = await replay_all(chains)
    show(recording, chains, report)
    check(report)
    sent = {test for chain in chains for segment in chain.segments for test in segment.tests}
    recorded = {step.test for world in recording.worlds for step in world}
    assert sent == recorded, "every test that sends anything is there"
