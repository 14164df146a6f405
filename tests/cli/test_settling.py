"""Commands to the agent show what the lane came to, not what it was before it could act."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from node.api.client import ControlClient
from node.api.control import ControlServer
from node.cli.control import _settled
from node.records import LanePhase, LaneStatus
from tests.api.double import DoublePort, lane


class SlowPort(DoublePort):
    """An agent whose lane leaves the queue a little after it was told to."""

    def __init__(self, *, working: bool) -> None:
        super().__init__()
        self.lane = lane(LanePhase.WORKING) if working else replace(lane(LanePhase.QUEUED, "place 1 of 1"), job=None)
        self.questions = 0

    async def status(self):  # type: ignore[no-untyped-def]
        self.questions += 1
        if self.questions == 2:
            self.lane = replace(self.lane, phase=LanePhase.DRAINING, reason="leaving the queue")
        if self.questions == 4:
            self.lane = replace(self.lane, reason="drained; gpunode resume joins again")
        return await super().status()

    async def drain(self, lane: str | None = None) -> tuple[LaneStatus, ...]:
        return (self.lane,)


async def _drain(port: SlowPort, place: Path) -> tuple[str, str]:
    async with ControlServer(port, place), ControlClient(place) as client:
        async with asyncio.timeout(10):
            (shown,) = (await _settled(client, await client.drain()))["lanes"]
    return shown["phase"], shown["reason"]


async def test_a_lane_is_shown_once_it_has_acted(tmp_path: Path) -> None:
    port = SlowPort(working=False)
    assert await _drain(port, tmp_path / "c.sock") == ("draining", "drained; gpunode resume joins again")


async def test_a_lane_with_a_job_is_not_waited_for(tmp_path: Path) -> None:
    port = SlowPort(working=True)
    assert (await _drain(port, tmp_path / "c.sock"))[0] == "working"
    assert port.questions == 0
