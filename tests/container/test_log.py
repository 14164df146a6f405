"""Kept logs: nothing lost, nothing doubled, always the same digest."""

from __future__ import annotations

import errno
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.container.engine import LogFrame
from node.container.log import LogEntry, LogKeeper, order_key, read_entries
from node.content.merkle import MerkleHasher
from node.errors import ContainerError

BIG = 1 << 24


def frame(index: int, text: bytes, stream: str = "stdout") -> LogFrame:
    return LogFrame(stream, f"2026-11-20T12:00:{index // 10:02d}.{index % 10}00000000Z", text)  # type: ignore[arg-type]


def root_of(data: bytes) -> str:
    hasher = MerkleHasher()
    hasher.update(data)
    return hasher.root()


def kept(path: Path) -> list[tuple[str, str]]:
    return [(entry.type, entry.log) for entry in read_entries(path)]


def test_shape_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "a.jsonl"
    keeper = LogKeeper(path, BIG)
    keeper.add(
        [
            frame(1, b"one\n"),
            frame(2, "zwölf \u2028 \U0001f600\n".encode(), "stderr"),
            frame(3, b"\xff\xfe"),
            frame(4, b""),
        ]
    )
    digest = keeper.digest("logs/a.jsonl")
    keeper.close()
    assert path.read_bytes().splitlines()[0] == (
        b'{"log":"one\\n","timestamp":"2026-11-20T12:00:00.100000000Z","type":"stdout"}'
    )
    assert list(read_entries(path)) == [
        LogEntry("stdout", "one\n", "2026-11-20T12:00:00.100000000Z"),
        LogEntry("stderr", "zwölf \u2028 \U0001f600\n", "2026-11-20T12:00:00.200000000Z"),
        LogEntry("stdout", "\ufffd\ufffd", "2026-11-20T12:00:00.300000000Z"),
    ]
    assert digest.root == root_of(path.read_bytes())
    assert digest.length == path.stat().st_size
    assert (digest.truncated, digest.path) == (False, "logs/a.jsonl")
    assert digest.last_timestamp == "2026-11-20T12:00:00.300000000Z"


@given(st.text(), st.text(max_size=40), st.sampled_from(("stdout", "stderr", "nodeerr")))
def test_lines_are_canonical_json(log: str, timestamp: str, kind: str) -> None:
    body = {"type": kind, "timestamp": timestamp, "log": log}
    canonical = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() + b"\n"
    assert LogEntry(log=log, timestamp=timestamp, type=kind).line() == canonical  # type: ignore[arg-type]


