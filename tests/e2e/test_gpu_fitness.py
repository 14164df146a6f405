"""A running agent with eight simulated GPUs, of which one becomes unfit and fit again, and whose owner plays."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from node.api.client import ControlClient
from node.gpu.scenario import LOST_NAME
from tests.e2e.market_place import MarketPlace, market_place, queued, until

pytestmark = [pytest.mark.docker, pytest.mark.long]


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[MarketPlace]:
    async with market_place(tmp_path) as made:
        made.set_up(gpu={"provider": "simulated", "simulated": 8, "pause_for": ["GAME*"]})
        yield made


async def degraded(agent: ControlClient, words: str) -> bool:
    lane = (await agent.status())["lanes"][0]
    return lane["phase"] == "degraded" and words in lane["reason"]


async def test_a_lane_leaves_and_comes_back_by_itself(place: MarketPlace) -> None:
    data = place.settings.locations.data

    def tell(**seventh: Any) -> None:
        (data / LOST_NAME).write_text(json.dumps({"gpus": {"7": seventh}}))

    async with place.agent() as agent:
        await until(lambda: queued(agent))
        assert len((await agent.gpus())["gpus"]) == 8

        async def seen() -> bool:
            return any(each["temperature"] == 95 for each in (await agent.gpus_now())["gpus"])

        tell(temperature=95)
        await until(seen)
        await until(lambda: degraded(agent, "gpu fitness: GPU-simulated-"), seconds=60)
        assert place.net.market is not None
        assert place.node not in (await place.ledger_context.ledger.market(place.net.market)).queue
        assert any(each["hinders"] for each in (await agent.status())["health"] if each["subject"] == "gpu fitness")

        tell(temperature=50)
        await until(lambda: queued(agent), seconds=180)

        # A process of this host's own; that it is called a game is the scenario's word.
        tell(temperature=50, processes=[{"pid": os.getppid(), "used": 1, "names": ["game.exe"]}])
        await until(lambda: degraded(agent, "game.exe uses GPU-simulated-"), seconds=60)
