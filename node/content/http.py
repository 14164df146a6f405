"""HTTP as the content room uses it: bodies bounded in bytes and time, and errors of our own tree only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx

from node.errors import ContentError, ContentTooLarge, ContentUnavailable, StoreRejected
from node.loopback import DIRECT
from node.public_network import PublicTransport

DEFAULT_TIMEOUT = 30.0
"""Seconds one whole exchange may take."""
ANSWER_LIMIT = 1 << 20
"""Bytes of a store's answer that are read; a CID needs a few dozen."""
MAX_REDIRECTS = 3
"""Redirects of one fetch; public gateways send callers on to a host name of the CID's own."""
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


class RefusedRequest(ContentUnavailable):
    """A server answered with a status that is no success."""

    def __init__(self, message: str, *, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class ContentHttp:
    """One HTTP client with a time limit on whole exchanges.

    httpx's own time-outs restart with each byte, so a server that dribbles would hold a request for ever.
    """

    def __init__(
        self,
        client: httpx.AsyncClient | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        strangers: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`strangers`: how hosts are reached that only a redirect named; by default if they are public."""
        self._strangers = strangers
        self._elsewhere: httpx.AsyncClient | None = None
        self._client = client
        self._owned = client is None
        self._timeout = timeout

    async def aclose(self) -> None:
        """Close the connections, unless the client was given from outside."""
        if self._owned and self._client is not None:
            await self._client.aclose()
            self._client = None
        if self._elsewhere is not None:
            await self._elsewhere.aclose()
            self._elsewhere = None

    def _ready_client(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=self._timeout, mounts=DIRECT)
        return self._client

    def _for_strangers(self) -> httpx.AsyncClient:
        """For hosts that a redirect named: no settings of ours say that they may be in a private network."""
        if self._elsewhere is None:
            transport = self._strangers or PublicTransport()
            self._elsewhere = httpx.AsyncClient(timeout=self._timeout, transport=transport, trust_env=False)
        return self._elsewhere

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        limit: int,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The body of a 2xx answer, at most `limit` bytes. Raises what `stream` raises."""
        body = bytearray()
        await self.stream(method, url, body.extend, limit=limit, params=params, headers=headers)
        return bytes(body)

    async def stream(
        self,
        method: str,
        url: str,
        take: Callable[[bytes], None],
        *,
        limit: int,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Hand the body of a 2xx answer to `take`, piece by piece, at most `limit` bytes.

        A few redirects of a GET are followed: on the same server, or to an https address of the public internet, so
        that a stranger cannot point at a server of this host's own network.
        Raises ContentTooLarge past the limit, RefusedRequest for another status, else ContentUnavailable.
        """
        # Compressed answers could unfold to any size before a limit sees them.
        sent: Mapping[str, str] = {"accept": "*/*", **(headers or {}), "accept-encoding": "identity"}
        async with self._limited(url):
            target = httpx.URL(url, params=params) if params else httpx.URL(url)
            named = target.netloc
            for _ in range(MAX_REDIRECTS + 1):
                request = self._request(method, target, headers=sent)
                client = self._ready_client() if target.netloc == named else self._for_strangers()
                async with self._sent(request, client) as response:
                    if method == "GET" and response.status_code in _REDIRECTS:
                        target, sent = _redirected(request, response.headers.get("location", ""), url)
                        continue
                    if not response.is_success:
                        raise RefusedRequest(
                            f"{shown(url)} answered HTTP {response.status_code}{await _said(response)}",
                            status=response.status_code,
                        )
                    return await _read(response, take, limit, url)
        raise ContentUnavailable(f"{shown(url)} redirects more than {MAX_REDIRECTS} times")

    async def upload(
        self,
        url: str,
        *,
        file: tuple[str, bytes],
        params: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """POST a multipart form with one `file` part; the answer's body. Redirects are not followed.

        Raises StoreRejected for an answer that a retry will not change, else ContentUnavailable.
        """
        name, data = file
        request_headers = {"accept-encoding": "identity", **(headers or {})}
        async with self._limited(url):
            request = self._request(
                "POST",
                url,
                params=params,
                headers=request_headers,
                data=dict(fields or {}),
                files={"file": (name, data, "application/octet-stream")},
            )
            async with self._sent(request) as response:
                return await self._accepted(response, url)

    async def _accepted(self, response: httpx.Response, url: str) -> bytes:
        """The body of a store's answer, if it took the file."""
        body = bytearray()
        try:
            await _read(response, body.extend, ANSWER_LIMIT, url)
        except ContentTooLarge:
            raise StoreRejected(
                f"{shown(url)} answered more than {ANSWER_LIMIT:,} bytes", hint="Check the store's address."
            ) from None
        if response.is_success:
            return bytes(body)
        said = _one_line(bytes(body))
        if response.status_code in _REDIRECTS:
            said = f"it sends uploads on to {shown(response.headers.get('location', ''))}"
        message = f"{shown(url)} answered HTTP {response.status_code}: {said}"
        if response.status_code == 429 or response.status_code >= 500:
            raise ContentUnavailable(message, hint="The store has trouble; the upload is tried again.")
        raise StoreRejected(message, hint="Check the store's address, its token and its size limit.")

    def _request(self, method: str, url: httpx.URL | str, **arguments: Any) -> httpx.Request:
        return self._ready_client().build_request(method, url, **arguments)

    @asynccontextmanager
    async def _sent(
        self, request: httpx.Request, client: httpx.AsyncClient | None = None
    ) -> AsyncIterator[httpx.Response]:
        response = await (client or self._ready_client()).send(request, stream=True, follow_redirects=False)
        try:
            yield response
        finally:
            await response.aclose()

    @asynccontextmanager
    async def _limited(self, url: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError:
            raise ContentUnavailable(f"{shown(url)} did not answer within {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError) as error:
            reason = str(error) or type(error).__name__
            raise ContentUnavailable(
                f"{shown(url)} cannot be reached: {reason}", hint="Check the address and the network."
            ) from None


def _redirected(request: httpx.Request, location: str, url: str) -> tuple[httpx.URL, dict[str, str]]:
    """Where a redirect leads, and the request's headers there."""
    at = request.url
    headers = {name: request.headers[name] for name in ("accept", "accept-encoding")}
    named = request.headers["host"]
    target = at.copy_with(netloc=named.encode()).join(location)
    host = target.netloc.decode()
    own_name = target.scheme == "http" and host.endswith(f".{named}")
    if location and target.scheme == at.scheme and (host == named or own_name):
        # A gateway may give each CID a host name of its own. No resolver need know it: it is the same server.
        return target.copy_with(netloc=at.netloc), {**headers, "host": host}
    if location and target.scheme == "https":
        return target, headers
    raise ContentUnavailable(
        f"{shown(url)} redirects to {shown(str(target))}, which is not followed",
        hint="Only https addresses are; name the gateway's own address in content.gateways.",
    )


async def _read(response: httpx.Response, take: Callable[[bytes], None], limit: int, url: str) -> None:
    length = 0
    async for piece in response.aiter_raw():
        length += len(piece)
        if length > limit:
            raise ContentTooLarge(
                f"{shown(url)} sent more than {limit:,} bytes", hint="Raise the limit if such content is wanted."
            )
        take(piece)


async def _said(response: httpx.Response) -> str:
    """The beginning of a refusal, for people."""
    body = bytearray()
    with suppress(ContentTooLarge, httpx.HTTPError):
        await _read(response, body.extend, 2000, "")
    said = _one_line(bytes(body))
    return f": {said}" if said and not said.startswith("<") else ""


def _one_line(body: bytes) -> str:
    text = body[:200].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def bearer(token: str | None) -> dict[str, str]:
    """The header that shows a token, if there is one."""
    return {"authorization": f"Bearer {token}"} if token is not None else {}


def shown(url: str) -> str:
    """A URL as messages show it: without credentials and query."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
    except ValueError:
        return "<malformed address>"


def checked_base(url: str) -> str:
    """An http(s) address without a trailing slash. Raises ContentError for anything else."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise ContentError(f"{url!r} is no http or https address", hint="Write it like http://127.0.0.1:5001.")
    return url.rstrip("/")