def test_an_empty_log(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    keeper = LogKeeper(path, BIG)
    digest = keeper.digest("a.jsonl")
    keeper.close()
    assert (digest.length, digest.root) == (0, MerkleHasher().root())
    assert list(read_entries(path)) == []
    assert list(read_entries(tmp_path / "none")) == []


histories = st.lists(
    st.tuples(
        st.sampled_from(("stdout", "stderr")), st.sampled_from((0, 0, 0, 1, 7)), st.sampled_from((b"x\n", b"y\n", b"z"))
    ),
    min_size=1,
    max_size=40,
)


@settings(deadline=None)
@given(histories, st.lists(st.integers(0, 60), max_size=5), st.booleans(), st.integers(1, 7))
def test_reconnects_lose_and_double_nothing(
    steps: list[tuple[str, int, bytes]], breaks: list[int], reopen: bool, size: int
) -> None:
    """The engine replays everything from `since` on; equal lines at equal times are told apart by their number."""
    history: list[LogFrame] = []
    clock = {"stdout": 0, "stderr": 0}
    for stream, advance, text in steps:
        clock[stream] = max(clock[stream] + advance, 0)
        history.append(frame(clock[stream], text, stream))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        keeper = LogKeeper(path, BIG)
        for end in [*breaks, len(history)]:
            since = keeper.resume()
            replay = [item for item in history[:end] if since is None or item.timestamp >= since]
            for begin in range(0, len(replay), size):
                keeper.add(replay[begin : begin + size])
            if reopen:
                keeper.close()
                keeper = LogKeeper(path, BIG)
        digest = keeper.digest("a")
        keeper.close()
        assert kept(path) == [(item.stream, item.data.decode()) for item in history]
        assert digest.root == root_of(path.read_bytes())


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(("stdout", "stderr")), st.integers(0, 99)), min_size=1, max_size=40),
    st.lists(st.integers(0, 40), max_size=5),
    st.booleans(),
    st.integers(1, 7),
)
def test_no_step_of_the_clock_hides_a_line_of_one_container(
    steps: list[tuple[str, int]], breaks: list[int], reopen: bool, size: int
) -> None:
    """Times may go any way, as with a clock that is set while the job runs."""
    history = [frame(second, b"%d\n" % (number % 3), stream) for number, (stream, second) in enumerate(steps)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        keeper = LogKeeper(path, BIG)
        for end in [*breaks, len(history)]:
            keeper.is_of_one_container = True
            assert keeper.resume() is None
            for begin in range(0, end, size):
                keeper.add(history[begin : min(begin + size, end)])
            if reopen:
                keeper.close()
                keeper = LogKeeper(path, BIG)
        keeper.close()
        assert kept(path) == [(item.stream, item.data.decode()) for item in history]


def test_a_large_log_is_read_whole_only_if_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.container.log.WHOLE_BYTES", 10)
    keeper = LogKeeper(tmp_path / "a.jsonl", BIG)
    keeper.is_of_one_container = True
    keeper.add([frame(60, b"a\n"), frame(70, b"b\n")])
    assert keeper.resume() == "2026-11-20T12:00:02.000000000Z"
    keeper.add([frame(60, b"a\n"), frame(70, b"b\n"), frame(80, b"now\n")])
    keeper.add([frame(1, b"set back\n")])
    assert keeper.resume() is None
    told = ((60, b"a\n"), (70, b"b\n"), (80, b"now\n"), (1, b"set back\n"), (2, b"c\n"))
    keeper.add([frame(index, text) for index, text in told])
    keeper.close()
    assert [log for _, log in kept(tmp_path / "a.jsonl")] == [text.decode() for _, text in told]


def test_a_late_line_of_the_other_stream_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    keeper = LogKeeper(path, BIG)
    keeper.add([frame(50, b"late clock\n")])
    since = keeper.resume()
    assert since == "2026-11-20T12:00:00.000000000Z"
    keeper.add([frame(50, b"late clock\n"), frame(49, b"written behind\n", "stderr")])
    keeper.close()
    assert kept(path) == [("stdout", "late clock\n"), ("stderr", "written behind\n")]


def test_a_full_log_is_cut_says_so_and_stays_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    keeper = LogKeeper(path, 1000)
    keeper.add([frame(index, b"x" * 50 + b"\n") for index in range(100)])
    assert keeper.truncated
    keeper.add([frame(500, b"s\n")])
    digest = keeper.digest("a")
    keeper.close()
    assert path.stat().st_size == digest.length <= 1000
    *lines, last = read_entries(path)
    assert len(lines) > 3
    assert all(entry.type == "stdout" for entry in lines)
    assert last.type == "nodeerr"
    assert "1000 bytes" in last.log

    again = LogKeeper(path, 1000)
    assert again.truncated
    again.add([frame(600, b"t\n")])
    assert again.digest("a") == digest
    again.close()


class FullDisk:
    """A file on a disk with so many bytes left; what does not fit is written in part."""

    def __init__(self, file: Any, room: int) -> None:
        self._file = file
        self.room = room

    def write(self, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        done: int = self._file.write(data[: self.room])
        self.room -= done
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@settings(deadline=None)
@given(st.integers(0, 700))
def test_a_full_disk_ends_the_log_at_a_whole_entry(room: int) -> None:
    frames = [frame(index, b"line\n") for index in range(10)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        keeper = LogKeeper(path, BIG)
        keeper.add(frames[:2])
        keeper._file = FullDisk(keeper._file, room)  # type: ignore[assignment]
        for one in frames[2:]:
            keeper.add([one])
        digest = keeper.digest("a")
        keeper.close()
        whole = min(2 + room // len(LogEntry("stdout", "line\n", frames[0].timestamp).line()), 10)
        assert kept(path) == [("stdout", "line\n")] * whole
        assert (digest.truncated, bool(keeper.failure)) == (whole < 10, whole < 10)
        assert (digest.root, digest.length) == (root_of(path.read_bytes()), path.stat().st_size)
        # Room again, and a new life of the agent: the rest is followed.
        again = LogKeeper(path, BIG)
        since = again.resume() or ""
        again.add([one for one in frames if one.timestamp >= since])
        again.close()
        assert kept(path) == [("stdout", "line\n")] * 10


def engine_line(one: LogFrame) -> bytes:
    """An entry as Docker's json-file driver writes it: markup, controls and what was no UTF-8 take six bytes."""
    text = one.data.decode("utf-8", "replace")
    body = json.dumps({"log": text, "stream": one.stream, "time": one.timestamp}, ensure_ascii=False)
    for mark in "<>&\u2028\u2029\ufffd":
        body = body.replace(mark, f"\\u{ord(mark):04x}")
    for short, mark in (("\\t", "\t"), ("\\b", "\b"), ("\\f", "\f")):
        body = body.replace(short, f"\\u{ord(mark):04x}")
    return body.encode() + b"\n"


@given(st.lists(st.binary(max_size=60) | st.text("<>&\t\n\\\b\f\0x\u2028é", max_size=60).map(str.encode), min_size=30))
def test_our_cut_comes_before_the_engine_throws_anything_away(texts: list[bytes]) -> None:
    frames = [frame(index, text) for index, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        keeper = LogKeeper(path, 3000)
        keeper.add(frames)
        keeper.close()
        count = sum(entry.type != "nodeerr" for entry in read_entries(path))
        assert sum(len(engine_line(one)) for one in [one for one in frames if one.data][:count]) <= 3000
        # A new life counts the same.
        again = LogKeeper(path, 3000)
        assert again.truncated == keeper.truncated
        assert again.truncated or again._spent == keeper._spent
        again.close()


def test_a_log_that_cannot_be_read_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ContainerError, match="cannot be read"):
        list(read_entries(tmp_path))


@pytest.mark.parametrize(
    "tail", [b'{"log":"half', b"\0\0\0\0\n", b'{"log":1}\n', b'{"log":"a","timestamp":"","type":"root"}\n']
)
def test_a_torn_end_is_cut_off_and_followed_again(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.jsonl"
    keeper = LogKeeper(path, BIG)
    keeper.add([frame(1, b"one\n"), frame(2, b"two\n")])
    before = keeper.digest("a")
    keeper.close()
    with path.open("ab") as file:
        file.write(tail)
    again = LogKeeper(path, BIG)
    assert again.digest("a") == before
    again.resume()
    again.add([frame(1, b"one\n"), frame(2, b"two\n"), frame(3, b"three\n")])
    again.close()
    assert [log for _, log in kept(path)] == ["one\n", "two\n", "three\n"]


def test_only_the_newest_entries_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    keeper = LogKeeper(path, BIG)
    keeper.add([frame(index, str(index).encode()) for index in range(50)])
    assert [entry.log for entry in read_entries(path, last=3)] == ["47", "48", "49"]
    assert len(list(read_entries(path, last=None))) == 50
    with path.open("ab") as file:
        file.write(b'{"log":"being wri')
    assert [entry.log for entry in read_entries(path, last=2)] == ["48", "49"]
    keeper.close()


def test_limits_count_the_file_and_not_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    keeper = LogKeeper(path, 5000)
    for index in range(1000):
        keeper.add([frame(index % 500, b"\x00" * 10)])
    keeper.close()
    assert path.stat().st_size <= 5000
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


@pytest.mark.parametrize(
    ("timestamp", "key"),
    [
        ("2026-11-20T12:00:00.123456789Z", "2026-11-20T12:00:00.123456789Z"),
        ("2026-11-20T12:00:00.5Z", "2026-11-20T12:00:00.500000000Z"),
        ("2026-11-20T12:00:00Z", "2026-11-20T12:00:00.000000000Z"),
        ("2026-11-20T14:00:00.123456789+02:00", "2026-11-20T12:00:00.123456789Z"),
        ("2026-11-20T07:30:00.000000001-04:30", "2026-11-20T12:00:00.000000001Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000000Z"),
        ("0001-01-01T00:00:00+05:00", ""),
        ("2026-99-99T00:00:00Z", ""),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_times_in_order(timestamp: str, key: str) -> None:
    assert order_key(timestamp) == key
