"""A folder as a place for content: one file per CID. Without the HTTP client that the other stores need."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from node.content.cid import cid_to_hash32, file_cid
from node.errors import ContentMismatch, ContentTooLarge, ContentUnavailable, StoreRejected
from node.marks import Mark, marked
from node.records import Cid


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

    async def remove(self, cid: Cid) -> None:
        """Forget what is under a CID; harmless when nothing is. Raises StoreRejected."""
        cid_to_hash32(cid)
        try:
            with marked(Mark.CONTENT_DROP):
                await asyncio.to_thread((self._folder / cid).unlink, missing_ok=True)
        except OSError as error:
            raise StoreRejected(
                f"{self._folder} cannot be written: {error.strerror or error}",
                hint="Check its owner and mode.",
            ) from None

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
