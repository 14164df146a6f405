"""What stands before every server of the agent: who may connect, how many, how fast, and for how long.

The control socket uses it, and whatever else listens is to: it knows nothing of routes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from node.errors import ControlError
from node.loopback import is_loopback

log = logging.getLogger(__name__)

_PEER = struct.Struct("3i")
_SO_PEERGROUPS = 59
"""Linux; the standard library does not name it."""
_GROUPS_SIZE = 1024
"""Bytes that Python reads of a socket option at most: 256 groups. Who is in more is judged by the first group alone."""

Peers = Callable[[socket.socket], bool]
"""Whether who is at the other end may speak."""


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """Bounds of one server. Times in seconds."""

    connections: int = 64
    requests: float = 200.0
    """A second, in the long run; what comes faster waits."""
    burst: int = 400
    longest_wait: float = 2.0
    """For a turn; beyond it a request is refused (429)."""
    patience: float = 10.0
    """For a whole request to come in, for an idle connection, and for a client that does not read its answer."""
    answer: float = 30.0
    """For an answer to be made."""


def everyone(_peer: socket.socket) -> bool:
    """For servers that anybody on the machine may use."""
    return True


def own_user_and(group: int | None) -> Peers:
    """The agent's own user and root; with `group` (its number) also that group's members. For unix sockets."""

    def allowed(peer: socket.socket) -> bool:
        _, user, primary = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        if user in (os.geteuid(), 0):
            return True
        return group is not None and group in {primary, *_other_groups(peer)}

    return allowed


def loopback_socket(host: str, port: int) -> socket.socket:
    """A listening TCP socket of this machine alone. Raises ControlError for any other host."""
    if not is_loopback(f"http://[{host}]" if ":" in host else f"http://{host}"):
        raise ControlError(f"{host} is no address of this machine alone", hint="use 127.0.0.1, and a tunnel from afar")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ControlError(f"{host}:{port} cannot be listened on: {error.strerror or error}") from None


class Guard:
    """Serves an application on a socket within limits. The application needs `Guard.middleware` as its first."""

    def __init__(self, peers: Peers, limits: GuardLimits | None = None) -> None:
        self.limits = limits or GuardLimits()
        self._peers = peers
        self._open: dict[asyncio.BaseTransport, _Connection] = {}
        self._bucket = _Bucket(self.limits.requests, self.limits.burst)

    async def serve(self, server: web.Server, listener: socket.socket) -> asyncio.Server:
        """Answer on a bound socket. `server` makes the protocol of one connection (`AppRunner.server`)."""
        loop = asyncio.get_running_loop()

        def connection() -> asyncio.Protocol:
            return _Connection(self, server())

        if listener.family == socket.AF_UNIX:
            return await loop.create_unix_server(connection, sock=listener)
        return await loop.create_server(connection, sock=listener)

    @property
    def middleware(self) -> Any:
        """Waits for a turn, and bounds the time of an answer."""

        @web.middleware
        async def guarded(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            known = None if request.transport is None else self._open.get(request.transport)
            if known is not None:
                known.busy()
            try:
                if not await self._bucket.turn(self.limits.longest_wait):
                    return web.json_response(_REFUSED, status=429, headers={"retry-after": "1"})
                async with asyncio.timeout(self.limits.patience):
                    # Read here, so that a body that drips is given up before anything is done about it.
                    await request.read()
                async with asyncio.timeout(self.limits.answer):
                    return await handler(request)
            except TimeoutError:
                return web.json_response(_LATE, status=408, headers={"connection": "close"})
            finally:
                if known is not None:
                    known.idle()

        return guarded

    def admits(self, transport: asyncio.Transport) -> bool:
        """Whether a new connection may stay."""
        if len(self._open) >= self.limits.connections:
            log.warning("a connection is refused: there are %d already", len(self._open))
            return False
        peer = transport.get_extra_info("socket")
        try:
            return self._peers(peer)
        except OSError:
            return False

    def entered(self, transport: asyncio.Transport, connection: _Connection) -> None:
        """A connection stays."""
        self._open[transport] = connection

    def left(self, transport: asyncio.BaseTransport) -> None:
        """A connection has ended."""
        self._open.pop(transport, None)


_REFUSED = {"error": {"kind": "ControlError", "message": "too many requests", "hint": "ask less often"}}
_LATE = {"error": {"kind": "ControlError", "message": "the request took too long", "hint": "try again"}}


class _Connection(asyncio.Protocol):
    """One connection: hands everything on to the server's own protocol, and ends it when its time is over."""

    def __init__(self, guard: Guard, inner: asyncio.Protocol) -> None:
        self._guard = guard
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._blocked: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if not self._guard.admits(transport):
            transport.abort()
            return
        self._transport = transport
        self._guard.entered(transport, self)
        self._inner.connection_made(transport)
        self.idle()

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._transport is not None else None

    def connection_lost(self, error: Exception | None) -> None:
        for timer in (self._idle, self._blocked):
            if timer is not None:
                timer.cancel()
        if self._transport is not None:
            self._guard.left(self._transport)
            self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        self._blocked = self._timer()
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._blocked is not None:
            self._blocked.cancel()
        self._inner.resume_writing()

    def busy(self) -> None:
        """A whole request is here: its answer is made now."""
        if self._idle is not None:
            self._idle.cancel()

    def idle(self) -> None:
        """The next request is waited for."""
        self.busy()
        self._idle = self._timer()

    def _timer(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._guard.limits.patience, self._end)

    def _end(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class _Bucket:
    """Tokens that come back at a rate; who finds none waits in turn."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._free_at = 0.0

    async def turn(self, longest: float) -> bool:
        """Wait for a turn, at most `longest` seconds; False where it would take longer."""
        now = asyncio.get_running_loop().time()
        start = max(self._free_at, now - self._burst / self._rate)
        wait = start - now
        if wait > longest:
            return False
        self._free_at = start + 1 / self._rate
        if wait > 0:
            await asyncio.sleep(wait)
        return True


def _other_groups(peer: socket.socket) -> tuple[int, ...]:
    try:
        raw = peer.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_SIZE)
    except OSError:
        return ()
    return struct.unpack(f"{len(raw) // 4}i", raw)
