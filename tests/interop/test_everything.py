"""Everything the network's own clients offer, done on the localnet, call by call."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.chain.clusters import IdSet
from tests.interop.everything import FLOWS, NOT_ASKED
from tests.interop.flows import run_flow
from tests.interop.places import local_place

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]


LONG = {("kit", "devnet"), ("programs", "devnet"), ("web3", "devnet")}
"""The kit's calls are the same on its main network, and more; what web3 offers is what the others are made of."""
CASES = [
    pytest.param(flow, ids, id=f"{flow}-{ids}", marks=pytest.mark.long if (flow, ids) in LONG else ())
    for flow, ids in FLOWS
]


@pytest.mark.parametrize(("flow", "ids"), CASES)
async def test_every_call_works(flow: str, ids: IdSet, clients: Path) -> None:
    async with local_place(ids) as place:
        report = await run_flow(flow, clients, place)
    assert not report.failed, report.failures()
    assert report.offered - set(report.calls) == set(NOT_ASKED.get(flow, {}))
