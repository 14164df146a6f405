"""HTTP to addresses that a stranger chose: only to hosts of the public internet, whatever their names resolve to.

A name is resolved here, every answer is looked at, and the connection goes to the very address that was looked at, so
that a name cannot resolve to another one in between. TLS still proves the name. Each redirect is a request of its own.
Proxies of the environment are not used: they would resolve the name themselves.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any

import httpcore
import httpx

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""All addresses of a host."""
Exempt = Callable[[str, int], bool]
"""Whether the operator allows this host and port although it is not public."""

_PRIVATE = tuple(
    ipaddress.ip_network(each)
    for each in (
        # IANA's special-purpose registries, and what would carry an IPv4 address inside an IPv6 one.
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "::/96", "::ffff:0:0/96", "64:ff9b:1::/48"),
        *("100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16"),
        *("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
)
_MOST_ADDRESSES = 32


class AddressRefused(httpx.ConnectError):
    """The host has an address that is not of the public internet, or none."""


def is_public(address: str) -> bool:
    """Whether an IP address (as text) is one of the public internet."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if parsed in _NAT64:
        # A network without IPv4 reaches it through these; what counts is where they lead.
        return is_public(str(ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)))
    # Only what is handed out as global unicast today; anything else in IPv6 has a special meaning.
    if parsed.version == 6 and parsed not in _GLOBAL_UNICAST:
        return False
    return not any(parsed.version == net.version and parsed in net for net in _PRIVATE)


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


async def system_addresses(host: str, port: int) -> Sequence[str]:
    """All addresses that the system's resolver has for a host, in its order."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def nothing_exempt(_host: str, _port: int) -> bool:
    """For callers that reach public hosts only."""
    return False


def either(one: Exempt, other: Exempt) -> Exempt:
    """What one of the two exempts."""
    return lambda host, port: one(host, port) or other(host, port)


async def public_addresses(host: str, port: int, resolve: Resolve = system_addresses) -> tuple[str, ...]:
    """The addresses of a host, if every one of them is public. Raises AddressRefused.

    One private answer among public ones is enough to refuse: it is there to be tried second.
    """
    try:
        found = tuple(await resolve(host, port))
    except (OSError, UnicodeError) as error:
        raise AddressRefused(f"{host} cannot be resolved: {error}") from None
    if not 0 < len(found) <= _MOST_ADDRESSES:
        raise AddressRefused(f"{host} has {len(found)} addresses")
    bad = next((address for address in found if not is_public(address)), None)
    if bad is not None:
        raise AddressRefused(f"{host} leads to {bad}, which is not of the public internet")
    return found


class _Refused(httpcore.ConnectError):
    """AddressRefused on its way through the connection pool."""


class _PinnedBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were looked at, and to nothing else."""

    def __init__(self, resolve: Resolve, exempt: Exempt) -> None:
        self._resolve = resolve
        self._exempt = exempt
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                if self._exempt(host, port):
                    return await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
                return await self._first(await public_addresses(host, port, self._resolve), port, socket_options)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} did not answer in time") from None
        except AddressRefused as refused:
            raise _Refused(str(refused)) from None

    async def _first(
        self, addresses: Sequence[str], port: int, options: Iterable[Any] | None
    ) -> httpcore.AsyncNetworkStream:
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, None, None, options)
            except httpcore.ConnectError:
                continue
        return await self._inner.connect_tcp(addresses[-1], port, None, None, options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class PublicTransport(httpx.AsyncBaseTransport):
    """A transport of httpx that reaches only public hosts, and those the operator exempts."""

    def __init__(
        self,
        *,
        resolve: Resolve = system_addresses,
        exempt: Exempt = nothing_exempt,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context or httpx.create_ssl_context(),
            max_connections=20,
            keepalive_expiry=5.0,
            network_backend=_PinnedBackend(resolve, exempt),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Raises httpx's errors."""
        assert isinstance(request.stream, httpx.AsyncByteStream)
        try:
            answer = await self._pool.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        except _HTTPCORE_ERRORS as error:
            raise _as_httpx(error) from error
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Stream(answer.stream), extensions=answer.extensions
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._inner:
                yield piece
        except _HTTPCORE_ERRORS as error:
            raise _as_httpx(error) from error

    async def aclose(self) -> None:
        await self._inner.aclose()


_HTTPCORE_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    httpcore.ProxyError,
)


def _as_httpx(error: Exception) -> httpx.TransportError:
    if isinstance(error, _Refused):
        return AddressRefused(str(error))
    if isinstance(error, httpcore.TimeoutException):
        return httpx.ConnectTimeout(str(error)) if isinstance(error, httpcore.ConnectTimeout) else httpx.ReadTimeout("")
    if isinstance(error, httpcore.ConnectError):
        return httpx.ConnectError(str(error))
    return httpx.NetworkError(str(error))
