"""Brings the files of a listing into a staging folder, going on where an earlier process was cut off.

A file under way lies in `parts` beside its note (`.json`: the ETag and checksums that the server gave with the first
bytes). Once its bytes are right and durable it is moved into `data`: what is there is whole. So the folder tells, after
any crash, what is still to be done.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from node.content.resources.checksums import expected_sums, strong
from node.content.resources.listing import Listing, RemoteFile, shown_name
from node.content.resources.part import Part
from node.content.resources.pins import sync_folder
from node.content.resources.web import Interrupted, Prepare, Refused, Web, first_of, shown, span_of
from node.errors import ResourceFailed

SLICE = 8 << 30
"""Bytes asked for at once: content networks in front of stores do not hand out the largest files in one answer."""
FRUITLESS_TRIES = 6
"""Tries of one file without a new byte before the resource is given up."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0
LEAST_PER_WINDOW = 64 << 10
"""Bytes that must come within the window of patience: a server that dribbles is asked anew."""


@dataclass(slots=True)
class Progress:
    """How far a download is. A file of unstated size counts with what has come of it."""

    bytes_total: int
    files_total: int
    bytes_current: int = 0
    files_current: int = 0


class _Changed(Exception):
    """What the server sends now is not what the part kept so far belongs to."""


class Download:
    """One listing on its way into one folder."""

    def __init__(self, web: Web, listing: Listing, staging: Path, *, prepare: Prepare, patience: float) -> None:
        self._web = web
        self._listing = listing
        self._data = staging / "data"
        self._parts = staging / "parts"
        self._prepare = prepare
        self._patience = patience
        self.progress = Progress(sum(file.size or 0 for file in listing.files), len(listing.files))

    async def run(self, parallel: int) -> None:
        """Fetch all files. Raises ResourceFailed; what has come stays for another try."""
        self._data.mkdir(exist_ok=True)
        self._parts.mkdir(exist_ok=True)
        waiting = iter(self._listing.files)

        async def work() -> None:
            for file in waiting:
                await self._one(file)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(parallel, len(self._listing.files))):
                    group.create_task(work())
        except BaseExceptionGroup as failed:
            raise first_of(failed) from None
        await asyncio.to_thread(self._settle)

    async def _one(self, file: RemoteFile) -> None:
        goal = self._data / file.name
        with suppress(FileNotFoundError, NotADirectoryError):
            status = goal.stat(follow_symlinks=False)
            if file.size is None or status.st_size == file.size:
                # Moved here only after it was checked. Where the size is unknown, so is whether it was another one's:
                # but then the fingerprint, and with it the folder, would be another.
                self._count(file, status.st_size)
                self.progress.files_current += 1
                return
        part = Part(self._parts, file)
        self._count(file, part.length())
        if file.literal is not None:
            self._start_anew(file, part)
            part.write_whole(file.literal)
            self._count(file, len(file.literal))
        else:
            await self._fetched(file, part)
        await asyncio.to_thread(part.move_to, goal)
        self.progress.files_current += 1

    def _count(self, file: RemoteFile, count: int) -> None:
        self.progress.bytes_current += count
        if file.size is None:
            self.progress.bytes_total += count

    async def _fetched(self, file: RemoteFile, part: Part) -> None:
        fruitless, anew = 0, 0
        while True:
            before, after = part.length(), 0.0
            try:
                if await self._some(file, part):
                    await self._require_right(file, part)
                    return
                trouble, status = "the server ended its answer early", None
            except Interrupted as interrupted:
                trouble, status, after = str(interrupted), interrupted.status, interrupted.after
            except _Changed:
                self._start_anew(file, part)
                anew += 1
                if anew > 1:
                    raise ResourceFailed(
                        f"{shown_name(file.name)}: what arrives does not match its checksum, or changes meanwhile",
                        hint="The source is damaged or being written to.",
                    ) from None
                continue
            fruitless = 0 if part.length() > before else fruitless + 1
            if fruitless >= FRUITLESS_TRIES:
                raise ResourceFailed(f"{shown_name(file.name)}: {trouble}", status=status, hint="Try again later.")
            if fruitless:
                await asyncio.sleep(max(min(FIRST_PAUSE * 2**fruitless, LONGEST_PAUSE, self._patience), after))

    def _start_anew(self, file: RemoteFile, part: Part) -> None:
        self._count(file, -part.length())
        part.discard()

    async def _some(self, file: RemoteFile, part: Part) -> bool:
        """Fetch on from where the part ends; whether it is whole now."""
        at = part.length()
        if file.size is not None and at >= file.size:
            return True
        try:
            async with self._web.stream(file.url, _ranged(file, part, at), prepare=self._prepare) as response:
                start = _start_of(response, file, at, part)
                if start < at:
                    self._start_anew(file, part)
                if start == 0:
                    part.note(response)
                await self._take(response, file, part)
        except Refused as refused:
            if at and refused.status in (412, 416):
                # It has no such bytes: what is kept belongs to an earlier state of the file.
                raise _Changed from None
            raise
        return part.length() == file.size or (file.size is None and _is_whole(response, part.length()))

    async def _take(self, response: httpx.Response, file: RemoteFile, part: Part) -> None:
        """Append the body, no more than the file may have."""
        length = part.length()
        window, within = time.monotonic(), 0
        with part.appended() as output:
            async for piece in response.aiter_raw():
                if length + len(piece) > file.most:
                    # More than the listing says: the server lies, and what came is no use.
                    raise ResourceFailed(
                        f"{shown(file.url)} sends more than the {file.most:,} bytes it stated",
                        hint="The source is damaged or being written to.",
                    )
                output.write(piece)
                length += len(piece)
                within += len(piece)
                self._count(file, len(piece))
                if (now := time.monotonic()) - window > self._patience:
                    if within < LEAST_PER_WINDOW:
                        raise Interrupted(f"{shown(file.url)} dribbles")
                    window, within = now, 0

    async def _require_right(self, file: RemoteFile, part: Part) -> None:
        """Compare every checksum there is. Raises _Changed where one differs."""
        wanted = expected_sums(file.sums, part.noted_sums())
        part.touch()
        if not wanted:
            return
        found = await asyncio.to_thread(part.sums, wanted)
        if any(found[name] != value for name, value in wanted.items()):
            raise _Changed

    def _settle(self) -> None:
        """Make the folders durable and see that every file is there under its own name."""
        for file in self._listing.files:
            size = (self._data / file.name).stat(follow_symlinks=False).st_size
            if file.size is not None and size != file.size:
                # A file system that folds names has put one over another.
                raise ResourceFailed(f"{shown_name(file.name)} collides with another file's name")
        for folder, _, _ in os.walk(self._data):
            sync_folder(Path(folder))
        sync_folder(self._data.parent)


