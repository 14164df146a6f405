"""A small S3 server in this process that does as a test says: breaks off, lies, moves, never ends."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from aiohttp import web

from tests.content.resources.hub import ranged, running

Answer = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


@dataclass
class Store:
    """One bucket, `bucket`, and what is done with requests for its objects."""

    objects: dict[str, bytes]
    listed: dict[str, int] = field(default_factory=dict)
    """Sizes that the list states instead of the true ones."""
    tags: dict[str, str] = field(default_factory=dict)
    answer: Answer | None = None
    """Answers requests for objects instead of the plain way."""
    page: Callable[[web.Request], str] | None = None
    """The body of the list instead of the true one."""
    at: str = "/bucket"
    """Path of the bucket; empty: the host is the bucket."""
    url: str = ""
    asked: list[str] = field(default_factory=list)
    """`key range` of each request for an object, `LIST` of one for the list."""

    def tag(self, key: str) -> str:
        return self.tags.get(key) or hashlib.md5(self.objects.get(key, b"")).hexdigest()


def list_page(store: Store, prefix: str, token: str = "", truncated: str = "") -> str:
    """The list of a bucket as S3 writes it."""
    rows = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;{store.tag(key)}&quot;</ETag><Size>{store.listed.get(key, len(data))}</Size></Contents>"
        for key, data in sorted(store.objects.items())
        if key.startswith(prefix)
    )
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{truncated}</NextContinuationToken>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"{rows}{more if truncated else '<IsTruncated>false</IsTruncated>'}</ListBucketResult>"
    )


@asynccontextmanager
async def store_server(store: Store) -> AsyncIterator[Store]:
    """The running server; `store.url` leads to the bucket."""

    async def listed(request: web.Request) -> web.StreamResponse:
        store.asked.append("LIST")
        body = store.page(request) if store.page else list_page(store, request.query.get("prefix", ""))
        return web.Response(text=body, content_type="application/xml")

    async def got(request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        store.asked.append(f"{key} {request.headers.get('Range', '')}".strip())
        if key not in store.objects:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        data = store.objects[key]
        if store.answer is not None:
            return await store.answer(request, data)
        return ranged(request, data, {"ETag": f'"{store.tag(key)}"', "x-amz-request-id": "1"})

    app = web.Application()
    app.router.add_get(f"{store.at}/", listed)
    app.router.add_get(f"{store.at}/{{key:.+}}", got)
    async with running(app) as base:
        store.url = f"{base}{store.at}"
        yield store


def cut_at(length: int, times: int = 1) -> Answer:
    """Break the connection off after so many bytes of an answer, the first `times` times."""
    left = times

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        nonlocal left
        if left <= 0:
            return ranged(request, data, {"ETag": f'"{hashlib.md5(data).hexdigest()}"'})
        left -= 1
        whole = ranged(request, data, {"ETag": f'"{hashlib.md5(data).hexdigest()}"'})
        assert isinstance(whole, web.Response)
        assert isinstance(whole.body, bytes)
        response = web.StreamResponse(
            status=whole.status, headers={**whole.headers, "Content-Length": str(len(whole.body))}
        )
        await response.prepare(request)
        await response.write(whole.body[:length])
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.abort()
        return response

    return answer


def stall_at(length: int, reached: asyncio.Event) -> Answer:
    """Serve so many bytes of the first answer and then nothing more."""
    first = True

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        nonlocal first
        tag = {"ETag": f'"{hashlib.md5(data).hexdigest()}"'}
        if not first or len(data) < length:
            return ranged(request, data, tag)
        first = False
        response = web.StreamResponse(headers={**tag, "Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[:length])
        await asyncio.sleep(0.2)
        reached.set()
        await asyncio.sleep(60)
        return response

    return answer
