"""A job's log as it grows, for those who follow it.

Followers read the files in which the logs are kept, each at its own pace. So nothing is copied for whom nobody follows,
a flood costs the agent no memory, and who is slow holds up nobody.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from node.agent.live import JobLive
from node.api.owner.port import LogFrame, LogKind
from node.container.log import order_key
from node.errors import OwnerRefused
from node.retry import Clock, sleep_or

LOOK_SECONDS = 0.25
"""How often the files are looked at while somebody follows and nothing else happens."""
PIECE = 128 * 1024
"""Bytes read of a file at a time."""


class LogFeed:
    """Follows one job for one reader."""

    def __init__(self, live: JobLive, clock: Clock) -> None:
        self._live = live
        self._clock = clock
        self._tails: dict[str, _Tail] = {}
        self._words = 0
        """Of the agent's own lines, how many were read."""
        self._last_ms = 0

    async def frames(self) -> AsyncIterator[LogFrame | None]:
        """All that is kept, a None, and then what comes, until the job is over. Raises OwnerRefused for a reader that
        is too slow for the agent's own lines."""
        while frames := await self._more():
            for frame in frames:
                yield frame
        yield None
        while True:
            changed, over = self._live.changed, self._live.is_over
            while frames := await self._more():
                for frame in frames:
                    yield frame
            if over:
                return
            await sleep_or(self._clock, LOOK_SECONDS, changed)

    async def _more(self) -> list[LogFrame]:
        """The next lines of all sources, in the order of their times as far as that can be told now."""
        for step in self._live.steps:
            if step.operation.container is not None and step.id not in self._tails:
                group = step.operation.group
                self._tails[step.id] = _Tail(self._live.log_path(step.operation), step.id, group)
        await asyncio.to_thread(_fill, list(self._tails.values()))
        words = self._own_words()
        # Only up to where every file has been read: what it has beyond may be older than what others have.
        full = [tail.waiting[-1][0] for tail in self._tails.values() if not tail.at_end and tail.waiting]
        horizon = min(full, default=None)
        ready: list[tuple[str, LogFrame]] = []
        for tail in self._tails.values():
            while tail.waiting and (horizon is None or tail.waiting[0][0] <= horizon):
                ready.append(tail.waiting.popleft())
        ready += words
        ready.sort(key=lambda pair: pair[0])
        return [self._stamped(frame) for _, frame in ready]

    def _own_words(self) -> list[tuple[str, LogFrame]]:
        live = self._live
        dropped = live.words_dropped - self._words
        if dropped > 0 and self._words:
            raise OwnerRefused("the log goes on faster than it is read")
        words = list(live.words)[max(-dropped, 0) :]
        self._words = live.words_dropped + len(live.words)
        return [(_key(frame.timestamp_ms), frame) for frame in words]

    def _stamped(self, frame: LogFrame) -> LogFrame:
        """Times never fall, whatever the files and clocks say."""
        self._last_ms = max(self._last_ms, frame.timestamp_ms)
        if self._last_ms == frame.timestamp_ms:
            return frame
        return LogFrame(self._last_ms, frame.operation, frame.group, frame.message, frame.kind, frame.stream)


class _Tail:
    """One operation's file, as far as it was read."""

    def __init__(self, path: Path, operation: str, group: str) -> None:
        self._path = path
        self._operation = operation
        self._group = group
        self._offset = 0
        self._rest = b""
        self._highest = ""
        self.waiting: deque[tuple[str, LogFrame]] = deque()
        self.at_end = False

    def fill(self) -> None:
        """Read on, if nothing waits. Blocks."""
        self.at_end = self.at_end and bool(self.waiting)
        while not self.waiting and not self.at_end:
            self._read()

    def _read(self) -> None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                piece = file.read(PIECE)
        except OSError:
            piece = b""
        self._offset += len(piece)
        self.at_end = len(piece) < PIECE
        whole, newline, self._rest = (self._rest + piece).rpartition(b"\n")
        if newline:
            self.waiting.extend(self._parsed(whole.split(b"\n")))

    def _parsed(self, lines: Iterable[bytes]) -> Iterable[tuple[str, LogFrame]]:
        for line in lines:
            try:
                entry = json.loads(line)
                stream, text, timestamp = str(entry["type"]), str(entry["log"]), str(entry["timestamp"])
            except (ValueError, KeyError, TypeError):
                continue
            # A log's own order holds, whatever its timestamps say.
            key = self._highest = max(self._highest, order_key(timestamp))
            kind = LogKind.ERROR if stream == "nodeerr" else LogKind.CONTAINER
            yield key, LogFrame(_milliseconds(key), self._operation, self._group, text, kind, stream)


def _fill(tails: Sequence[_Tail]) -> None:
    for tail in tails:
        tail.fill()


def _key(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}000000Z"


def _milliseconds(key: str) -> int:
    try:
        seconds = datetime.fromisoformat(key[:19]).replace(tzinfo=UTC).timestamp()
        return int(seconds) * 1000 + int(key[20:23])
    except ValueError:
        return 0
