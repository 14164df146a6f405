"""A proxy with services behind it, all in this process; and clients that speak byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from node.records import Address
from node.service.listener import ServiceListener, terms_of
from node.service.table import Entry, ServiceTable
from node.settings_service import ServiceSettings

JOB = Address("Job1111111111111111111111111111111111111111")
NAME = "62TSynE7E3LVXXgvyuv9qSg3dfbYMZh9dS9NYT8FG3oD"
HOST = f"{NAME}.localhost"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Place:
    """A listener and its table."""

    table: ServiceTable
    listener: ServiceListener

    @property
    def port(self) -> int:
        return self.listener.port

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def send(self, raw: bytes, *, seconds: float = 5.0) -> bytes:
        """Send bytes, half-close nothing, and return all that comes back until the proxy closes or falls silent."""
        reader, writer = await self.dial()
        writer.write(raw)
        got = b""
        try:
            async with asyncio.timeout(seconds):
                while piece := await reader.read(65536):
                    got += piece
        except TimeoutError:
            pass
        finally:
            writer.close()
        return got


@asynccontextmanager
async def proxy(*, api: web.Application | None = None, **terms: Any) -> AsyncIterator[Place]:
    """A listener on a free port. `terms`: members of ProxyTerms, or of the settings."""
    table = ServiceTable()
    own = {name: terms.pop(name) for name in tuple(terms) if name in ServiceSettings.model_fields}
    settings = ServiceSettings(**{"tunnel": "direct", "port": 0, **own})
    wanted = replace(terms_of(settings, "localnet", frozenset({"NodeAddress"})), **{"linger": 0.2, **terms})
    listener = ServiceListener(settings, table, wanted, scheme="http")
    await listener.open(api)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(listener.run())
        try:
            yield Place(table, listener)
        finally:
            serving.cancel()


@asynccontextmanager
async def upstream(talk: Talk) -> AsyncIterator[int]:
    """A server that speaks as `talk` does; its port."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(conversation, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def application(app: web.Application) -> AsyncIterator[int]:
    """An aiohttp application as a service; its port."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def serve(place: Place, port: int, *, name: str = NAME, **rest: Any) -> Entry:
    """Enter a service that runs on this machine, which the table's own door would refuse."""
    entry = Entry(id=name, job=JOB, op_id="op", port=port, **rest)
    place.table.add(entry)
    entry.address = "127.0.0.1"
    place.table.tell()
    return entry


def get(path: str = "/", *fields: str, host: str = HOST, method: str = "GET") -> bytes:
    """A request's head."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode()


async def read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")
