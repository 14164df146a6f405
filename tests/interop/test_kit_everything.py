"""Everything @nosana/kit offers, done on the localnet: with the addresses of either network."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.chain.clusters import IdSet
from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions
from tests.interop.flows import describe, run_flow
from tests.interop.staging import stage

pytestmark = [pytest.mark.interop]


@pytest.mark.parametrize("ids", ["devnet", "mainnet"])
async def test_every_call_of_the_kit_works(ids: IdSet, clients: Path) -> None:
    async with Localnet.start(LocalnetOptions(rpc_port=0, content_port=0, slot_ms=50, ids=ids)) as net:
        report = await run_flow("kit", clients, describe(net, net.content_url, stage(net)))
    assert not report.failed, "\n\n".join(f"{step}: {why}" for step, why in report.failed.items())
    assert report.offered <= set(report.calls)
