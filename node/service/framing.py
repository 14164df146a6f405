"""Bodies of HTTP/1.1 messages as they pass: where they end, and chunks taken apart strictly."""

from __future__ import annotations

import re
from typing import Protocol

from node.service.head import BadHead, Body, Fields, read_trailers

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_LONGEST_LINE = 1024
"""Bytes of a chunk's first line; what it says beyond its size is not passed on."""
_MOST_TRAILERS = 8 * 1024


class Reader(Protocol):
    """Takes a body out of a stream of bytes."""

    done: bool
    """The body is complete."""
    trailers: Fields
    open_ended: bool
    """The end of the connection is the end of the body."""

    def feed(self, buffer: bytearray) -> bytes:
        """Take what there is of the body from the front of the buffer, which keeps the rest. Raises BadHead."""
        ...


def body_reader(body: Body) -> Reader:
    """The reader for a body of this kind."""
    if body.chunked:
        return ChunkedReader()
    return LengthReader(body.length)


class LengthReader:
    """A body of a known length, or (None) one that only the end of the connection ends."""

    def __init__(self, length: int | None) -> None:
        self._left = length
        self.open_ended = length is None
        self.done = length == 0
        self.trailers: Fields = ()

    def feed(self, buffer: bytearray) -> bytes:
        """As Reader.feed."""
        if self._left is None or len(buffer) <= self._left:
            data = bytes(buffer)
            buffer.clear()
        else:
            data = bytes(buffer[: self._left])
            del buffer[: self._left]
        if self._left is not None:
            self._left -= len(data)
            self.done = self._left == 0
        return data


class ChunkedReader:
    """A body in chunks. Lines end in CR LF and nothing else; extensions are dropped."""

    def __init__(self) -> None:
        self._left = 0
        self.open_ended = False
        self._after = False
        """A chunk's data are through, its line end is not."""
        self._last = False
        self._lines: list[bytes] = []
        self._trailing = 0
        self.done = False
        self.trailers: Fields = ()

    def feed(self, buffer: bytearray) -> bytes:
        """As Reader.feed."""
        out = bytearray()
        while not self.done:
            if self._left:
                piece = buffer[: self._left]
                if not piece:
                    break
                out += piece
                del buffer[: len(piece)]
                self._left -= len(piece)
                self._after = not self._left
            elif self._after:
                if len(buffer) < 2:
                    break
                if buffer[:2] != b"\r\n":
                    raise BadHead(400, "a chunk does not end where it says")
                del buffer[:2]
                self._after = False
            elif not self._line(buffer):
                break
        return bytes(out)

    def _line(self, buffer: bytearray) -> bool:
        """Take one line; False: it is not all there yet."""
        end = buffer.find(b"\n", 0, _LONGEST_LINE)
        if end < 0:
            if len(buffer) >= _LONGEST_LINE:
                raise BadHead(400, "a chunk's line is too long")
            return False
        line = bytes(buffer[: end - 1]) if end else b""
        if end == 0 or buffer[end - 1] != 0x0D:
            raise BadHead(400, "a chunk's line does not end in CR LF")
        del buffer[: end + 1]
        if self._last:
            self._trailer(line)
            return True
        size = _SIZE.fullmatch(line)
        if size is None:
            raise BadHead(400, "a chunk's size is malformed")
        self._left = int(size[1], 16)
        self._last = self._left == 0
        return True

    def _trailer(self, line: bytes) -> None:
        if line:
            self._trailing += len(line)
            if self._trailing > _MOST_TRAILERS:
                raise BadHead(431, "the trailers are too long")
            self._lines.append(line)
            return
        self.trailers = read_trailers(self._lines)
        self.done = True


class Writer(Protocol):
    """Puts a body into a stream of bytes."""

    def piece(self, data: bytes) -> bytes:
        """These bytes of the body, framed."""
        ...

    def end(self, trailers: Fields) -> bytes:
        """What ends the body."""
        ...


def body_writer(body: Body) -> Writer:
    """The writer for a body of this kind."""
    return ChunkedWriter() if body.chunked else PlainWriter()


class PlainWriter:
    """Bytes as they are."""

    def piece(self, data: bytes) -> bytes:
        """As Writer.piece."""
        return data

    def end(self, trailers: Fields) -> bytes:
        """As Writer.end."""
        del trailers  # there is no place for them
        return b""


class ChunkedWriter:
    """Each piece in a chunk of its own."""

    def piece(self, data: bytes) -> bytes:
        """As Writer.piece."""
        return b"%x\r\n%b\r\n" % (len(data), data) if data else b""

    def end(self, trailers: Fields) -> bytes:
        """As Writer.end."""
        return b"0\r\n" + b"".join(b"%b: %b\r\n" % field for field in trailers) + b"\r\n"
