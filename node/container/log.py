"""An operation's log: kept on disk as JSON lines, hashed while it streams.

File format: one canonical JSON object a line, `{"log":…,"timestamp":…,"type":…}` (sorted keys, no blanks, UTF-8).
The digest is the Merkle root over exactly the file's bytes, so anyone who has the file can check it. `log` keeps
its newline, pieces of an over-long line stay pieces, and bytes that are no UTF-8 become U+FFFD.

The limit holds for this file and also for the engine's own copy of the same entries, which escapes more: the engine
throws old parts of a copy that has grown too large away, and what is lost there before it is read here is lost in
silence. So our own cut, which says so, must come first.

Durability: bytes go to the page cache batch by batch, which survives a crash of the agent, and are synced once when
the digest is taken. After a power cut a torn end is cut off on opening and the engine's own copy is followed again
from there.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring
from pathlib import Path
from typing import Literal

from node.bounded_json import read_json
from node.container.engine import LogFrame, StreamName
from node.container.log_budget import LogBudget
from node.content.merkle import MerkleHasher
from node.errors import ContainerError
from node.records import LogDigest

RESULT_ENTRIES = 24_999
"""How many of the last entries a result document holds (Nosana node)."""

RESUME_OVERLAP_SECONDS = 5
"""The two streams of a container are stamped apart and written in turn, so that an entry may be recorded behind a
younger one of the other stream. A resumed follow reads this much again and drops what is kept."""

WHOLE_BYTES = 32 * 1024 * 1024
"""A log up to this size is read again whole: then no step of the engine's clock can hide or double a line. A larger one
is gone on with by its times, which costs less."""

_NOTE_ROOM = 256
"""Bytes kept free for the note that the log was cut."""

LOST_NOTE = "The log was cut here: the engine threw away what followed before it could be read.\n"

_ESCAPED_BY_ENGINE = re.compile("[<>&\t\b\f\u2028\u2029\ufffd]")

EntryType = Literal["stdout", "stderr", "nodeerr"]


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry in the shape of result documents; `nodeerr` is the agent's own note that the log was cut."""

    type: EntryType
    log: str
    timestamp: str

    def line(self) -> bytes:
        """Canonical bytes in the file."""
        # What json.dumps gives with sorted keys and no blanks, at a fraction of its time: floods pass through here.
        log, timestamp = encode_basestring(self.log), encode_basestring(self.timestamp)
        return f'{{"log":{log},"timestamp":{timestamp},"type":"{self.type}"}}\n'.encode()


@dataclass(slots=True)
class _Mark:
    """How far one stream is kept: its last time, and how many entries carry just that time."""

    key: str
    count: int


