"""The HTTP and WebSocket face of the embedded chain.

`POST /` is JSON-RPC, `GET /` with an upgrade is the subscription socket, `GET /health` answers `ok`. The same
application listens on the RPC port and, for clients that look for the socket there, on the port after it.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable

from aiohttp import WSCloseCode, WSMsgType, web

from node.localnet.faults.endpoint import Endpoint, end
from node.localnet.faults.sockets import Sockets
from node.localnet.rpc.context import Methods
from node.localnet.rpc.dispatch import Dispatcher
from node.localnet.rpc.subscriptions import Subscriptions

_BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of one HTTP request."""
_NODE_BODY_LIMIT = 50 * 1024
"""Bytes that a node takes; the localnet's own methods take more, for the accounts that they set."""
_MESSAGE_LIMIT = 4_097
"""Bytes of one socket message that a node closes the socket for."""
_BACKLOG_BYTES = 4 * 1024 * 1024
"""What a slow reader may be behind before its socket is closed."""
_GATHER_SECONDS = 0.004
"""How long a message may wait for more, where one went out just before it."""
_TEXT_FRAME = 0x81
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET, OPTIONS",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "86400",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Socket:
    """One subscriber. What it is told within a moment goes out in one piece: a busy chain tells hundreds of things."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, sockets: Sockets) -> None:
        self._socket = socket
        self._request = request
        self._sockets = sockets
        self._loop = asyncio.get_running_loop()
        self._frames: list[bytes] = []
        self._sent_at = 0.0

    def push(self, text: str) -> None:
        """Send a message in its turn, unless a fault keeps it back."""
        if self._sockets.undisturbed or self._sockets.lets_out(self, text):
            self.send(text)

    def send(self, text: str) -> None:
        """Send a message in its turn; a socket that is too far behind is given up."""
        if not self._frames:
            self._loop.call_at(self._sent_at + _GATHER_SECONDS, self._flush)
        self._frames.append(_frame(text.encode()))

    def _flush(self) -> None:
        frames, self._frames = self._frames, []
        transport = self._request.transport
        if transport is None or transport.is_closing():
            return  # the peer is gone; the reading side ends as well
        transport.write(b"".join(frames))
        self._sent_at = self._loop.time()
        if transport.get_write_buffer_size() > _BACKLOG_BYTES:
            # Who does not read would not read a farewell either.
            transport.abort()

    def abort(self) -> None:
        """End the connection without a word."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def answer_ping(self, data: bytes) -> None:
        """Show that the connection is alive, unless a fault forbids it."""
        if self._sockets.undisturbed or self._sockets.pongs(self):
            await self._socket.pong(data)


def _frame(payload: bytes) -> bytes:
    """A text message as a server sends it (RFC 6455): whole, and not masked."""
    size = len(payload)
    if size < 126:
        return bytes((_TEXT_FRAME, size)) + payload
    if size < 2**16:
        return bytes((_TEXT_FRAME, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT_FRAME, 127)) + size.to_bytes(8, "big") + payload


class RpcServer:
    """Serves the methods and the subscriptions; `endpoint` is what faults do to them."""

    def __init__(self, methods: Methods, admin: Methods, subscriptions: Subscriptions, endpoint: Endpoint) -> None:
        guarded = endpoint.guard(methods)
        self._public = Dispatcher(guarded)
        self._local = Dispatcher({**guarded, **endpoint.guard(admin)})
        self._endpoint = endpoint
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

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return await self._endpoint.handle(request, b"", lambda: web.Response(text=self._endpoint.health()))

    async def _options(self, _request: web.Request) -> web.Response:
        return web.Response(headers=_CORS)

    async def _rpc(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if len(body) > _NODE_BODY_LIMIT and b'"localnet_' not in body:
            return web.Response(status=413, text="request body size exceeds allowed maximum\n", headers=_CORS)
        dispatcher = self._local if is_loopback(request.remote) else self._public

        def answer() -> web.Response:
            return web.Response(text=dispatcher.answer(body), content_type="application/json")

        response = await self._endpoint.handle(request, body, answer)
        response.headers.update(_CORS)
        return response

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(status=405, text="Used HTTP Method is not allowed. POST is required")
        if self._endpoint.is_down():
            return end(request)
        # A real node offers no compression either; here it would cost more than anything else.
        socket = web.WebSocketResponse(max_msg_size=_MESSAGE_LIMIT, autoping=False, compress=False)
        await socket.prepare(request)
        self._open.add(socket)
        peer = _Socket(socket, request, self._endpoint.sockets)
        self._endpoint.sockets.opened(peer)
        dispatcher = Dispatcher(self._endpoint.guard(self._subscriptions.methods(peer)))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._answer(dispatcher, peer, message.data)
                elif message.type is WSMsgType.PING:
                    await peer.answer_ping(message.data)
        finally:
            self._open.discard(socket)
            self._endpoint.sockets.closed(peer)
            self._subscriptions.forget(peer)
        return socket

    def _answer(self, dispatcher: Dispatcher, peer: _Socket, text: str) -> None:
        answer = dispatcher.answer(text)
        if answer:  # none for what has no id: a sign of life such as `ping`
            peer.push(answer)
        self._subscriptions.settle(peer)

    async def disconnect(self) -> None:
        """Close all sockets, as a node does that starts anew; their subscribers have to come again."""
        for socket in list(self._open):
            await socket.close(code=WSCloseCode.SERVICE_RESTART, message=b"the chain was restored")

    async def _close_sockets(self, _application: web.Application) -> None:
        for socket in list(self._open):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the chain stops")


def is_loopback(remote: str | None) -> bool:
    """Whether the peer is on this machine."""
    try:
        return remote is not None and ipaddress.ip_address(remote).is_loopback
    except ValueError:
        return False
