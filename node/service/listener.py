"""The agent's one listener for strangers: services by their Host, everything else to the owner's API."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import resource
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from aiohttp import web

from node.errors import ServiceError
from node.service.channel import Channel
from node.service.forward import Sender
from node.service.proxy import ClientConnection, ProxyTerms
from node.service.table import ServiceTable
from node.settings_service import ServiceSettings

log = logging.getLogger(__name__)

_BACKLOG = 512
_API_IDLE = 15.0
"""Seconds for the next request to the API on one connection to come in whole: by itself its server waits an hour."""
_SPARE_FILES = 512
"""Open files that the agent needs for itself."""


class ServiceListener:
    """Listens from `open` until `aclose`; `run` serves."""

    def __init__(
        self,
        settings: ServiceSettings,
        table: ServiceTable,
        terms: ProxyTerms,
        *,
        scheme: str,
    ) -> None:
        """`scheme`: with which clients come through a tunnel."""
        self._settings = settings
        self._table = table
        self._terms = terms
        self._scheme = scheme.encode()
        self._runner: web.AppRunner | None = None
        self._socket: socket.socket | None = None
        self._open = 0
        self._by_client: Counter[str] = Counter()
        self._tasks: asyncio.TaskGroup | None = None

    async def open(self, api: web.Application | None = None) -> None:
        """Take the port. `api` answers what is for no service. Raises ServiceError."""
        settings = self._settings
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        try:
            # `::` is every address of the host, those of IPv4 too.
            both = settings.host == "::" and socket.has_dualstack_ipv6()
            self._socket = socket.create_server(
                (settings.host, settings.port), family=family, backlog=_BACKLOG, dualstack_ipv6=both
            )
        except OSError as error:
            raise ServiceError(
                f"{settings.host}:{settings.port} cannot be listened on for services: {error.strerror or error}",
                hint="set service.port to a free one, or service.tunnel: off",
            ) from None
        _raise_file_limit(2 * settings.connections + _SPARE_FILES)
        if api is not None:
            api.middlewares.insert(0, self._misdirected)
            self._runner = web.AppRunner(
                api, access_log=None, shutdown_timeout=2.0, keepalive_timeout=_API_IDLE, lingering_time=2.0
            )
            await self._runner.setup()

    @property
    def port(self) -> int:
        """The port taken; the setting's as long as there is none."""
        return self._settings.port if self._socket is None else int(self._socket.getsockname()[1])

    async def run(self) -> None:
        """Serve until cancelled."""
        assert self._socket is not None, "open comes first"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as group:
                self._tasks = group
                server = await loop.create_server(self._channel, sock=self._socket)
                try:
                    await loop.create_future()
                finally:
                    server.close()
        finally:
            self._tasks = None
            await self.aclose()

    async def aclose(self) -> None:
        """Give the port back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    # --- one connection ---

    def _channel(self) -> asyncio.Protocol:
        return _Arrival(self)

    def admit(self, channel: _Arrival) -> bool:
        """Count a new connection and serve it; False: there are too many."""
        peer = channel.peer
        counted = _counted(peer)
        if self._tasks is None or self._open >= self._settings.connections:
            log.warning("a connection from %s is refused: there are %d already", peer, self._open)
            return False
        if counted and self._by_client[counted] >= self._settings.per_client:
            return False
        self._open += 1
        if counted:
            self._by_client[counted] += 1
        channel.counted = counted
        inner = None if self._runner is None else self._runner.server
        connection = ClientConnection(
            channel, self._table, self._terms, Sender(peer, trusted=not counted, scheme=self._scheme), inner
        )
        self._tasks.create_task(_quietly(connection, peer))
        return True

    def left(self, channel: _Arrival) -> None:
        """A connection that was counted has ended."""
        self._open -= 1
        if channel.counted:
            self._by_client[channel.counted] -= 1
            if self._by_client[channel.counted] <= 0:
                del self._by_client[channel.counted]

    @property
    def connections(self) -> int:
        """Open now."""
        return self._open

    @property
    def _misdirected(self) -> Any:
        @web.middleware
        async def refused(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            """A connection that went to the API stays there: a request for a service must come on another."""
            label, dot, domain = request.host.lower().partition(":")[0].partition(".")
            if dot and domain == self._terms.domain and label not in self._terms.own:
                return web.Response(status=421, text="ask on another connection\n", headers={"Connection": "close"})
            return await handler(request)

        return refused


class _Arrival(Channel):
    """A client's connection, counted."""

    def __init__(self, listener: ServiceListener) -> None:
        super().__init__()
        self.counted = ""
        self._listener = listener
        self._admitted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._admitted = self._listener.admit(self)
        if not self._admitted:
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._admitted:
            self._listener.left(self)


async def _quietly(connection: ClientConnection, peer: str) -> None:
    try:
        await connection.run()
    except Exception:
        # One connection's bug is not the others'.
        log.exception("a connection from %s failed", peer)


def _counted(peer: str) -> str:
    """Under what a client is counted: its address, of IPv6 its network; nothing for this machine."""
    try:
        ip = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return "?"
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return _counted(str(ip.ipv4_mapped))
        return "" if ip.is_loopback else str(ipaddress.ip_network((ip, 64), strict=False))
    return "" if ip.is_loopback else str(ip)


def _raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def terms_of(settings: ServiceSettings, cluster: str, own: frozenset[str]) -> ProxyTerms:
    """What settings say of connections. `own`: the host's node addresses."""
    return replace(
        ProxyTerms(domain=settings.domain(cluster)),
        own=frozenset(label.lower() for label in own),
        head=settings.head_bytes,
        per_service=settings.per_service,
        patience=settings.patience,
    )
