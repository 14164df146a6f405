"""frpc in a container of the engine's, for hosts that have an image of it and no program.

It shares the host's network, because our listener is on this machine's own address, and nothing else: no capability,
a root that is read-only, one file of the host's. An agent that was killed leaves it behind; the next one's first deed
is to take it away, by its name.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import deque
from pathlib import Path
from typing import Any

import httpx

from node.errors import ServiceError
from node.retry import Retry
from node.service.frpc_process import RunningFrpc, is_news, shortened

_API = "http://engine/v1.41"
_INSIDE = "/etc/gpunode-frpc"
_TIMEOUT = 30.0
_PULL_SECONDS = 900.0
_KEPT_LINES = 50
_REMOVE = Retry(attempts=3, total=10.0, first=0.5)
_HINT = "see that service.frp.image names an image that this engine has or can pull, with frpc on its PATH"


def container_name(data: Path) -> str:
    """The container's name: another for each agent of a host, which its data folder stands for."""
    return f"gpunode-frpc-{hashlib.sha256(os.fsencode(data.absolute())).hexdigest()[:12]}"


async def image_version(image: str, engine_socket: str) -> str:
    """What there is of the image, in words; nothing is pulled. Raises ServiceError where the engine has none."""
    async with _client(engine_socket) as client:
        answer = await _ask(client, "GET", f"/images/{image}/json")
    if answer.status_code == 404:
        raise ServiceError(f"the engine has no image {image} yet", hint="docker pull " + image)
    if not answer.is_success:
        raise ServiceError(f"the engine does not tell of {image}: {_last_line(answer)}", hint=_HINT)
    return f"the image {image}"


async def remove_leftover(name: str, engine_socket: str) -> None:
    """Take away what a killed agent that ran frpc in a container left behind. Raises ServiceError."""
    async with _client(engine_socket) as client:
        await _remove(client, name)


class FrpcImage:
    """Runs an image with the configuration's folder mounted."""

    def __init__(self, image: str, engine_socket: str, *, name: str) -> None:
        self._image = image
        self._socket = engine_socket
        self._name = name

    async def start(self, config: Path) -> RunningFrpc:
        """As FrpcStarter.start."""
        client = _client(self._socket)
        try:
            await _remove(client, self._name)
            await self._have_image(client)
            identity = await self._create(client, config)
            await _call(client, "POST", f"/containers/{identity}/start")
        except BaseException:
            await client.aclose()
            raise
        return _Container(client, self._name)

    async def _have_image(self, client: httpx.AsyncClient) -> None:
        if (await _ask(client, "GET", f"/images/{self._image}/json")).status_code == 200:
            return
        name, _, tag = self._image.rpartition(":")
        if not name or "/" in tag or "@" in self._image:
            name, tag = self._image, "" if "@" in self._image else "latest"
        answer = await _ask(
            client, "POST", "/images/create", params={"fromImage": name, "tag": tag}, timeout=_PULL_SECONDS
        )
        there = await _ask(client, "GET", f"/images/{self._image}/json")
        if there.status_code != 200:
            raise ServiceError(f"the image {self._image} cannot be had: {_last_line(answer)}", hint=_HINT)

    async def _create(self, client: httpx.AsyncClient, config: Path) -> str:
        body = {
            "Image": self._image,
            "User": f"{os.geteuid()}:{os.getegid()}",
            "Entrypoint": ["frpc"],
            "Cmd": ["-c", f"{_INSIDE}/{config.name}"],
            "Labels": {"gpunode.frpc": self._name},
            "HostConfig": {
                "NetworkMode": "host",
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "PidsLimit": 256,
                "Memory": 512 * 1024**2,
                "Mounts": [{"Type": "bind", "Source": str(config.parent), "Target": _INSIDE, "ReadOnly": True}],
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
                "RestartPolicy": {"Name": "no"},
            },
        }
        made = await _call(client, "POST", "/containers/create", params={"name": self._name}, json=body)
        return str(made["Id"])


def _client(engine_socket: str) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(uds=engine_socket)
    return httpx.AsyncClient(transport=transport, base_url=_API, timeout=_TIMEOUT, trust_env=False)


class _Container:
    def __init__(self, client: httpx.AsyncClient, name: str) -> None:
        self._client = client
        self._name = name
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(self._lines)

    async def wait(self) -> str:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._read())
            answer = await _call(self._client, "POST", f"/containers/{self._name}/wait", timeout=None)
            await asyncio.wait([reading], timeout=2.0)
            reading.cancel()
        return f"frpc's container ended with status {answer.get('StatusCode')}"

    async def _read(self) -> None:
        """The newest lines: each frame of the log is a head of eight bytes and its text."""
        try:
            path = f"/containers/{self._name}/logs"
            options = {"follow": "1", "stdout": "1", "stderr": "1"}
            async with self._client.stream("GET", path, params=options, timeout=None) as answer:
                async for piece in answer.aiter_bytes():
                    for line in piece.replace(b"\x01\0\0\0", b"").replace(b"\x02\0\0\0", b"").splitlines():
                        if is_news(line):
                            self._lines.append(shortened(line[4:] if line[:2] == b"\0\0" else line))
        except httpx.HTTPError:
            return  # the log is a comfort; the engine's own health is looked at elsewhere

    async def stop(self) -> None:
        try:
            await _REMOVE.call(lambda: _remove(self._client, self._name), on=(ServiceError,))
        finally:
            await self._client.aclose()


async def _remove(client: httpx.AsyncClient, name: str) -> None:
    answer = await _ask(client, "DELETE", f"/containers/{name}", params={"force": "1", "v": "1"})
    if answer.status_code not in (204, 404, 409):
        raise ServiceError(f"the container {name} cannot be removed: {_last_line(answer)}", hint="docker rm -f " + name)


async def _call(client: httpx.AsyncClient, method: str, path: str, **rest: Any) -> dict[str, Any]:
    """The engine's answer. Raises ServiceError."""
    answer = await _ask(client, method, path, **rest)
    if not answer.is_success:
        raise ServiceError(f"the engine does not run frpc: {_last_line(answer)}", hint=_HINT)
    try:
        found = answer.json() if answer.content else {}
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


async def _ask(client: httpx.AsyncClient, method: str, path: str, **rest: Any) -> httpx.Response:
    try:
        return await client.request(method, path, **rest)
    except httpx.HTTPError as error:
        raise ServiceError(
            f"the engine does not answer: {str(error) or type(error).__name__}", hint="see engine.socket"
        ) from None


def _last_line(answer: httpx.Response) -> str:
    return answer.text.strip().rpartition("\n")[2][:300]
