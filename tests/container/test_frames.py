"""The multiplexed stream, cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.container.engine import LogFrame
from node.container.frames import MAX_FRAME_BYTES, FrameDecoder
from node.errors import EngineRejected

STAMP = "2026-11-20T12:00:00.123456789Z"

frames = st.lists(
    st.builds(
        LogFrame,
        st.sampled_from(("stdout", "stderr")),
        st.integers(0, 999_999_999).map(lambda n: f"2026-11-20T12:00:00.{n:09d}Z"),
        st.binary(max_size=300),
    ),
    max_size=20,
)


def encode(frame: LogFrame) -> bytes:
    payload = frame.timestamp.encode() + b" " + frame.data
    return bytes([1 if frame.stream == "stdout" else 2, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


@given(frames, st.data())
def test_any_chunking_gives_the_same_frames(expected: list[LogFrame], data: st.DataObject) -> None:
    wire = b"".join(map(encode, expected))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(wire)), max_size=30)))
    decoder = FrameDecoder()
    got: list[LogFrame] = []
    for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        got += decoder.feed(wire[begin:end])
    assert got == expected
    assert decoder.pending == 0


def test_one_byte_at_a_time() -> None:
    wire = encode(LogFrame("stderr", STAMP, b"a b\n")) + encode(LogFrame("stdout", STAMP, b""))
    decoder = FrameDecoder()
    got = [frame for index in range(len(wire)) for frame in decoder.feed(wire[index : index + 1])]
    assert got == [LogFrame("stderr", STAMP, b"a b\n"), LogFrame("stdout", STAMP, b"")]


def test_an_unfinished_frame_waits() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(encode(LogFrame("stdout", STAMP, b"abc"))[:-1]) == []
    assert decoder.pending > 0
    assert decoder.feed(b"c") == [LogFrame("stdout", STAMP, b"abc")]


def test_a_payload_without_a_time_is_kept_whole() -> None:
    payload = b"no time here\n"
    (frame,) = FrameDecoder().feed(b"\x01\0\0\0" + len(payload).to_bytes(4, "big") + payload)
    assert frame == LogFrame("stdout", "", payload)


@pytest.mark.parametrize(
    "header",
    [
        b"hello wo",
        b"\x01\0\0\1\0\0\0\1",
        b"\x09\0\0\0\0\0\0\1",
        b"\x01\0\0\0" + (MAX_FRAME_BYTES + 1).to_bytes(4, "big"),
    ],
)
def test_what_is_no_such_stream_is_refused(header: bytes) -> None:
    with pytest.raises(EngineRejected, match="malformed"):
        FrameDecoder().feed(header)