class LogKeeper:
    """Takes frames, keeps what fits, hashes it. Opening an existing file goes on where it ends.

    `limit` (bytes) bounds the file, or it and the job's other logs together; the first entry over it ends the log with
    a `nodeerr` entry that says so. A disk that takes no more ends it too, at the last whole entry; `failure` then says
    why.
    `is_of_one_container`: whether all that is kept came from the container that is followed now; only then is what is
    kept the beginning of what the engine has.
    Methods block on the disk (call them in a thread) and may be called from any one thread at a time or several.
    """

    def __init__(self, path: Path, limit: int | LogBudget) -> None:
        self.path = path
        self.truncated = False
        self.failure = ""
        self.is_of_one_container = False
        self.on_entries: Callable[[Sequence[LogEntry]], None] | None = None
        """Whom the follower tells of what was kept, in the event loop."""
        self._turned_to = ""
        self._entries = 0
        self._first: tuple[StreamName, str] | None = None
        self._awaits_kept = False
        self._skip = 0
        self._is_ordered = True
        self._budget = limit if isinstance(limit, LogBudget) else LogBudget(limit)
        self._hasher = MerkleHasher()
        self._length = 0
        self._spent = 0
        self._last_timestamp = ""
        self._marks: dict[StreamName, _Mark] = {}
        self._repeats: dict[StreamName, _Mark] = {}
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._recover()
        self._file = path.open("ab", buffering=0)

    @property
    def length(self) -> int:
        """Bytes kept."""
        return self._length

    def resume(self) -> str | None:
        """Prepare for a (re)connected stream: the time to read it from, None for its beginning.

        What the new stream repeats of the kept entries is dropped by `add`.
        """
        with self._lock:
            self._skip, self._repeats = 0, {}
            self._awaits_kept = self._entries > 0
            if (self.is_of_one_container or self._turned_to) and (self._length <= WHOLE_BYTES or not self._is_ordered):
                self._skip = self._entries
                return None
            self._repeats = {stream: _Mark(mark.key, mark.count) for stream, mark in self._marks.items()}
            if not self._marks:
                return None
            return _earlier(min(mark.key for mark in self._marks.values()), RESUME_OVERLAP_SECONDS)

    def turn_to(self, created: str) -> None:
        """From now on a container is followed that was made at that time (RFC 3339) with the operation begun anew:
        what is kept from before is of others and stays, and nothing of it is expected again."""
        with self._lock:
            if created == self._turned_to:
                return
            self._turned_to = created
            floor = order_key(created)
            self._entries, self._first, self._marks, self._is_ordered = 0, None, {}, True
            for entry in _entries(self.path, None):
                if order_key(entry.timestamp) >= floor and entry.type != "nodeerr":
                    self._note(entry.type, entry.timestamp)

    def add(self, frames: Sequence[LogFrame]) -> tuple[LogEntry, ...]:
        """Keep a batch of frames, in order, less those that are kept already; what was kept, if anybody listens."""
        with self._lock:
            batch, kept = bytearray(), list[LogEntry]()
            for frame in frames:
                if self.truncated:
                    break
                if not frame.data:
                    continue
                if self._has_gap_before(frame):
                    self._note_cut(LOST_NOTE, frame.timestamp, batch, kept)
                elif not self._is_repeat(frame):
                    self._keep(frame, batch, kept)
            self._write(bytes(batch))
            return tuple(kept)

    def cut(self, reason: str) -> tuple[LogEntry, ...]:
        """End the log here, and say why; what was kept of that, if anybody listens."""
        with self._lock:
            batch, kept = bytearray(), list[LogEntry]()
            if not self.truncated:
                self._note_cut(f"The log was cut here: {reason}\n", self._last_timestamp, batch, kept)
                self._write(bytes(batch))
            return tuple(kept)

    def digest(self, name: str) -> LogDigest:
        """Sync the file and say what it hashes to; `name` is its path below the data folder."""
        with self._lock:
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                self._fail(error)
            return LogDigest(
                root=self._hasher.root(),
                length=self._length,
                truncated=self.truncated,
                path=name,
                last_timestamp=self._last_timestamp,
            )

    def close(self) -> None:
        """Close the file; what is kept stays."""
        with self._lock:
            self._file.close()

    def _note_cut(self, text: str, timestamp: str, batch: bytearray, kept: list[LogEntry]) -> None:
        entry = LogEntry("nodeerr", text, timestamp[:40])
        batch += entry.line()
        self.truncated = True
        if self.on_entries is not None:
            kept.append(entry)

    def _keep(self, frame: LogFrame, batch: bytearray, kept: list[LogEntry]) -> None:
        entry = LogEntry(frame.stream, frame.data.decode("utf-8", "replace"), frame.timestamp)
        line = entry.line()
        cost = len(line) + _engine_surplus(entry.log)
        if self._spent + cost + _NOTE_ROOM > self._budget.most(self.path):
            self._note_cut(
                f"The log was cut here: it is limited to {self._budget.limit} bytes.\n", frame.timestamp, batch, kept
            )
            return
        batch += line
        if self.on_entries is not None:
            kept.append(entry)
        self._spend(cost)
        self._note(frame.stream, frame.timestamp)

    def _spend(self, cost: int) -> None:
        self._spent += cost
        self._budget.spend(self.path, self._spent)

    def _note(self, stream: StreamName, timestamp: str) -> None:
        self._entries += 1
        self._first = self._first or (stream, timestamp)
        self._last_timestamp = timestamp
        key = order_key(timestamp)
        mark = self._marks.get(stream)
        if mark is not None and key < mark.key:
            self._is_ordered = False  # the engine's clock was set back
        if mark is not None and mark.key == key:
            mark.count += 1
        else:
            self._marks[stream] = _Mark(key, 1)

    def _has_gap_before(self, frame: LogFrame) -> bool:
        """Whether a stream that was taken up again begins behind what is kept: the engine threw away what was not read
        in time, as it does with a log that has grown too large while nobody followed."""
        if not self._awaits_kept:
            return False
        self._awaits_kept = False
        if self._skip:
            return (frame.stream, frame.timestamp) != self._first
        return order_key(frame.timestamp) > max(mark.key for mark in self._repeats.values())

    def _is_repeat(self, frame: LogFrame) -> bool:
        if self._skip:
            self._skip -= 1
            return True
        mark = self._repeats.get(frame.stream)
        if mark is None:
            return False
        key = order_key(frame.timestamp)
        if key < mark.key:
            return True
        if key == mark.key and mark.count > 0:
            mark.count -= 1
            return True
        del self._repeats[frame.stream]
        return False

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            self._fail(error)
            return
        self._hasher.update(data)
        self._length += len(data)

    def _fail(self, error: OSError) -> None:
        self.truncated = True
        self.failure = error.strerror or str(error)
        # Only whole entries stay. If this fails as well, the next opening cuts the torn end off.
        with contextlib.suppress(OSError):
            os.ftruncate(self._file.fileno(), self._length)

    def _recover(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("r+b") as file:
            for line in file:
                entry = _parse(line)
                if entry is None:
                    break
                self._hasher.update(line)
                self._length += len(line)
                self._spend(len(line) + _engine_surplus(entry.log))
                if entry.type == "nodeerr":
                    self.truncated = True
                    break
                self._note(entry.type, entry.timestamp)
            file.truncate(self._length)


def read_entries(path: Path, last: int | None = RESULT_ENTRIES) -> Iterator[LogEntry]:
    """The entries of a log file in order; with `last`, only so many of the newest (two passes, bounded memory).

    A line still being written at the end is left out. A missing file has no entries. Raises ContainerError if the
    file cannot be read.
    """
    try:
        yield from _entries(path, last)
    except OSError as error:
        raise ContainerError(
            f"the log {path} cannot be read: {error.strerror or error}", hint="see that the data folder's disk works"
        ) from None


def _entries(path: Path, last: int | None) -> Iterator[LogEntry]:
    if not path.exists():
        return
    skip = 0
    if last is not None:
        with path.open("rb") as file:
            skip = max(0, sum(1 for line in file if line.endswith(b"\n")) - last)
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if number < skip:
                continue
            entry = _parse(line)
            if entry is None:
                return
            yield entry


def order_key(timestamp: str) -> str:
    """An RFC 3339 time as UTC text of fixed width, so that text order is time order."""
    if len(timestamp) == 30 and timestamp[-1] == "Z":
        return timestamp
    whole, fraction, zone = _parts(timestamp)
    try:
        moment = datetime.fromisoformat(whole + zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return f"{_seconds_text(moment)}.{fraction.ljust(9, '0')}Z"


def _earlier(key: str, seconds: int) -> str | None:
    if not key:
        return None
    whole, fraction, _ = _parts(key)
    try:
        moment = datetime.fromisoformat(whole + "+00:00") - timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None
    return f"{_seconds_text(moment)}.{fraction}Z"


def _seconds_text(moment: datetime) -> str:
    # Not strftime: it does not pad years under 1000, and the engine's "never" is the year 1.
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


def _parts(timestamp: str) -> tuple[str, str, str]:
    whole, tail = timestamp[:19], timestamp[19:]
    fraction = ""
    if tail.startswith("."):
        fraction = tail[1 : 1 + next((i for i, c in enumerate(tail[1:]) if not c.isdigit()), len(tail))]
        tail = tail[1 + len(fraction) :]
    return whole, fraction[:9], "+00:00" if tail in ("", "Z") else tail


def _parse(line: bytes) -> LogEntry | None:
    if not line.endswith(b"\n"):
        return None
    try:
        body = read_json(line, limit=len(line), depth=2)
        entry = LogEntry(type=body["type"], log=str(body["log"]), timestamp=str(body["timestamp"]))
    except (ValueError, KeyError, TypeError):
        return None
    return entry if entry.type in ("stdout", "stderr", "nodeerr") else None


def _engine_surplus(text: str) -> int:
    """How many bytes more, at most, the engine's JSON takes for this text than ours."""
    # Six bytes for each of these, which here take one (markup), two (escaped blanks) or three (the rest, among them
    # what was no UTF-8).
    return sum(5 if mark in "<>&" else 4 if mark < " " else 3 for mark in _ESCAPED_BY_ENGINE.findall(text))
