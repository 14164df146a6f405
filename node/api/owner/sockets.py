"""The WebSocket at the origin: each frame `{path, header, body}` asks for a stream of log lines or states.

Close codes are the Nosana node's: 1007 no job named, 1008 no such running job, 1011 no JSON, 3000 not the owner, 3003
unknown path. Ours: 1013 too many streams, 4008 does not read. A socket is not closed when its job has ended: the
network's client would come again every three seconds and be told the whole log each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from node.api.owner import documents
from node.api.owner.auth import SOCKET_EXPIRY, Unauthorized, authorize
from node.api.owner.gate import Context, known_job, unauthorized_text
from node.api.owner.limits import Full
from node.api.owner.pace import TooSlow, sent
from node.api.owner.port import LogFrame, OwnedJob
from node.bounded_json import JsonRefused, read_json
from node.errors import GpunodeError, OwnerRefused

FRAME_LIMIT = 16 * 1024
"""Bytes of a frame from a client."""
FRAMES = 8
"""A client sends at most, and streams a socket has: each frame opens one."""
FIRST_FRAME = 10.0
"""Seconds for a client to say what it wants."""
PING = 30.0
LINGER = 600.0
"""Seconds a socket stays open with nothing more to come."""
RUN_WAIT = 30.0
"""Seconds that `/flog` waits for a job to run: it is on the chain before its definition is here (Nosana node)."""
RUN_LOOK = 0.25

NO_SHELL = "this node offers no shell into jobs"


class _Close(Exception):
    """Ends the socket."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def is_upgrade(request: web.Request) -> bool:
    """Whether a request asks for a WebSocket; on any path, as on the Nosana node."""
    return request.headers.get("upgrade", "").lower() == "websocket"


async def serve_socket(context: Context, request: web.Request) -> web.StreamResponse:
    """One socket from its first frame to its end."""
    socket = web.WebSocketResponse(heartbeat=PING, max_msg_size=FRAME_LIMIT, compress=False, timeout=5.0)
    if not socket.can_prepare(request).ok:
        return web.Response(status=400, text="no WebSocket handshake")
    with context.allowance.lasting():
        try:
            return await _serve(context, request, socket)
        except asyncio.CancelledError:
            await _end(socket, 1001, "the node stops", patience=0.3)
            raise


async def _serve(context: Context, request: web.Request, socket: web.WebSocketResponse) -> web.StreamResponse:
    try:
        with context.allowance.stranger():
            await socket.prepare(request)
            first = await _first_frame(socket)
            subscription = None if first is None else await _subscription(context, socket, first)
    except Full:
        return web.Response(status=503, text="too many sockets are open", headers={"retry-after": "5"})
    except _Close as close:
        await _end(socket, close.code, close.reason)
        return socket
    if subscription is not None:
        await _run(context, socket, subscription)
    return socket


async def _first_frame(socket: web.WebSocketResponse) -> str | None:
    try:
        async with asyncio.timeout(FIRST_FRAME):
            return await _frame(socket)
    except TimeoutError:
        raise _Close(1008, "no first frame") from None


async def _frame(socket: web.WebSocketResponse) -> str | None:
    """A text frame; None when the client has gone."""
    message = await socket.receive()
    if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
        return str(message.data if message.type is WSMsgType.TEXT else message.data.decode("utf-8", "replace"))
    return None


_Subscription = Callable[[], Awaitable[None]]


