"""An HTTP proxy in front of a content store that does what stores and gateways do on a bad day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Literal

from aiohttp import ClientSession, web

from node.content.cid import file_cid

Trouble = Literal["500", "429", "slow", "wrong", "cut", "half"]
TROUBLES: tuple[Trouble, ...] = ("500", "429", "slow", "wrong", "cut", "half")
"""`wrong`: another CID, or bytes of another CID; `half`: the store takes it, and the connection ends on the answer."""
SLOW_SECONDS = 4.0
"""Beyond the agent's own patience in these tests."""


@dataclass
class ContentProxy:
    """A proxy; `url` is where it listens."""

    target: str
    url: str = ""
    trouble: Trouble | None = None
    hits: int = 0
    """Requests that met trouble."""

    @staticmethod
    @asynccontextmanager
    async def before(target: str) -> AsyncIterator[ContentProxy]:
        """A running proxy in front of `target`."""
        proxy = ContentProxy(target)
        application = web.Application(client_max_size=1 << 26)
        async with ClientSession() as session:

            async def handle(request: web.Request) -> web.StreamResponse:
                return await proxy._handle(request, session)

            application.router.add_route("*", "/{path:.*}", handle)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
            await runner.setup()
            try:
                site = web.TCPSite(runner, "127.0.0.1", 0)
                await site.start()
                proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                yield proxy
            finally:
                await runner.cleanup()

    @contextmanager
    def during(self, trouble: Trouble) -> Iterator[None]:
        """Every request meets this trouble."""
        self.trouble = trouble
        try:
            yield
        finally:
            self.trouble = None

    async def _handle(self, request: web.Request, session: ClientSession) -> web.StreamResponse:
        trouble = self.trouble
        self.hits += trouble is not None
        match trouble:
            case "500":
                return web.Response(status=500, text="internal error")
            case "429":
                return web.Response(status=429, headers={"Retry-After": "1"}, text="slow down")
            case "cut":
                return _cut(request)
            case "slow":
                await asyncio.sleep(SLOW_SECONDS)
            case _:
                pass
        status, headers, body = await self._forwarded(request, session)
        if trouble == "half":
            return _cut(request)
        if trouble == "wrong":
            other = file_cid(b"something else")
            body = f'{{"Name":"x","Hash":"{other}","Size":"1"}}\n'.encode() if "/add" in request.path else b"other"
        return web.Response(status=status, headers=headers, body=body)

    async def _forwarded(self, request: web.Request, session: ClientSession) -> tuple[int, dict[str, str], bytes]:
        kept = {"Content-Type", "Range", "Accept", "Authorization"}
        headers = {name: value for name, value in request.headers.items() if name in kept}
        url = f"{self.target}{request.raw_path}"
        async with session.request(request.method, url, headers=headers, data=await request.read()) as answer:
            passed = {"Content-Type", "Etag", "X-Ipfs-Path", "Content-Range"}
            return (
                answer.status,
                {name: value for name, value in answer.headers.items() if name in passed},
                await answer.read(),
            )


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
