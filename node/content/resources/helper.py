"""The download helper: a process of its own for one resource, so that what a hostile server makes of it ends with it.

It reads a request and answers from standard input and writes events to standard output (`wire.py`). It ends with its
parent, holds the request's login in its memory only, and has bounds of its own on memory, open files and file size.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import resource
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Protocol

from pydantic import ValidationError

from node.content.resources.download import Download
from node.content.resources.huggingface import HubSource
from node.content.resources.listing import RemoteFile, listing_of
from node.content.resources.ollama import OllamaSource
from node.content.resources.own_host import own_closed
from node.content.resources.s3 import S3Source
from node.content.resources.web import Interrupted, Prepare, Web, first_of
from node.content.resources.wire import LINE_BYTES, Answer, Event, Request
from node.errors import ResourceFailed
from node.plan_records import ResourceKind

MEMORY_BYTES = 1 << 30
OPEN_FILES = 256
HEARTBEAT = 0.5
"""Seconds between two words on how far it is."""
LISTING_SECONDS = 1800.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_DUMPABLE = 4


class _Source(Protocol):
    async def files(self) -> list[RemoteFile]: ...

    @property
    def prepare(self) -> Prepare: ...


class _Agent:
    """The process that asked."""

    def __init__(self, reader: asyncio.StreamReader, output: BinaryIO) -> None:
        self._reader = reader
        self._output = output
        self._turn = asyncio.Lock()

    def say(self, event: Event) -> None:
        self._output.write(event.model_dump_json(exclude_defaults=True).encode() + b"\n")
        self._output.flush()

    async def line(self) -> bytes:
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            # It has gone, or has no more interest.
            os._exit(1)
        return line

    async def ask(self, event: Event) -> Answer:
        async with self._turn:
            self.say(event)
            return Answer.model_validate_json(await self.line())

    async def may(self, host: str, port: int) -> bool:
        return (await self.ask(Event(event="may", host=host, port=port))).may


def main() -> int:
    """Do what one request asks."""
    _end_with(int(sys.argv[1]))
    output = _private_stdout()
    _bound()
    os.umask(0o022)
    asyncio.run(_serve(output))
    return 0


async def _serve(output: BinaryIO) -> None:
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    agent = _Agent(reader, output)
    try:
        request = Request.model_validate_json(await agent.line())
    except (ValidationError, ValueError):
        # Without the error's text, which quotes the request.
        agent.say(Event(event="failed", message="the request for the download helper makes no sense"))
        return
    agent.say(await _outcome(request, agent))


async def _outcome(request: Request, agent: _Agent) -> Event:
    try:
        await _fetch(request, agent)
    except ResourceFailed as failed:
        return Event(event="failed", message=failed.message, hint=failed.hint, status=failed.status)
    except Interrupted as interrupted:
        return Event(event="failed", message=str(interrupted), hint="Try again later.", status=interrupted.status)
    except TimeoutError:
        return Event(event="failed", message="it takes too long", hint="The bound is resources.longest.")
    except OSError as error:
        return Event(event="failed", message=f"the files cannot be kept: {error.strerror or error}")
    except Exception as error:  # whatever a server has brought about is an answer; its text may hold what it sent
        return Event(event="failed", message=f"the download helper failed ({type(error).__name__})")
    return Event(event="done")


async def _fetch(request: Request, agent: _Agent) -> None:
    bounds = request.bounds
    web = Web(patience=bounds.patience, may=agent.may, resolve=own_closed(request.denied))
    source = _source(web, request)
    async with contextlib.aclosing(web):
        async with asyncio.timeout(min(LISTING_SECONDS, bounds.longest)):
            async with _telling(agent, None):
                files = await source.files()
        listing = listing_of(files, secrets.token_hex(16), most_files=bounds.files, most_bytes=bounds.total_bytes)
        answer = await agent.ask(
            Event(
                event="listing",
                fingerprint=listing.fingerprint,
                bytes_total=listing.total,
                files_total=len(listing.files),
            )
        )
        if answer.staging is None:
            return
        download = Download(web, listing, Path(answer.staging), prepare=source.prepare, patience=bounds.patience)
        async with asyncio.timeout(bounds.longest), _telling(agent, download):
            await download.run(bounds.parallel)


@contextlib.asynccontextmanager
async def _telling(agent: _Agent, download: Download | None) -> AsyncIterator[None]:
    """Say all the time how far it is, which is the sign of life as well."""

    async def tell() -> None:
        while True:
            agent.say(_status(download))
            await asyncio.sleep(HEARTBEAT)

    try:
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(tell())
            yield
            telling.cancel()
            agent.say(_status(download))
    except BaseExceptionGroup as failed:
        raise first_of(failed) from None


def _status(download: Download | None) -> Event:
    if download is None:
        return Event(event="status")
    now = download.progress
    return Event(
        event="status",
        bytes_total=now.bytes_total,
        bytes_current=now.bytes_current,
        files_total=now.files_total,
        files_current=now.files_current,
    )


def _source(web: Web, request: Request) -> _Source:
    if request.kind is ResourceKind.S3:
        return S3Source(web, request)
    return HubSource(web, request) if request.kind is ResourceKind.HF else OllamaSource(web, request)


def _end_with(parent: int) -> None:
    """Have this process killed when its parent ends, however that ends."""
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The login is in this process's memory: no core dump, and no look into it by others of the same user.
        library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def _bound() -> None:
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, MEMORY_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def _private_stdout() -> BinaryIO:
    """The events' own channel: what a library prints by itself goes to stderr instead of among them."""
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return events


if __name__ == "__main__":
    sys.exit(main())