def _ranged(file: RemoteFile, part: Part, at: int) -> dict[str, str]:
    headers: dict[str, str] = {}
    left = None if file.size is None else file.size - at
    if at == 0 and (left is None or left <= SLICE):
        return headers
    end = "" if left is None else str(at + min(left, SLICE) - 1)
    headers["range"] = f"bytes={at}-{end}"
    # Only with the tag of the very URL: one of a content network in front of it differs. A checksum decides anyway.
    if at and (tag := part.noted_etag()) and tag == file.etag:
        headers["if-range"] = f'"{tag}"'
    return headers


def _start_of(response: httpx.Response, file: RemoteFile, at: int, part: Part) -> int:
    """The byte at which the body begins: where the part ends, or 0. Raises _Changed for another file's bytes."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise ResourceFailed(f"{shown(file.url)} answered in an encoding that was not asked for")
    tag = strong(response.headers.get("etag", ""))
    if file.etag and tag and len(response.extensions["hops"]) == 1 and tag != file.etag:
        raise _Changed
    span = span_of(response)
    if span is None:
        if response.status_code == 206:
            raise _Changed
        return 0
    if span.start != at or (file.size is not None and span.total not in (file.size, None)):
        raise _Changed
    # Where the listing has a checksum, that decides: the copies of a content network may differ in their tags.
    if at and tag and not file.sums and part.noted_etag() and tag != part.noted_etag():
        raise _Changed
    return at


def _is_whole(response: httpx.Response, length: int) -> bool:
    """Whether a body of unstated length has ended; where a length came with the answer, whether that was reached."""
    span = span_of(response)
    stated = response.headers.get("content-length", "") if span is None else str(span.total or "")
    return not stated.isdecimal() or length == int(stated)
