"""Server-sent events: a job's state as it changes, and what its containers use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from node.api.owner import documents
from node.api.owner.gate import Context, text
from node.api.owner.limits import Full
from node.api.owner.pace import SILENCE, TooSlow, sent, with_silence
from node.api.owner.port import OwnedJob
from node.api.owner.stats import parse_interval

KEEP_ALIVE = 15.0
"""Seconds of silence after which a comment is sent, so that nobody in between takes the stream for dead."""
NOT_FOUND = "Failed to find job for provided job id."
NOT_RUNNING = "Invalid job address"
TOO_MANY = "too many streams of this job are open"

_HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}


async def stream_info(context: Context, request: web.Request, job: OwnedJob) -> web.StreamResponse:
    """The job's state now and whenever it changes, until it has ended."""
    if await context.port.view(job.address) is None:
        return text(404, NOT_FOUND)

    async def documents_of() -> AsyncIterator[Any]:
        async with context.port.watch(job.address) as views:
            async for view in views:
                yield documents.job_info(view)
                if view.state.get("endTime") is not None:
                    return

    return await _stream(context, request, job, documents_of())


async def stream_stats(context: Context, request: web.Request, job: OwnedJob) -> web.StreamResponse:
    """The newest sample of each operation every few seconds, until the job has ended."""
    try:
        interval = parse_interval(request.query.get("interval"))
    except ValueError as wrong:
        return text(400, str(wrong))
    if job.address not in context.port.running():
        return text(404, NOT_RUNNING)

    async def documents_of() -> AsyncIterator[Any]:
        while job.address in context.port.running():
            samples = await context.port.stats(job.address)
            if samples:
                yield [documents.stat(sample) for sample in samples]
            await asyncio.sleep(interval)

    return await _stream(context, request, job, documents_of())


async def _stream(
    context: Context, request: web.Request, job: OwnedJob, frames: AsyncIterator[Any]
) -> web.StreamResponse:
    """Send each document that differs from the one before."""
    response = web.StreamResponse(headers=_HEADERS)
    try:
        with context.allowance.lasting(), context.allowance.stream(job.address):
            await response.prepare(request)
            async with aclosing(with_silence(frames, KEEP_ALIVE)) as events:
                last = ""
                async for event in events:
                    if event is SILENCE:
                        await sent(response.write(b": keep-alive\n\n"))
                        continue
                    frame = documents.compact(event)
                    if frame != last:
                        await sent(response.write(f"data: {frame}\n\n".encode("utf-8", "replace")))
                        last = frame
            await sent(response.write_eof())
    except Full:
        return text(429, TOO_MANY)
    except TooSlow:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # The client has gone.
    return response
