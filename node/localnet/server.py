"""The HTTP and WebSocket face of the embedded chain.

`POST /` is JSON-RPC, `GET /` with an upgrade is the subscription socket, `GET /health` answers `ok`. The same
application listens on the RPC port and, for clients that look for the socket there, on the port after it.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable

from aiohttp import WSCloseCode, WSMsgType, web

from node.localnet.rpc.context import Methods
from node.localnet.rpc.dispatch import Dispatcher
from node.localnet.rpc.subscriptions import Subscriptions

_BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of one HTTP request."""
_MESSAGE_LIMIT = 1024 * 1024
"""Bytes of one socket message."""
_QUEUE_LIMIT = 10_000
"""Notifications a slow reader may be behind before its socket is closed."""
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET, OPTIONS",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "86400",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Socket:
    """One subscriber: its notifications wait in a queue that a task of the request empties."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self.too_slow = False

    def push(self, text: str) -> None:
        """Send a message in its turn; a socket that is too far behind is given up."""
        if self._queue.qsize() >= _QUEUE_LIMIT:
            self.too_slow = True
            self._queue.put_nowait(None)
        elif not self.too_slow:
            self._queue.put_nowait(text)

    async def drain(self) -> None:
        """Send what is in the queue until the socket ends."""
        while (text := await self._queue.get()) is not None:
            try:
                await self._socket.send_str(text)
            except (ConnectionError, RuntimeError):
                return  # the peer is gone; the reading side ends as well
        await self._socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"subscriber too slow")

    def finish(self) -> None:
        """Nothing more will be sent."""
        self._queue.put_nowait(None)


class RpcServer:
    """Serves the methods and the subscriptions."""

    def __init__(self, methods: Methods, admin: Methods, subscriptions: Subscriptions) -> None:
        self._public = Dispatcher(methods)
        self._local = Dispatcher({**methods, **admin})
        self._subscriptions = subscriptions
        self._open: set[web.WebSocketResponse] = set()

    def application(self) -> web.Application:
        """The application for the RPC port."""
        application = web.Application(client_max_size=_BODY_LIMIT)
        application.router.add_post("/", self._rpc)
        application.router.add_get("/", self._socket)
        application.router.add_get("/health", self._health)
        application.router.add_route("OPTIONS", "/", self._options)
        application.on_shutdown.append(self._close_sockets)
        return application

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _options(self, _request: web.Request) -> web.Response:
        return web.Response(headers=_CORS)

    async def _rpc(self, request: web.Request) -> web.Response:
        body = await request.read()
        dispatcher = self._local if is_loopback(request.remote) else self._public
        return web.Response(text=dispatcher.answer(body), content_type="application/json", headers=_CORS)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(status=405, text="Used HTTP Method is not allowed. POST is required")
        socket = web.WebSocketResponse(max_msg_size=_MESSAGE_LIMIT, autoping=True)
        await socket.prepare(request)
        self._open.add(socket)
        peer = _Socket(socket)
        dispatcher = Dispatcher(self._subscriptions.methods(peer))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(peer.drain())
                async for message in socket:
                    if message.type is WSMsgType.TEXT:
                        self._answer(dispatcher, peer, message.data)
                peer.finish()
        finally:
            self._open.discard(socket)
            self._subscriptions.forget(peer)
        return socket

    def _answer(self, dispatcher: Dispatcher, peer: _Socket, text: str) -> None:
        answer = dispatcher.answer(text)
        if answer:  # none for what has no id: a sign of life such as `ping`
            peer.push(answer)
        self._subscriptions.settle(peer)

    async def _close_sockets(self, _application: web.Application) -> None:
        for socket in list(self._open):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the chain stops")


def is_loopback(remote: str | None) -> bool:
    """Whether the peer is on this machine."""
    try:
        return remote is not None and ipaddress.ip_address(remote).is_loopback
    except ValueError:
        return False
