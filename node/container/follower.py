"""Following a container's log into its keeper, over as many connections as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from node.container.engine import Engine, LogFrame
from node.container.log import LogKeeper


async def follow(engine: Engine, container: str, keeper: LogKeeper) -> None:
    """Keep the container's output until it has ended or the log is full; goes on where the keeper stands.

    A full log is not read any further: the engine writes into its own bounded copy, and a flood costs the
    agent nothing. Raises EngineUnavailable when the stream breaks (call again), EngineRejected when there is no
    log to be had.
    """
    await _keep(engine, container, keeper, live=True)


async def collect(engine: Engine, container: str, keeper: LogKeeper) -> None:
    """Keep what the engine has recorded so far and the keeper has not. Errors as in `follow`."""
    await _keep(engine, container, keeper, live=False)


async def _keep(engine: Engine, container: str, keeper: LogKeeper, *, live: bool) -> None:
    if keeper.truncated:
        return
    since = keeper.resume()
    async for frames in engine.logs(container, since, follow=live):
        await _add(keeper, frames)
        if keeper.truncated:
            return


async def _add(keeper: LogKeeper, frames: Sequence[LogFrame]) -> None:
    # Encoding, hashing and writing happen in a thread. A cancelled follow waits for it: a second follow must never
    # overtake a batch that the first one is still writing.
    writing = asyncio.get_running_loop().run_in_executor(None, keeper.add, frames)
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait([writing])
        raise
