"""Everything the network's own clients offer, done on a real validator, with the same outcomes as on the localnet.

With GPUNODE_CLIENTS_TABLE=FILE the outcomes are appended to that file as a table.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.chain.clusters import IdSet
from tests.interop.everything import DIFFERENCES, FLOWS, NOT_ASKED, PACKAGES
from tests.interop.flows import Report, run_flow
from tests.interop.places import local_place, real_place

pytestmark = [pytest.mark.interop, pytest.mark.realchain, pytest.mark.slow, pytest.mark.timeout(400)]

TABLE = "GPUNODE_CLIENTS_TABLE"


@pytest.mark.parametrize(("flow", "ids"), FLOWS, ids=[f"{flow}-{ids}" for flow, ids in FLOWS])
async def test_a_real_validator_and_the_localnet_agree(
    flow: str, ids: IdSet, clients: Path, validator_binary: str, tmp_path: Path
) -> None:
    async with local_place(ids) as place:
        local = await run_flow(flow, clients, place)
    async with real_place(tmp_path, ids) as place:
        real = await run_flow(flow, clients, place)
    if table := os.environ.get(TABLE):
        write(Path(table), rows(flow, ids, local, real))
    assert not real.failed, real.failures()
    assert not local.failed, local.failures()
    differing = {call for call in real.calls if local.outcome(call).split(":")[0] != real.outcome(call).split(":")[0]}
    assert differing == {call for call in real.calls if f"{flow} {call}" in DIFFERENCES}


def write(table: Path, lines: Iterator[str]) -> None:
    """Append lines to a file."""
    with table.open("a") as file:
        file.writelines(line + "\n" for line in lines)


def rows(flow: str, ids: IdSet, local: Report, real: Report) -> Iterator[str]:
    """The outcomes as a table."""
    yield f"\n## {PACKAGES[flow]}, {ids} addresses\n"
    yield "| call | times | localnet | real validator | difference |"
    yield "|---|---|---|---|---|"
    for call in sorted(set(local.calls) | set(real.calls)):
        times = len(local.calls.get(call, ()))
        here, there = (one.outcome(call) if call in one.calls else "not reached" for one in (local, real))
        why = DIFFERENCES.get(f"{flow} {call}", "" if here.split(":")[0] == there.split(":")[0] else "UNEXPLAINED")
        yield f"| {call} | {times} | {here} | {there if there != here else 'the same'} | {why} |"
    for call, reason in sorted(NOT_ASKED.get(flow, {}).items()):
        yield f"| {call} | – | not asked: {reason} | | |"