async def _run(context: Context, socket: web.WebSocketResponse, first: _Subscription) -> None:
    """Serve the subscriptions of a socket until the client goes or one of them ends it."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_supervised(first))]
            reading = group.create_task(_read(context, socket, group, tasks))
            await reading
            for task in tasks:
                task.cancel()
    except* _Close as closes:
        close = closes.exceptions[0]
        while isinstance(close, BaseExceptionGroup):
            close = close.exceptions[0]
        await _end(socket, close.code, close.reason)
    except* ConnectionError:
        pass  # The client has gone.


async def _supervised(subscription: _Subscription) -> None:
    try:
        await subscription()
    except TooSlow:
        raise _Close(4008, "does not read") from None
    except Full:
        raise _Close(1013, "too many streams of this job are open") from None
    except GpunodeError as error:
        raise _Close(1011, error.message[:100]) from None


async def _read(
    context: Context, socket: web.WebSocketResponse, group: asyncio.TaskGroup, tasks: list[asyncio.Task[None]]
) -> None:
    while (frame := await _frame(socket)) is not None:
        if len(tasks) >= FRAMES:
            raise _Close(1008, "too many frames")
        tasks.append(group.create_task(_supervised(await _subscription(context, socket, frame))))


async def _end(socket: web.WebSocketResponse, code: int, reason: str, *, patience: float = 2.0) -> None:
    """Close, and wait so long for the client to agree."""
    cut = reason.encode()[:120].decode("utf-8", "ignore")
    try:
        async with asyncio.timeout(patience):
            await socket.close(code=code, message=cut.encode())
    except (TimeoutError, ConnectionError):
        return


# --- what a frame asks for --------------------------------------------------------------------------------------


async def _subscription(context: Context, socket: web.WebSocketResponse, frame: str) -> _Subscription:
    """What a frame asks for. Raises _Close."""
    try:
        asked = read_json(frame, limit=FRAME_LIMIT, depth=8)
    except JsonRefused:
        raise _Close(1011, "Internal Server Error") from None
    if not isinstance(asked, dict):
        raise _Close(1011, "Internal Server Error")
    path, body = asked.get("path"), asked.get("body")
    body = body if isinstance(body, dict) else {}
    if path == "/terminal":
        await sent(socket.send_str(documents.compact({"type": "error", "message": NO_SHELL})))
        raise _Close(1008, NO_SHELL)
    if path not in ("/log", "/flog", "/status"):
        raise _Close(3003, "Invalid Path")
    job = await _authorized(context, asked.get("header"), body, with_node=path == "/status")
    if path == "/status":
        return _lasting(context, job, lambda: _states(context, socket, job))
    if path == "/log":
        return _lasting(context, job, lambda: _log(context, socket, job))
    return _lasting(context, job, lambda: _flog(context, socket, job, _Filter.of(body)))


def _lasting(context: Context, job: OwnedJob, streaming: _Subscription) -> _Subscription:
    """One of the job's streams, kept open for a while when there is nothing more to come."""

    async def subscription() -> None:
        with context.allowance.stream(job.address):
            await streaming()
            await asyncio.sleep(LINGER)
        raise _Close(1000, "the job is over")

    return subscription


async def _authorized(context: Context, header: object, body: dict[str, Any], *, with_node: bool) -> OwnedJob:
    address = body.get("jobAddress")
    if not address:
        raise _Close(1007, "Expected body to contain jobAddress.")
    job = await known_job(context, address)
    if job is None:
        raise _Close(3000, "Unauthorized Request: invalid job id")
    try:
        authorize(
            header if isinstance(header, str) else None,
            job,
            context.settings,
            expiry=SOCKET_EXPIRY,
            now_ms=context.now_ms,
            node=job.node if with_node else None,
        )
    except Unauthorized as refused:
        raise _Close(3000, unauthorized_text(refused)) from None
    return job


class _Filter:
    """Which lines of `/flog` a client wants. With an operation, group and type count for live lines only."""

    def __init__(self, group: str | None, operation: str | None, kind: str | None) -> None:
        self._group = group
        self._operation = operation
        self._kind = kind

    @classmethod
    def of(cls, body: dict[str, Any]) -> _Filter:
        """As a frame's body has it."""
        group, operation, kind = (
            value if isinstance(value := body.get(key), str) and value else None for key in ("group", "opId", "type")
        )
        return cls(group, operation, kind)

    def takes(self, frame: LogFrame, *, live: bool) -> bool:
        """Whether a line is wanted."""
        if self._operation not in (None, frame.operation):
            return False
        if self._operation is not None and not live:
            return True
        kind = None if frame.kind is None else frame.kind.value
        return self._group in (None, frame.group) and self._kind in (None, kind)


@asynccontextmanager
async def _following(context: Context, job: OwnedJob, patience: float) -> AsyncIterator[AsyncIterator[LogFrame | None]]:
    """The job's log lines once it runs. Raises OwnerRefused where it does not within `patience` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    async with AsyncExitStack() as stack:
        while True:
            try:
                frames = await stack.enter_async_context(context.port.follow(job.address))
                break
            except OwnerRefused:
                if loop.time() >= deadline:
                    raise
            await asyncio.sleep(RUN_LOOK)
        yield frames


async def _flog(context: Context, socket: web.WebSocketResponse, job: OwnedJob, wanted: _Filter) -> None:
    live = False
    try:
        async with _following(context, job, RUN_WAIT) as frames:
            async for frame in frames:
                if frame is None:
                    live = True
                elif wanted.takes(frame, live=live):
                    await sent(socket.send_str(documents.flog_frame(frame)))
    except OwnerRefused:
        raise _Close(1008, "Invalid job address") from None


async def _log(context: Context, socket: web.WebSocketResponse, job: OwnedJob) -> None:
    async with _following(context, job, LINGER) as frames:
        async for frame in frames:
            if frame is not None:
                await sent(socket.send_str(documents.log_frame(frame, job.address)))


async def _states(context: Context, socket: web.WebSocketResponse, job: OwnedJob) -> None:
    async with context.port.states(job.address) as frames:
        async for frame in frames:
            await sent(socket.send_str(documents.state_frame(frame)))
