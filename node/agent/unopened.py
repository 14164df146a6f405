"""A lane whose key cannot be opened: it says so beside the others, which serve."""

from __future__ import annotations

import asyncio

from node.errors import WalletError
from node.records import Address, LanePhase, LaneStatus
from node.retry import Clock
from node.settings import LaneSettings


class UnopenedLane:
    """Stands where a lane would, for supervisor and operator, until the agent is started again."""

    def __init__(self, lane: LaneSettings, error: WalletError, clock: Clock) -> None:
        hint = f"{error.hint.rstrip('.')}; then restart the agent" if error.hint else "mend it and restart the agent"
        self.name = lane.name
        self.status = LaneStatus(
            lane=lane.name,
            node=Address(""),
            market=Address(lane.market),
            phase=LanePhase.DEGRADED,
            reason=f"no key: {error.message} ({hint})",
            since=clock.time(),
        )

    async def start(self) -> None:
        """The journal keeps what it knows of the lane: its key is not known to have changed."""

    async def run(self) -> None:
        """Do nothing, for ever."""
        await asyncio.Event().wait()

    def quit(self) -> None:
        """There is nothing to give back."""

    async def leave(self) -> None:
        """There is no queue to leave."""

    async def drain(self) -> None:
        """There is nothing to finish."""

    async def pause(self, seconds: float | None) -> None:
        """It rests anyway."""

    async def resume(self) -> None:
        """Keys are opened at a start."""

    async def adopt(self) -> None:
        """As resume."""
