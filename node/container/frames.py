"""The engine's multiplexed log stream, taken apart.

Format (Docker Engine API, "attach" stream format): an 8-byte header (byte 0: 1 = stdout, 2 = stderr; bytes 4-7:
big-endian length) and that many bytes. With timestamps asked for, each payload begins with an RFC 3339 time and
a space. Chunks of the HTTP body split frames anywhere, headers included.
"""

from __future__ import annotations

from node.container.engine import LogFrame, StreamName
from node.errors import EngineRejected

HEADER_BYTES = 8
MAX_FRAME_BYTES = 16 * 1024 * 1024
"""Engines cut lines far below this; a longer frame means that we lost the frame boundaries."""

_STREAMS: dict[int, StreamName] = {1: "stdout", 2: "stderr"}


class FrameDecoder:
    """Turns body chunks into whole frames; holds at most one unfinished frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> list[LogFrame]:
        """Frames completed by this chunk; raises EngineRejected when the bytes are no such stream."""
        buffer = self._buffer
        buffer += chunk
        frames: list[LogFrame] = []
        start = 0
        with memoryview(buffer) as view:
            while len(buffer) - start >= HEADER_BYTES:
                stream, end = _header(bytes(view[start : start + HEADER_BYTES]), start)
                if end > len(buffer):
                    break
                payload = bytes(view[start + HEADER_BYTES : end])
                start = end
                if stream is not None:
                    frames.append(_frame(stream, payload))
        del buffer[:start]
        return frames


def _header(header: bytes, start: int) -> tuple[StreamName | None, int]:
    length = int.from_bytes(header[4:8], "big")
    if header[0] > 3 or header[1:4] != b"\0\0\0" or length > MAX_FRAME_BYTES:
        raise EngineRejected(
            "the engine's log stream is malformed",
            status=200,
            hint="check that the socket belongs to a Docker engine and that the container has no TTY",
        )
    return _STREAMS.get(header[0]), start + HEADER_BYTES + length


def _frame(stream: StreamName, payload: bytes) -> LogFrame:
    stamp, space, data = payload.partition(b" ")
    if not space or not stamp[:4].isdigit():
        return LogFrame(stream, "", payload)
    return LogFrame(stream, stamp.decode("ascii", "replace"), data)
