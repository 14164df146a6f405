"""Following a container's log into its keeper, over as many connections as it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from node.container.engine import Engine, LogFrame
from node.container.log import LogEntry, LogKeeper

COLLECT_SECONDS = 40.0
"""How long reading what a container has left behind may take."""
MAX_WAITING = 1024
"""Frames (of at most 16 KiB with Docker) that may wait while others are written; then reading pauses."""

log = logging.getLogger(__name__)


async def follow(engine: Engine, container: str, keeper: LogKeeper) -> None:
    """Keep the container's output until it has ended or the log is full; goes on where the keeper stands.

    A full log is not read any further: the engine writes into its own bounded copy, and a flood costs the
    agent nothing. Raises EngineUnavailable when the stream breaks (call again), EngineRejected when there is no
    log to be had.
    """
    await _keep(engine, container, keeper, live=True)


async def collect(engine: Engine, container: str, keeper: LogKeeper, seconds: float = COLLECT_SECONDS) -> None:
    """Keep what the engine has recorded so far and the keeper has not. Errors as in `follow`.

    What takes longer than `seconds` is cut, and says so: a job that has filled its log to the brim must not hold the
    lane for minutes after its end.
    """
    try:
        async with asyncio.timeout(seconds):
            await _keep(engine, container, keeper, live=False)
    except TimeoutError:
        kept = await asyncio.to_thread(keeper.cut, f"the rest could not be read within {seconds:g} s of the job's end.")
        _tell(keeper, kept)


async def _keep(engine: Engine, container: str, keeper: LogKeeper, *, live: bool) -> None:
    if keeper.truncated:
        return
    since = keeper.resume()
    queue = _WriteQueue(keeper)
    try:
        async for frames in engine.logs(container, since, follow=live):
            await queue.put(frames)
            if keeper.truncated:
                return
    except asyncio.CancelledError:
        queue.drop()
        raise
    finally:
        await queue.empty()


def _tell(keeper: LogKeeper, kept: Sequence[LogEntry]) -> None:
    if keeper.on_entries is None or not kept:
        return
    try:
        keeper.on_entries(kept)
    except Exception:
        log.exception("who listens to a log has failed")  # their affair: the log is kept all the same


class _WriteQueue:
    """Frames on their way to the disk: encoded, hashed and written in a thread, one batch at a time.

    Engines send a line at a time. All that came while one batch was written makes the next, so that a flood of short
    lines costs few hand-overs between threads.
    """

    def __init__(self, keeper: LogKeeper) -> None:
        self._keeper = keeper
        self._waiting: list[LogFrame] = []
        self._writing: asyncio.Future[tuple[LogEntry, ...]] | None = None
        self._error: BaseException | None = None

    async def put(self, frames: Sequence[LogFrame]) -> None:
        """Take frames; waits while too many are on their way."""
        self._waiting += frames
        self._write()
        while len(self._waiting) > MAX_WAITING:
            await self.idle()
        self._check()

    async def empty(self) -> None:
        """Wait until all frames are kept."""
        while self._waiting:
            await self.idle()
        await self.idle()
        self._check()

    def drop(self) -> None:
        """Forget what is not being written yet: a later follow reads it again."""
        self._waiting.clear()

    async def idle(self) -> None:
        """Wait for the batch that is being written: a second follow must never overtake it."""
        if self._writing is not None:
            await asyncio.wait([self._writing])

    def _write(self) -> None:
        if self._writing is None and self._waiting and self._error is None:
            batch, self._waiting = self._waiting, []
            self._writing = asyncio.get_running_loop().run_in_executor(None, self._keeper.add, batch)
            self._writing.add_done_callback(self._written)

    def _written(self, writing: asyncio.Future[tuple[LogEntry, ...]]) -> None:
        self._writing = None
        self._error = None if writing.cancelled() else writing.exception()
        if self._error is not None:
            self._waiting.clear()
        elif not writing.cancelled():
            _tell(self._keeper, writing.result())
        self._write()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
