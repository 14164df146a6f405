"""Where bytes come from: gateways, an IPFS node. What a source returns matches the CID, always."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from node.content.cid import cid_to_hash32, file_cid
from node.content.http import DEFAULT_TIMEOUT, ContentHttp, RefusedRequest, bearer, checked_base
from node.content.layout import assembled
from node.errors import ContentError, ContentMismatch, ContentTooLarge
from node.records import Cid

_NOT_THERE = frozenset((404, 410, 429, 502, 503, 504))
"""Refusals that say nothing of the form asked for: blocks would not be there either."""


class Source(Protocol):
    """A place that serves files by CID."""

    @property
    def name(self) -> str:
        """Kind and host, for people and the journal."""
        ...

    async def fetch(self, cid: Cid, limit: int) -> bytes:
        """The file's bytes, proven to match the CID, at most `limit` of them.

        Raises ContentUnavailable, ContentMismatch or ContentTooLarge.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...


class _HttpSource(ABC):
    """What gateways and nodes have in common: the plain file first, its blocks where that proves nothing.

    The plain answer is compared with the CID. It is another where the file was added with another layout; then the
    blocks are checked one by one.
    """

    def __init__(self, url: str, timeout: float, client: httpx.AsyncClient | None) -> None:
        self._url = checked_base(url)
        self._timeout = timeout
        self._http = ContentHttp(client, timeout=timeout)

    @property
    @abstractmethod
    def name(self) -> str:
        """Kind and host."""

    async def fetch(self, cid: Cid, limit: int) -> bytes:
        """The checked bytes of a CID.

        Takes at most the time limit for the plain file and as long again for its blocks.
        """
        cid_to_hash32(cid)
        try:
            body = await self._plain(cid, limit)
            if await asyncio.to_thread(file_cid, body) == cid:
                return body
            problem: ContentError = _mismatch(self.name, cid)
        except RefusedRequest as error:
            if error.status in _NOT_THERE:
                raise
            problem = error
        except ContentTooLarge as error:
            # So the server says; the root block is the file's own word.
            problem = error
        return await assembled(self, cid, limit, problem, self._timeout)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    @abstractmethod
    async def archive(self, cid: Cid, take: Callable[[bytes], None], limit: int) -> None:
        """Hand the file's blocks, as a CAR, to `take`, piece by piece; at most `limit` bytes."""

    @abstractmethod
    async def block(self, name: str, limit: int) -> bytes:
        """The block of a CID, at most `limit` bytes, unchecked."""

    @abstractmethod
    async def _plain(self, cid: Cid, limit: int) -> bytes:
        """What is served as the file, at most `limit` bytes, unchecked."""


class GatewaySource(_HttpSource):
    """An HTTP gateway: the CID is appended to its address, which ends in `/ipfs/`.

    Blocks are asked for as trustless gateways serve them (`?format=car` and `?format=raw`).
    """

    def __init__(self, url: str, *, timeout: float = DEFAULT_TIMEOUT, client: httpx.AsyncClient | None = None) -> None:
        super().__init__(url, timeout, client)

    @property
    def name(self) -> str:
        """Kind and host."""
        return f"gateway {urlsplit(self._url).hostname}"

    async def archive(self, cid: Cid, take: Callable[[bytes], None], limit: int) -> None:
        """The blocks, as `?format=car` or `dag/export` gives them."""
        # `entity`: of a directory only its own blocks, should it be one.
        wanted = {"format": "car", "dag-scope": "entity", "car-dups": "n"}
        await self._http.stream(
            "GET",
            f"{self._url}/{cid}",
            take,
            limit=limit,
            params=wanted,
            headers={"accept": "application/vnd.ipld.car"},
        )

    async def block(self, name: str, limit: int) -> bytes:
        """One block, as `?format=raw` or `block/get` gives it."""
        wanted, accept = {"format": "raw"}, {"accept": "application/vnd.ipld.raw"}
        return await self._http.fetch("GET", f"{self._url}/{name}", limit=limit, params=wanted, headers=accept)

    async def _plain(self, cid: Cid, limit: int) -> bytes:
        return await self._http.fetch("GET", f"{self._url}/{cid}", limit=limit)


class KuboSource(_HttpSource):
    """An IPFS node's RPC interface (Kubo, `POST /api/v0/{cat,dag/export,block/get}`)."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        super().__init__(url, timeout, client)
        self._headers = bearer(token)

    @property
    def name(self) -> str:
        """Kind and host."""
        return f"kubo {urlsplit(self._url).hostname}"

    async def archive(self, cid: Cid, take: Callable[[bytes], None], limit: int) -> None:
        """The blocks, as `?format=car` or `dag/export` gives them."""
        await self._http.stream(
            "POST", self._call("dag/export"), take, limit=limit, params={"arg": cid}, headers=self._headers
        )

    async def block(self, name: str, limit: int) -> bytes:
        """One block, as `?format=raw` or `block/get` gives it."""
        return await self._http.fetch(
            "POST", self._call("block/get"), limit=limit, params={"arg": name}, headers=self._headers
        )

    async def _plain(self, cid: Cid, limit: int) -> bytes:
        return await self._http.fetch(
            "POST", self._call("cat"), limit=limit, params={"arg": cid}, headers=self._headers
        )

    def _call(self, name: str) -> str:
        return f"{self._url}/api/v0/{name}"


def _mismatch(source: str, cid: Cid) -> ContentMismatch:
    return ContentMismatch(
        f"{source} served bytes that are not {cid}",
        hint="The source is broken or lies; use another one.",
    )
