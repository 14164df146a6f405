"""Where bytes are put: an IPFS node, a pinning service, a folder.

Everything is uploaded as a file with fixed chunking and the CID is computed here; a store that answers another
CID has failed, whatever its status said.
"""

from __future__ import annotations

import asyncio
import json
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from node.bounded_json import JsonRefused, read_json
from node.content.cid import file_cid
from node.content.folder import LocalStore as LocalStore  # beside the others for who chooses among them
from node.content.http import ANSWER_LIMIT, DEFAULT_TIMEOUT, ContentHttp, bearer, checked_base
from node.errors import StoreRejected
from node.records import Cid


class Store(Protocol):
    """A place that takes files and serves them by CID."""

    @property
    def name(self) -> str:
        """Kind and host, for people and the journal."""
        ...

    async def add_file(self, name: str, data: bytes) -> Cid:
        """Store the bytes as a file and return its CID.

        Raises StoreRejected (refused, or another CID answered) or ContentUnavailable (worth trying again).
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...


_LAYOUT = {
    "cid-version": "0",
    "chunker": "size-262144",
    "hash": "sha2-256",
    "inline": "false",
    "max-file-links": "174",
    "raw-leaves": "false",
    "trickle": "false",
    "wrap-with-directory": "false",
}
"""The default layout, option by option: a node may be set to another one (`Import` in its settings). Nodes that do not
know an option yet pass over it."""


class KuboStore:
    """An IPFS node's RPC interface (Kubo, `POST /api/v0/add`), with a token where it asks for one."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self._url = checked_base(url)
        self._token = token
        self._http = ContentHttp(client, timeout=timeout)

    def __repr__(self) -> str:
        return f"KuboStore({self.name!r})"

    @property
    def name(self) -> str:
        """Kind and host."""
        return f"kubo {urlsplit(self._url).hostname}"

    async def add_file(self, name: str, data: bytes) -> Cid:
        """Add the bytes and pin them, so that the node's own clean-up keeps them."""
        expected = await asyncio.to_thread(file_cid, data)
        answer = await self._http.upload(
            f"{self._url}/api/v0/add",
            file=(name, data),
            params={**_LAYOUT, "pin": "true"},
            headers=bearer(self._token),
        )
        # One JSON line per added file; a progress line may come before.
        lines = [line for line in answer.splitlines() if line.strip()]
        return _agreed(self.name, expected, _answered(lines[-1] if lines else b"", "Hash"))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


class PinataStore:
    """A pinning service with Pinata's interface (`POST /pinning/pinFileToIPFS`, bearer token)."""

    def __init__(
        self, url: str, jwt: str, *, timeout: float = DEFAULT_TIMEOUT, client: httpx.AsyncClient | None = None
    ) -> None:
        self._url = checked_base(url)
        self._jwt = jwt
        self._http = ContentHttp(client, timeout=timeout)

    def __repr__(self) -> str:
        return f"PinataStore({self.name!r})"

    @property
    def name(self) -> str:
        """Kind and host."""
        return f"pinata {urlsplit(self._url).hostname}"

    async def add_file(self, name: str, data: bytes) -> Cid:
        """Pin the bytes as a file; its name helps people only and is no part of the CID."""
        expected = await asyncio.to_thread(file_cid, data)
        answer = await self._http.upload(
            f"{self._url}/pinning/pinFileToIPFS",
            file=(name, data),
            fields={"pinataOptions": '{"cidVersion":0}', "pinataMetadata": json.dumps({"name": name})},
            headers=bearer(self._jwt),
        )
        return _agreed(self.name, expected, _answered(answer, "IpfsHash"))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _answered(body: bytes, key: str) -> str:
    try:
        answer = read_json(body, limit=ANSWER_LIMIT, depth=16)
    except JsonRefused:
        answer = None
    value = answer.get(key) if isinstance(answer, dict) else None
    return value if isinstance(value, str) else ""


def _agreed(store: str, expected: Cid, answered: str) -> Cid:
    if answered != expected:
        raise StoreRejected(
            f"{store} answered CID {answered[:80]!r} for a file whose CID is {expected}",
            hint="The store must keep files with 256 KiB chunks, CIDv0 and no raw leaves.",
        )
    return expected
