"""The owner's API over a double of the agent, on a real port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web

from node.api.owner.app import make_app
from node.settings_api import ApiSettings
from tests.api.owner_double import AgentDouble

PLENTY = ApiSettings(requests=10_000)


@dataclass(frozen=True)
class Served:
    """A server, and a client that asks it."""

    agent: AgentDouble
    url: str
    client: aiohttp.ClientSession


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[str]:
    """The application on a port of its own; its address."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Makes servers with settings and a clock; they end with the test."""
    async with AsyncExitStack() as stack:

        async def make(settings: ApiSettings = PLENTY, **options: object) -> Served:
            agent = AgentDouble()
            url = await stack.enter_async_context(listening(make_app(agent, settings, **options)))
            client = await stack.enter_async_context(aiohttp.ClientSession(url))
            return Served(agent, url, client)

        yield make


@pytest.fixture
async def served(serve: Serve) -> Served:
    """A server with default settings, but in no hurry."""
    return await serve()
