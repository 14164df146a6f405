"""Where bytes are put: an IPFS node, a pinning service, a folder.

Everything is uploaded as a file with fixed chunking and the CID is computed here; a store that answers another
CID has failed, whatever its status said.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from node.content.cid import cid_to_hash32, file_cid
from node.content.http import DEFAULT_TIMEOUT, ContentHttp, checked_base
from node.errors import ContentMismatch, ContentTooLarge, ContentUnavailable, StoreRejected
from node.marks import Mark, marked
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


class KuboStore:
    """An IPFS node's RPC interface (Kubo, `POST /api/v0/add`)."""

    def __init__(self, url: str, *, timeout: float = DEFAULT_TIMEOUT, client: httpx.AsyncClient | None = None) -> None:
        self._url = checked_base(url)
        self._http = ContentHttp(client, timeout=timeout)

    @property
    def name(self) -> str:
        """Kind and host."""
        return f"kubo {urlsplit(self._url).hostname}"

    async def add_file(self, name: str, data: bytes) -> Cid:
        """Add and pin the bytes with the node's default layout, stated so that its settings do not matter."""
        expected = await asyncio.to_thread(file_cid, data)
        answer = await self._http.upload(
            f"{self._url}/api/v0/add",
            file=(name, data),
            params={"cid-version": "0", "chunker": "size-262144", "pin": "true", "raw-leaves": "false"},
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
            headers={"authorization": f"Bearer {self._jwt}"},
        )
        return _agreed(self.name, expected, _answered(answer, "IpfsHash"))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


class LocalStore:
    """A folder with one file per CID. A file is whole or not there, also after a power cut."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        """`local`."""
        return "local"

    async def add_file(self, name: str, data: bytes) -> Cid:
        """Write the bytes durably under their CID; `name` is not kept."""
        del name
        try:
            with marked(Mark.CONTENT_KEEP):
                return await asyncio.to_thread(self._write, data)
        except OSError as error:
            raise StoreRejected(
                f"{self._folder} cannot be written: {error.strerror or error}",
                hint="Check the folder's owner, mode and free space.",
            ) from None

    async def fetch(self, cid: Cid, limit: int) -> bytes:
        """The bytes under a CID, checked. Raises ContentUnavailable, ContentMismatch or ContentTooLarge."""
        cid_to_hash32(cid)
        try:
            return await asyncio.to_thread(self._read, cid, limit)
        except FileNotFoundError:
            raise ContentUnavailable(f"{cid} is not in {self._folder}") from None
        except OSError as error:
            raise ContentUnavailable(f"{self._folder} cannot be read: {error.strerror or error}") from None

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _write(self, data: bytes) -> Cid:
        cid = file_cid(data)
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self._folder / cid)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        # The rename itself is durable only once the folder is.
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return cid

    def _read(self, cid: Cid, limit: int) -> bytes:
        with (self._folder / cid).open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise ContentTooLarge(f"{cid} in {self._folder} has more than {limit:,} bytes")
        if file_cid(data) != cid:
            raise ContentMismatch(
                f"the file {cid} in {self._folder} was changed", hint="Delete it; it is fetched again when needed."
            )
        return data


def _answered(body: bytes, key: str) -> str:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
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
