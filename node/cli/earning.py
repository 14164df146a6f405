"""Whether lanes earn, read from the chain by a command where no agent runs that would tell."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from node.errors import GpunodeError

if TYPE_CHECKING:
    from node.records import Address, EarningState
    from node.settings import LaneSettings, Settings


async def complete(settings: Settings, status: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """A status in which each lane has its `earning`: the running agent's, else read from the chain here."""
    known = await status
    if known["running"]:
        return known
    states = await _states(settings, {lane["lane"]: lane["node"] for lane in known["lanes"]})
    for lane in known["lanes"]:
        lane["earning"] = states.get(lane["lane"])
    return known


async def _states(settings: Settings, nodes: dict[str, Address]) -> dict[str, dict[str, Any]]:
    from node.agent.earning_state import PATIENCE, unknown
    from node.api.documents import plain
    from node.cli.reach import reach, target
    from node.journal.reader import JournalReader

    lanes = [lane for lane in settings.lanes if lane.name in nodes]
    wanted = replace(target(settings, None, None, None), timeout=PATIENCE)
    async with AsyncExitStack() as stack:
        try:
            cluster, rpc = await stack.enter_async_context(reach(wanted))
            journal = await stack.enter_async_context(await JournalReader.open_readonly(settings.locations.journal))
        except GpunodeError as error:
            state = unknown(error.message, time.time())
            return {lane.name: plain(state) for lane in lanes}
        return {lane.name: plain(await _state(lane, nodes[lane.name], cluster, rpc, journal)) for lane in lanes}


async def _state(lane: LaneSettings, node: Address, cluster: Any, rpc: Any, journal: Any) -> EarningState:
    from node.agent.earning_state import ask
    from node.cli.spend import watching
    from node.market.lane_view import read_view
    from node.records import Address

    market = Address(lane.market)
    context = watching(node, cluster, rpc)
    return await ask(lambda: read_view(context, market), journal, lane.name, market, "", time.time)
