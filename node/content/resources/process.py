"""The agent's side of the download helper: starts the process, answers its questions, ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import ValidationError

import node
from node.content.resources.wire import EVENT_BYTES, Answer, Event, Request
from node.errors import ResourceFailed
from node.public_network import Exempt

SILENCE = 120.0
"""Seconds without a word, of which the helper has one twice a second, after which it is given up."""
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What the helper has of the agent's environment: nothing that holds a secret."""


def helper_command() -> Sequence[str]:
    """The helper as a command. -P: the working folder must not become a source of modules."""
    return (sys.executable, "-P", "-m", "node.content.resources.helper", str(os.getpid()))


class Helper:
    """One helper process and its one request."""

    def __init__(self, process: asyncio.subprocess.Process, exempt: Exempt) -> None:
        self._process = process
        self._exempt = exempt

    async def listing(self, request: Request) -> Event:
        """Send the request; what there is. Raises ResourceFailed."""
        await self._say(request.model_dump_json())
        return await self._next("listing", _nothing)

    async def download(self, staging: Path, on_status: Callable[[Event], None]) -> None:
        """Have all files put into a folder, whole and durable. Raises ResourceFailed."""
        await self._say(Answer(staging=str(staging)).model_dump_json())
        await self._next("done", on_status)

    async def end(self) -> None:
        """End the process and see it gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _next(self, wanted: str, on_status: Callable[[Event], None]) -> Event:
        while True:
            event = await self._event()
            if event.event == wanted:
                return event
            if event.event == "failed":
                raise ResourceFailed(event.message[:2000], status=event.status, hint=event.hint[:500])
            if event.event == "may":
                await self._say(Answer(may=self._exempt(event.host, event.port)).model_dump_json())
            elif event.event == "status":
                on_status(event)
            else:
                raise ResourceFailed(f"the download helper said {event.event} out of turn")

    async def _event(self) -> Event:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(SILENCE):
                line = await self._process.stdout.readline()
            if not line:
                raise ResourceFailed("the download helper ended", hint="It may have been short of memory.")
            return Event.model_validate_json(line)
        except TimeoutError:
            raise ResourceFailed(f"the download helper was silent for {SILENCE:g} s") from None
        except (ValidationError, ValueError):
            raise ResourceFailed("the download helper makes no sense") from None

    async def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):  # its end is seen where its answer is waited for
            self._process.stdin.write(line.encode() + b"\n")
            await self._process.stdin.drain()


@asynccontextmanager
async def running_helper(exempt: Exempt) -> AsyncIterator[Helper]:
    """A helper process that is gone when the block ends, however it ends. Raises ResourceFailed."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment["PYTHONPATH"] = str(Path(node.__file__).parents[1])
    try:
        process = await asyncio.create_subprocess_exec(
            *helper_command(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # A traceback could quote a request.
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
            limit=EVENT_BYTES,
            start_new_session=True,
        )
    except OSError as error:
        raise ResourceFailed(f"the download helper cannot be started: {error.strerror or error}") from None
    helper = Helper(process, exempt)
    try:
        yield helper
    finally:
        await helper.end()


def _nothing(_event: Event) -> None:
    return
