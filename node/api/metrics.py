"""The listener that a monitoring system reads figures from: GET /metrics, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from node.errors import ControlError, GpunodeError

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@asynccontextmanager
async def metrics_listener(text: Callable[[], Awaitable[str]], host: str, port: int) -> AsyncIterator[int]:
    """Answers on this address while the block runs; its port. Raises ControlError where the address cannot be had."""

    async def answer(_request: web.Request) -> web.Response:
        try:
            return web.Response(body=(await text()).encode(), headers={"Content-Type": CONTENT_TYPE})
        except GpunodeError as error:
            log.warning("no metrics: %s", error.line)
            return web.Response(status=503, text="the figures cannot be read now; the agent's log says why\n")

    app = web.Application(client_max_size=1024)
    app.add_routes([web.get("/metrics", answer)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise ControlError(
                f"{host}:{port}: metrics cannot be served there: {error.strerror or error}",
                hint="set metrics.listen to another port, or to null",
            ) from None
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
