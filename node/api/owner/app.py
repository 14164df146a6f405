"""The owner's API as one application. Whoever listens (the agent's front door) hands requests to it.

Not here: listening, and limits on connections that never become a request.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from node.api.owner import backend, routes, streams
from node.api.owner.gate import Context, JobHandler, Unknown, for_owner, text
from node.api.owner.limits import Allowance, ClientOf, Full, household, sender
from node.api.owner.openapi import openapi_document
from node.api.owner.port import OwnerPort
from node.api.owner.sockets import is_upgrade, serve_socket
from node.api.owner.stats import StatHistory
from node.errors import GpunodeError
from node.settings_api import ApiSettings

log = logging.getLogger(__name__)

ANSWER_PATIENCE = 60.0
"""Seconds for an answer that is no stream."""

_NO_JOB = Unknown()
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ROUTES: tuple[tuple[str, str, JobHandler], ...] = (
    ("GET", "/results", routes.get_result),
    ("GET", "/job-definition", routes.get_definition),
    ("POST", "/job-definition", routes.post_definition),
    ("GET", "/ops", routes.get_operations),
    ("GET", "/ops/{op}", routes.get_operation),
    ("GET", "/group/current", routes.get_current_group),
    ("GET", "/group/{group}", routes.get_group),
    ("GET", "/endpoints", routes.get_endpoints),
    ("POST", "/group/{group}/operation/{op}/restart", routes.restart_operation),
    ("POST", "/group/{group}/operation/{op}/stop", routes.stop_operation),
    ("POST", "/group/{group}/restart", routes.restart_group),
    ("POST", "/group/{group}/stop", routes.stop_group),
    ("POST", "/group/{group}/move", routes.move_group),
    ("POST", "/stop", routes.stop_job),
    ("POST", "/ssh/authorize", routes.no_shell),
    ("GET", "/ssh/keys", routes.no_shell),
    ("DELETE", "/ssh/keys", routes.no_shell),
)


def make_app(
    port: OwnerPort,
    settings: ApiSettings,
    *,
    client_of: ClientOf = sender,
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """The application. `client_of` tells clients apart: behind a tunnel all connections come from one address."""
    context = Context(port, settings, Allowance(settings), clock)
    history = StatHistory(port)
    app = web.Application(
        middlewares=[_cross_origin, _orderly(context, client_of)], client_max_size=routes.DEFINITION_LIMIT
    )

    def simple(handler: Callable[[Context, web.Request], Awaitable[web.StreamResponse]]) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            async with asyncio.timeout(ANSWER_PATIENCE):
                return await handler(context, request)

        return handle

    def bounded(handler: JobHandler, unknown: Unknown = _NO_JOB) -> _Handler:
        guarded = for_owner(context, handler, unknown)

        async def handle(request: web.Request) -> web.StreamResponse:
            async with asyncio.timeout(ANSWER_PATIENCE):
                return await guarded(request)

        return handle

    app.router.add_get("/", simple(routes.root))
    app.router.add_get("/node/info", simple(routes.node_info))
    app.router.add_post("/node/validate", simple(backend.validate))
    app.router.add_get("/openapi.json", _document(openapi_document()))
    info = for_owner(context, streams.stream_info, Unknown(404, streams.NOT_FOUND))
    stats = for_owner(context, streams.stream_stats, Unknown(404, streams.NOT_RUNNING))
    app.router.add_get("/job/{job}/info", info, allow_head=False)
    app.router.add_get("/job/{job}/stats/stream", stats, allow_head=False)
    absent = Unknown(404, streams.NOT_RUNNING)
    app.router.add_get("/job/{job}/stats", bounded(routes.stats_route(history), absent), allow_head=False)
    for method, path, handler in _ROUTES:
        if method == hdrs.METH_GET:
            # To look at the head of a result is not to collect it.
            app.router.add_get(f"/job/{{job}}{path}", bounded(handler), allow_head=path != "/results")
        else:
            app.router.add_route(method, f"/job/{{job}}{path}", bounded(handler))

    async def keep_history(_app: web.Application) -> AsyncIterator[None]:
        keeping = asyncio.ensure_future(history.keep())
        yield
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping

    app.cleanup_ctx.append(keep_history)
    app.on_response_prepare.append(_mark)

    async def end_streams(_app: web.Application) -> None:
        context.allowance.end_lasting()

    app.on_shutdown.append(end_streams)
    return app


def _document(document: object) -> _Handler:
    async def handle(_request: web.Request) -> web.Response:
        return routes.json_answer(document)

    return handle


@web.middleware
async def _cross_origin(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Any web page may ask: what it may not see is kept by signatures, not by its origin."""
    if request.method == hdrs.METH_OPTIONS and hdrs.ORIGIN in request.headers:
        asked = request.headers.get("access-control-request-headers", "authorization, content-type")
        return web.Response(
            status=204,
            headers={
                "access-control-allow-methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
                "access-control-allow-headers": asked[:1024],
                "access-control-max-age": "600",
                "vary": "access-control-request-headers",
            },
        )
    try:
        return await handler(request)
    except web.HTTPException as answer:
        response = text(answer.status, answer.reason)
        if hdrs.ALLOW in answer.headers:
            response.headers[hdrs.ALLOW] = answer.headers[hdrs.ALLOW]
        return response


async def _mark(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["access-control-allow-origin"] = "*"
    response.headers["x-content-type-options"] = "nosniff"


def _orderly(context: Context, client_of: ClientOf) -> Middleware:
    """Rate, places, upgrades, and what becomes of errors."""

    @web.middleware
    async def orderly(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if not context.allowance.admits(household(client_of(request))):
            return _busy(429, "too many requests")
        try:
            with context.allowance.place():
                if is_upgrade(request):
                    return await serve_socket(context, request)
                # Bodies are read by the routes that want one, once it is known who sends it.
                return await handler(request)
        except Full:
            return _busy(503, "too many requests are under way")
        except TimeoutError:
            return await _hung_up(request)
        except GpunodeError as error:
            log.warning("a job's owner asked %s %s: %s", request.method, request.path, error)
            return routes.json_answer({"error": error.message}, 500)

    return orderly


async def _hung_up(request: web.Request) -> web.StreamResponse:
    """Answer who took too long, and close: a body that drips is not waited for any longer."""
    answer = text(408, "the request took too long")
    answer.force_close()
    if request.transport is not None:
        with suppress(ConnectionError):
            await answer.prepare(request)
            await answer.write_eof()
            request.transport.close()
    return answer


def _busy(status: int, sentence: str) -> web.Response:
    answer = text(status, sentence)
    answer.headers[hdrs.RETRY_AFTER] = "1"
    return answer
