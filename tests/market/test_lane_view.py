"""Where a lane stands, read from the real programs at each step of its way."""

from __future__ import annotations

from dataclasses import replace

from solders.keypair import Keypair

from node.agent.earning_state import LaneHistory, earning_state
from node.market import funds
from node.market.join import join
from node.market.lane_view import read_view
from node.records import Address
from tests.market.conftest import Town


async def test_from_an_empty_wallet_to_work(town: Town) -> None:
    async def code() -> str:
        view = await read_view(host, town.market)
        return earning_state(view, LaneHistory(), town.market, host.clock.time()).code

    host = await town.person(sol=0.001)
    assert await code() == "sol"
    await town.give(host.node, sol=1)
    assert await code() == "not-queued"
    await funds.prepare(host, await host.ledger.market(town.market))
    await join(host, town.market)
    assert await code() == "queued"
    assert (await read_view(host, town.market)).position == 1
    await town.post(await town.person(nos=10))
    view = await read_view(host, town.market)
    assert view.job is not None
    assert view.job.address == view.runs[0].job
    assert await code() == "working"
    nowhere = await read_view(replace(host), Address(str(Keypair().pubkey())))
    assert nowhere.market is None
