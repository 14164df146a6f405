"""Where bytes come from: gateways, an IPFS node, a folder. What a source returns matches the CID, always."""

from __future__ import annotations

import asyncio
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from node.content.car import read_car_file
from node.content.cid import cid_to_hash32, file_cid
from node.content.http import DEFAULT_TIMEOUT, ContentHttp, checked_base
from node.errors import ContentMismatch, ContentTooLarge, ContentUnavailable
from node.records import Cid


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


class GatewaySource:
    """An HTTP gateway: the CID is appended to its address, which ends in `/ipfs/`.

    The plain answer is compared with the CID; where the file was added with another layout, the gateway is asked
    for the blocks (`?format=car`) and those are checked one by one.
    """

    def __init__(self, url: str, *, timeout: float = DEFAULT_TIMEOUT, client: httpx.AsyncClient | None = None) -> None:
        self._url = checked_base(url)
        self._http = ContentHttp(client, timeout=timeout)

    @property
    def name(self) -> str:
        """Kind and host."""
        return f"gateway {urlsplit(self._url).hostname}"

    async def fetch(self, cid: Cid, limit: int) -> bytes:
        """The checked bytes of a CID."""
        cid_to_hash32(cid)
        url = f"{self._url}/{cid}"
        body = await self._http.fetch("GET", url, limit=limit)
        if await asyncio.to_thread(file_cid, body) == cid:
            return body
        try:
            archive = await self._http.fetch(
                "GET",
                url,
                limit=_archive_limit(limit),
                params={"format": "car"},
                accept="application/vnd.ipld.car",
            )
        except (ContentUnavailable, ContentTooLarge):
            raise _mismatch(self.name, cid) from None
        return await _from_archive(self.name, archive, cid, limit)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


class KuboSource:
    """An IPFS node's RPC interface (Kubo, `POST /api/v0/cat` and `/api/v0/dag/export`)."""

    def __init__(self, url: str, *, timeout: float = DEFAULT_TIMEOUT, client: httpx.AsyncClient | None = None) -> None:
        self._url = checked_base(url)
        self._http = ContentHttp(client, timeout=timeout)

    @property
    def name(self) -> str:
        """Kind and host."""
        return f"kubo {urlsplit(self._url).hostname}"

    async def fetch(self, cid: Cid, limit: int) -> bytes:
        """The checked bytes of a CID."""
        cid_to_hash32(cid)
        body = await self._http.fetch("POST", f"{self._url}/api/v0/cat", limit=limit, params={"arg": cid})
        if await asyncio.to_thread(file_cid, body) == cid:
            return body
        try:
            archive = await self._http.fetch(
                "POST", f"{self._url}/api/v0/dag/export", limit=_archive_limit(limit), params={"arg": cid}
            )
        except (ContentUnavailable, ContentTooLarge):
            raise _mismatch(self.name, cid) from None
        return await _from_archive(self.name, archive, cid, limit)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _archive_limit(limit: int) -> int:
    # Room for the blocks' CIDs and links; small chunks make them weigh more.
    return 2 * limit + 65_536


async def _from_archive(source: str, archive: bytes, cid: Cid, limit: int) -> bytes:
    try:
        return await asyncio.to_thread(read_car_file, archive, cid, limit)
    except ContentMismatch as error:
        raise _mismatch(source, cid, error.message) from None


def _mismatch(source: str, cid: Cid, reason: str = "") -> ContentMismatch:
    tail = f" ({reason})" if reason else ""
    return ContentMismatch(
        f"{source} served bytes that are not {cid}{tail}",
        hint="The source is broken or lies; use another one.",
    )
