"""A socket in front of the container engine's that fails by path: refuses, ends connections, or does not answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Trouble = Literal["500", "cut", "half", "hang", "gone"]
TROUBLES: tuple[Trouble, ...] = ("500", "cut", "half", "hang", "gone")
"""`half`: the engine has done it, and the connection ends on the answer; `gone`: streams that are open end as well."""

ENGINE = Path("/var/run/docker.sock")


@dataclass
class EngineProxy:
    """A proxy; `path` is its socket."""

    path: Path
    trouble: Trouble | None = None
    matching: re.Pattern[str] = re.compile("")
    hits: int = 0
    """Requests that met trouble."""
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @staticmethod
    @asynccontextmanager
    async def before(path: Path, engine: Path = ENGINE) -> AsyncIterator[EngineProxy]:
        """A running proxy in front of the engine."""
        proxy = EngineProxy(path)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, asyncio.IncompleteReadError):
                await proxy._serve(reader, writer, engine)
            writer.close()

        server = await asyncio.start_unix_server(serve, path)
        try:
            yield proxy
        finally:
            server.close()
            proxy._end_all()

    @contextmanager
    def during(self, trouble: Trouble, matching: str = "") -> Iterator[None]:
        """Requests whose line matches the expression meet this trouble."""
        self.trouble, self.matching = trouble, re.compile(matching)
        if trouble == "gone":
            self._end_all()
        try:
            yield
        finally:
            self.trouble = None

    def _end_all(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()
        self._open.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, engine: Path) -> None:
        """One connection; each request of it goes to the engine on a connection of its own."""
        self._open.add(writer)
        try:
            while head := await _head(reader):
                line = head.split(b"\r\n", 1)[0].decode("latin-1")
                trouble = self.trouble if self.matching.search(line) else None
                self.hits += trouble is not None
                if trouble in ("cut", "gone"):
                    return
                if trouble == "hang":
                    while self.trouble == "hang":
                        await asyncio.sleep(0.05)
                    return
                body = await reader.readexactly(_length(head))
                if trouble == "500":
                    text = b'{"message":"the engine is out of order"}'
                    writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n")
                    writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
                    await writer.drain()
                    continue
                await self._forward(head, body, reader, writer, engine, answered=trouble != "half")
                return
        finally:
            self._open.discard(writer)

    async def _forward(
        self,
        head: bytes,
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        engine: Path,
        *,
        answered: bool,
    ) -> None:
        """Hand one request over and pass on what comes, until either side ends the connection."""
        upstream, sink = await asyncio.open_unix_connection(engine)
        self._open.add(sink)
        watching = asyncio.ensure_future(_end_with(reader, sink))
        try:
            lines = head.split(b"\r\n")
            lines = [each for each in lines if not each.lower().startswith(b"connection:")]
            sink.write(b"\r\n".join([lines[0], b"Connection: close", *lines[1:]]) + body)
            await sink.drain()
            while chunk := await upstream.read(1 << 16):
                if not answered:
                    return
                writer.write(chunk)
                await writer.drain()
        finally:
            watching.cancel()
            self._open.discard(sink)
            sink.close()


async def _end_with(reader: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Let the engine know that whoever asked is gone."""
    with suppress(OSError):
        await reader.read()
    sink.transport.abort()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length:\s*(\d+)", head)
    return int(found.group(1)) if found else 0
