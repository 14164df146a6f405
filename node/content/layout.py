"""Getting a file by its blocks from one server: the root first, then an archive, then what is missing one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from node.content.assembly import Assembly
from node.content.car import CarReader
from node.content.cid import cid_to_hash32
from node.content.dag import Link, Malformed, NotFile, block_name
from node.errors import (
    ContentError,
    ContentMismatch,
    ContentNotFile,
    ContentTooLarge,
    ContentUnavailable,
)
from node.records import Cid

BLOCK_LIMIT = 4 << 20
"""Bytes of one block; IPFS nodes exchange none above 2 MiB."""
AT_ONCE = 4
"""Blocks asked for at the same time."""


class BlockServer(Protocol):
    """A server that has blocks. What it sends is not checked yet."""

    @property
    def name(self) -> str:
        """Kind and host."""
        ...

    async def archive(self, cid: Cid, take: Callable[[bytes], None], limit: int) -> None:
        """The file's blocks as a CAR, piece by piece. Raises ContentUnavailable or ContentTooLarge."""
        ...

    async def block(self, name: str, limit: int) -> bytes:
        """The block of a CID. Raises ContentUnavailable or ContentTooLarge."""
        ...


async def assembled(server: BlockServer, cid: Cid, limit: int, problem: ContentError, seconds: float) -> bytes:
    """The file of a CIDv0, put together from checked blocks.

    `problem` is why the plain answer did not do; it is raised where the server has no blocks either. Raises
    ContentNotFile for a directory, ContentTooLarge for a file above `limit` bytes, ContentMismatch for blocks that
    are wrong or make no file, ContentUnavailable after `seconds`.
    """
    getting = _Getting(server, cid, limit)
    try:
        async with asyncio.timeout(seconds):
            return await getting.file()
    except TimeoutError:
        raise ContentUnavailable(f"{server.name} did not give the blocks of {cid} within {seconds:g} s") from None
    except NotFile as error:
        raise ContentNotFile(
            f"{cid} names no file that can be read: {error}",
            hint="No source can do better; what it names must be added as a file.",
        ) from None
    except Malformed as error:
        if not getting.served:
            raise _with(problem, str(error)) from None
        raise ContentMismatch(
            f"{server.name} served bytes that are not {cid} ({error})",
            hint="The source is broken or lies; use another one.",
        ) from None


def _with(problem: ContentError, reason: str) -> ContentError:
    return type(problem)(f"{problem.message} ({reason})", hint=problem.hint)


class _Getting:
    """One file on its way."""

    def __init__(self, server: BlockServer, cid: Cid, limit: int) -> None:
        self._server = server
        self._cid = cid
        self._limit = limit
        self._assembly = Assembly(cid_to_hash32(cid), limit)
        self.served = False
        """Whether the server gave at least one right block."""

    async def file(self) -> bytes:
        """The checked bytes."""
        root = self._assembly.root
        by_block = await self._block(root) is None
        if by_block:
            self._check_size()
            if not self._missing([root]):
                return await self._put_together()
        no_archive = await self._archive()
        if self._assembly.has(root):
            self._check_size()
        if by_block:
            await self._fill()
        try:
            return await self._put_together()
        except NotFile:
            raise
        except Malformed as error:
            raise Malformed(f"{error}; {no_archive}" if no_archive else str(error)) from None

    async def _put_together(self) -> bytes:
        return await asyncio.to_thread(self._assembly.file)

    def _check_size(self) -> None:
        """Spare the transfer of a file that says itself that it is too large."""
        size = self._assembly.root_size()
        if size is not None and size > self._limit:
            raise ContentTooLarge(
                f"{self._cid} has {size:,} bytes, more than {self._limit:,}",
                hint="Raise the limit if such content is wanted.",
            )

    def _keep(self, link: Link, block: bytes) -> None:
        self._assembly.keep(link, block)
        self.served = True

    async def _archive(self) -> str:
        """Take what the server's archive holds; what was wrong with it, if anything was.

        What came before an archive was cut is kept: each block was checked by itself.
        """
        reader = CarReader(self._keep)
        try:
            # Each block is counted as it is kept; this bounds what holds none.
            await self._server.archive(self._cid, reader.feed, 2 * self._assembly.room)
            reader.close()
        except (ContentUnavailable, ContentTooLarge) as error:
            return f"no archive: {error.message}"
        except Malformed as error:
            return f"no archive: {error}"
        return ""

    async def _fill(self) -> None:
        """Ask for every block that is not here yet, level by level."""
        level: list[Link] = [self._assembly.root]
        seen = set(level)
        while level:
            missing = self._missing_of(level)
            for first in range(0, len(missing), AT_ONCE):
                await self._blocks(missing[first : first + AT_ONCE])
            level = [link for link in self._assembly.links(level) if link not in seen]
            seen.update(level)

    async def _blocks(self, links: Sequence[Link]) -> None:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._block(link)) for link in links]
        for task in asked:
            error = task.result()
            if error is not None:
                raise error

    def _missing_of(self, links: Sequence[Link]) -> list[Link]:
        return [link for link in links if not self._assembly.has(link)]

    def _missing(self, level: list[Link]) -> list[Link]:
        return self._missing_of(self._assembly.links(level))

    async def _block(self, link: Link) -> Malformed | ContentTooLarge | None:
        """Ask for one block and keep it; why it could not be had."""
        name = block_name(link.codec, link.digest)
        try:
            self._keep(link, await self._server.block(name, min(BLOCK_LIMIT, self._assembly.room)))
        except ContentUnavailable as error:
            return Malformed(f"block {name} is missing: {error.message}")
        except ContentTooLarge:
            return ContentTooLarge(f"the blocks of {self._cid} have more bytes than a file of {self._limit:,} needs")
        except Malformed as error:
            return error
        return None
