"""Everything the network's own clients offer, done on the localnet, call by call."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.chain.clusters import IdSet
from tests.interop.everything import FLOWS, NOT_ASKED
from tests.interop.flows import run_flow
from tests.interop.places import local_place

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]


@pytest.mark.parametrize(("flow", "ids"), FLOWS, ids=[f"{flow}-{ids}" for flow, ids in FLOWS])
async def test_every_call_works(flow: str, ids: IdSet, clients: Path) -> None:
    async with local_place(ids) as place:
        report = await run_flow(flow, clients, place)
    assert not report.failed, report.failures()
    assert report.offered - set(report.calls) == set(NOT_ASKED.get(flow, {}))
