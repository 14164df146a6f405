"""HTTP over the engine's unix socket, for everything that streams or waits.

Short calls go through docker-py in a few threads; a log, a wait or a pull lasts as long as a job does, and one
thread for each would cost a host with many lanes hundreds of threads.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx

from node.bounded_json import read_json
from node.errors import EngineRejected, EngineUnavailable, SettingsError

DEFAULT_SOCKET = Path("/var/run/docker.sock")
_MAX_ERROR_BYTES = 64 * 1024
_MAX_LINE_BYTES = 4 * 1024 * 1024
_MAX_JSON_BYTES = 64 * 1024 * 1024


def socket_path(setting: str | None = None) -> Path:
    """The engine's socket: the setting, else DOCKER_HOST, else Docker's default.

    Raises SettingsError for anything but a unix socket: an engine elsewhere has other files, GPUs and disks than
    this host reports.
    """
    value, where = (setting, "engine.socket") if setting else (os.environ.get("DOCKER_HOST"), "DOCKER_HOST")
    if not value:
        return DEFAULT_SOCKET
    if value.startswith("unix://"):
        return Path(value.removeprefix("unix://"))
    if "://" in value:
        raise SettingsError(
            f"{where} is {value!r}, but only a local engine can run jobs",
            hint="use unix:///path/to/docker.sock",
        )
    return Path(value)


def unavailable(socket: Path, error: BaseException) -> EngineUnavailable:
    """The error for an engine that gave no answer, with what to do about it."""
    text = f"{error} {error.__cause__ or ''} {error.__context__ or ''}"
    if "Permission denied" in text or (socket.exists() and not os.access(socket, os.R_OK | os.W_OK)):
        hint = f"add the user to the group that owns {socket} (usually `usermod -aG docker USER`) and log in again"
    elif not socket.exists():
        hint = f"{socket} does not exist: install Docker or start it (`systemctl start docker`)"
    else:
        hint = "see whether the engine runs (`systemctl status docker`)"
    return EngineUnavailable(f"the container engine at {socket} does not answer: {_reason(error)}", hint=hint)


def _reason(error: BaseException) -> str:
    """The operating system's words, which HTTP clients wrap in several errors of their own."""
    seen: BaseException | None = error
    while seen is not None:
        nested = next((each for each in (seen, *_nested(seen)) if isinstance(each, OSError) and each.strerror), None)
        if nested is not None:
            return str(nested.strerror)
        seen = seen.__cause__ or seen.__context__
    return str(error) or type(error).__name__


def _nested(error: BaseException) -> list[BaseException]:
    """Errors among an error's arguments, at any depth."""
    inner = [each for each in error.args if isinstance(each, BaseException)]
    return [*inner, *(deeper for each in inner for deeper in _nested(each))]


class EngineTransport:
    """An HTTP client bound to one engine socket. Bodies are read as they arrive, with bounded memory."""

    def __init__(self, socket: Path, *, quiet_limit: float = 60.0) -> None:
        self.socket = socket
        self._quiet_limit = quiet_limit
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket), limits=httpx.Limits(max_connections=None)),
            base_url="http://engine",
            timeout=httpx.Timeout(quiet_limit, connect=10.0),
        )

    async def post(self, path: str, params: Mapping[str, str], *, patience: float | None) -> dict[str, Any]:
        """POST without a body; the JSON object answered, empty if none. `patience`: seconds, None without limit."""
        limit = httpx.Timeout(patience, connect=10.0)
        with self._mapped():
            response = await self._client.post(path, params=dict(params), timeout=limit)
        _raise_for(response.status_code, response.content)
        return _object(response.content) if response.content.strip() else {}

    async def get(self, path: str, params: Mapping[str, str]) -> dict[str, Any]:
        """GET of a JSON object that the engine may take its time for."""
        with self._mapped():
            response = await self._client.get(path, params=dict(params))
        _raise_for(response.status_code, response.content)
        return _object(response.content)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        *,
        quiet: float | None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Body chunks of a long answer. `quiet`: seconds without a byte before it counts as lost, None for ever."""
        limit = httpx.Timeout(quiet, connect=10.0)
        with self._mapped():
            async with self._client.stream(
                method, path, params=dict(params), headers=dict(headers or {}), timeout=limit
            ) as response:
                if response.status_code >= 300:
                    _raise_for(response.status_code, await _bounded(response))
                yield response.aiter_raw()

    @asynccontextmanager
    async def flood(
        self, path: str, params: Mapping[str, str], *, quiet: float | None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Like `stream` with GET, for bodies of millions of tiny chunks: what has arrived comes in one piece.

        Another client library than elsewhere: its parser is native, and handles a log ten times as fast.
        """
        limit = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=quiet)
        with self._mapped():
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.UnixConnector(str(self.socket)), timeout=limit, auto_decompress=False
                ) as session,
                session.get(f"http://engine{path}", params=dict(params), allow_redirects=False) as response,
            ):
                if response.status >= 300:
                    _raise_for(response.status, await response.content.read(_MAX_ERROR_BYTES))
                yield response.content.iter_any()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, aiohttp.ClientError, TimeoutError) as error:
            raise unavailable(self.socket, error) from error


async def json_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """The JSON objects of a stream, one to a line (blank lines are skipped)."""
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        *lines, rest = bytes(buffer).split(b"\n")
        buffer = bytearray(rest)
        if len(buffer) > _MAX_LINE_BYTES:
            raise EngineRejected("the engine sent a line without end", status=200, hint="restart the engine")
        for line in filter(None, map(bytes.strip, lines)):
            yield _object(line)
    if buffer.strip():
        yield _object(bytes(buffer))


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = read_json(line, limit=_MAX_JSON_BYTES)
    except ValueError as error:
        raise EngineRejected("the engine sent no JSON", status=200, hint="is this a Docker engine's socket?") from error
    return value if isinstance(value, dict) else {}


async def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > _MAX_ERROR_BYTES:
            break
    return bytes(body)


def _raise_for(status: int, body: bytes) -> None:
    if status < 300 or status == 304:
        return
    try:
        message = str(read_json(body, limit=_MAX_JSON_BYTES)["message"])
    except (ValueError, KeyError, TypeError):
        message = body[:500].decode("utf-8", "replace").strip() or "no reason given"
    raise EngineRejected(message, status=status, hint=rejection_hint(status, message))


def rejection_hint(status: int, message: str) -> str:
    """What a person can do about a refused request."""
    lower = message.lower()
    if "could not select device driver" in lower:
        return "install the NVIDIA Container Toolkit and restart the engine"
    if "no space left" in lower:
        return "free disk space on the engine's data folder"
    if "address pool" in lower or "ipv4 pool" in lower:
        return "remove unused networks (`docker network prune`) or widen the engine's default-address-pools"
    if "unknown or invalid runtime name" in lower or "unknown runtime" in lower:
        return "add the runtime to the engine's daemon.json or set the lane's runtime to runc"
    return "see the engine's log (`journalctl -u docker`)" if status >= 500 else ""
