"""HTTP as the content room uses it: bodies bounded in bytes and time, and errors of our own tree only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from node.errors import ContentError, ContentTooLarge, ContentUnavailable, StoreRejected

DEFAULT_TIMEOUT = 30.0
"""Seconds one whole exchange may take."""
ANSWER_LIMIT = 1 << 20
"""Bytes of a store's answer that are read; a CID needs a few dozen."""


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
            self._client = httpx.AsyncClient(follow_redirects=True, timeout=self._timeout, max_redirects=5)
        return self._client

    async def fetch(
        self, method: str, url: str, *, limit: int, params: Mapping[str, str] | None = None, accept: str = "*/*"
    ) -> bytes:
        """The body of a 2xx answer, at most `limit` bytes.

        Raises ContentTooLarge past the limit, else ContentUnavailable.
        """
        # Compressed answers could unfold to any size before a limit sees them.
        headers = {"accept": accept, "accept-encoding": "identity"}
        async with self._exchange(method, url, params=params, headers=headers) as response:
            if not response.is_success:
                raise ContentUnavailable(f"{shown(url)} answered HTTP {response.status_code}")
            return await _read(response, limit, url)

    async def upload(
        self,
        url: str,
        *,
        file: tuple[str, bytes],
        params: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """POST a multipart form with one `file` part; the answer's body.

        Raises StoreRejected for an answer that a retry will not change, else ContentUnavailable.
        """
        name, data = file
        async with self._exchange(
            "POST",
            url,
            params=params,
            headers=dict(headers or {}),
            data=dict(fields or {}),
            files={"file": (name, data, "application/octet-stream")},
        ) as response:
            body = await _read(response, ANSWER_LIMIT, url)
            if response.is_success:
                return body
            said = body[:200].decode("utf-8", "replace").strip()
            message = f"{shown(url)} answered HTTP {response.status_code}: {said}"
            if response.status_code == 429 or response.status_code >= 500:
                raise ContentUnavailable(message, hint="The store has trouble; the upload is tried again.")
            raise StoreRejected(message, hint="Check the store's address, its token and its size limit.")

    @asynccontextmanager
    async def _exchange(self, method: str, url: str, **arguments: Any) -> AsyncIterator[httpx.Response]:
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._ready_client().stream(method, url, **arguments) as response,
            ):
                yield response
        except TimeoutError:
            raise ContentUnavailable(f"{shown(url)} did not answer within {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError) as error:
            reason = str(error) or type(error).__name__
            raise ContentUnavailable(
                f"{shown(url)} cannot be reached: {reason}", hint="Check the address and the network."
            ) from None


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
