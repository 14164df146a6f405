"""HTTP as the content room uses it: bodies bounded in bytes and time, and errors of our own tree only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from node.errors import ContentError, ContentTooLarge, ContentUnavailable, StoreRejected
from node.loopback import DIRECT

DEFAULT_TIMEOUT = 30.0
"""Seconds one whole exchange may take."""
ANSWER_LIMIT = 1 << 20
"""Bytes of a store's answer that are read; a CID needs a few dozen."""
MAX_REDIRECTS = 3
"""Redirects of one fetch; public gateways send callers on to a host name of the CID's own."""
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


class ContentHttp:
    """One HTTP client with a time limit on whole exchanges.

    httpx's own time-outs restart with each byte, so a server that dribbles would hold a request for ever.
    """

    def __init__(self, client: httpx.AsyncClient | None = None, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._client = client
        self._owned = client is None
        self._timeout = timeout

    async def aclose(self) -> None:
        """Close the connections, unless the client was given from outside."""
        if self._owned and self._client is not None:
            await self._client.aclose()
            self._client = None

    def _ready_client(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=self._timeout, mounts=DIRECT)
        return self._client

    async def fetch(
        self, method: str, url: str, *, limit: int, params: Mapping[str, str] | None = None, accept: str = "*/*"
    ) -> bytes:
        """The body of a 2xx answer, at most `limit` bytes.

        A few redirects of a GET are followed, to the same server or to an https address: its certificate keeps a
        stranger from pointing at a server of this host's own network.
        Raises ContentTooLarge past the limit, else ContentUnavailable.
        """
        # Compressed answers could unfold to any size before a limit sees them.
        headers = {"accept": accept, "accept-encoding": "identity"}
        target: httpx.URL | None = None
        async with self._limited(url):
            for _ in range(MAX_REDIRECTS + 1):
                request = self._request(
                    method, target or url, params=params if target is None else None, headers=headers
                )
                async with self._sent(request) as response:
                    if method == "GET" and response.status_code in _REDIRECTS:
                        target = _redirected(request.url, response.headers.get("location", ""), url)
                        continue
                    if not response.is_success:
                        raise ContentUnavailable(f"{shown(url)} answered HTTP {response.status_code}")
                    return await _read(response, limit, url)
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
        try:
            body = await _read(response, ANSWER_LIMIT, url)
        except ContentTooLarge:
            raise StoreRejected(
                f"{shown(url)} answered more than {ANSWER_LIMIT:,} bytes", hint="Check the store's address."
            ) from None
        if response.is_success:
            return body
        said = " ".join(body[:200].decode("utf-8", "replace").split())
        if response.status_code in _REDIRECTS:
            said = f"it sends uploads on to {shown(response.headers.get('location', ''))}"
        message = f"{shown(url)} answered HTTP {response.status_code}: {said}"
        if response.status_code == 429 or response.status_code >= 500:
            raise ContentUnavailable(message, hint="The store has trouble; the upload is tried again.")
        raise StoreRejected(message, hint="Check the store's address, its token and its size limit.")

    def _request(self, method: str, url: httpx.URL | str, **arguments: Any) -> httpx.Request:
        return self._ready_client().build_request(method, url, **arguments)

    @asynccontextmanager
    async def _sent(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        response = await self._ready_client().send(request, stream=True, follow_redirects=False)
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


def _redirected(at: httpx.URL, location: str, url: str) -> httpx.URL:
    target = at.join(location)
    same = (target.scheme, target.host, target.port) == (at.scheme, at.host, at.port)
    if not location or not (target.scheme == "https" or same):
        raise ContentUnavailable(
            f"{shown(url)} redirects to {shown(str(target))}, which is not followed",
            hint="Only https addresses are; name the gateway's own address in content.gateways.",
        )
    return target


async def _read(response: httpx.Response, limit: int, url: str) -> bytes:
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > limit:
            raise ContentTooLarge(
                f"{shown(url)} sent more than {limit:,} bytes", hint="Raise the limit if such content is wanted."
            )
    return bytes(body)


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
