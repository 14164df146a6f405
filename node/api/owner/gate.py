"""Sees to it that a request about a job comes from the job's owner, and hands the job on to the route."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from node.api.owner.auth import Unauthorized, authorize
from node.api.owner.limits import Allowance
from node.api.owner.port import OwnedJob, OwnerPort
from node.records import Address
from node.settings_api import ApiSettings

ADDRESS = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}")

NO_JOB = "invalid job id"


@dataclass(frozen=True, slots=True)
class Context:
    """What every route needs."""

    port: OwnerPort
    settings: ApiSettings
    allowance: Allowance
    clock: Callable[[], float] = time.time
    """Unix seconds."""

    @property
    def now_ms(self) -> int:
        """Unix milliseconds."""
        return round(self.clock() * 1000)


JobHandler = Callable[[Context, web.Request, OwnedJob], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Unknown:
    """What is answered about a job that this host does not have."""

    status: int = 400
    text: str = NO_JOB


def text(status: int, body: str) -> web.Response:
    """A sentence."""
    return web.Response(status=status, text=body)


def for_owner(
    context: Context, handler: JobHandler, unknown: Unknown
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A route that only the owner of the job in its path gets to."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        job = await known_job(context, request.match_info["job"])
        if job is None:
            return text(unknown.status, unknown.text)
        header = request.headers.get("authorization")
        try:
            authorize(header, job, context.settings, expiry=job.timeout, now_ms=context.now_ms)
        except Unauthorized as refused:
            return text(401, unauthorized_text(refused))
        return await handler(context, request, job)

    return guarded


async def known_job(context: Context, address: object) -> OwnedJob | None:
    """The job of an address that a client named; None where this host has none by it."""
    if not isinstance(address, str) or not ADDRESS.fullmatch(address):
        return None
    return await context.port.owned(Address(address))


def unauthorized_text(refused: Unauthorized) -> str:
    """The sentence that the network's clients know."""
    return f"Unauthorized Request: {refused.reason}" if refused.reason else "Unauthorized Request"
