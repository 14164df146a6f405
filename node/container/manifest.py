"""How large an image is before it is pulled, by its registry's word.

Engines do not tell: their own look at a registry gives the size of the manifest, not of the layers. So the manifest is
read here, as the engine is about to read it: from the registry in the image's name, with an anonymous token where the
registry wants one, or with a job's own login (OCI distribution specification; token flow of the Docker registry). A
registry that does not accept that, is away or answers anything odd has not told.
"""

from __future__ import annotations

import asyncio
import platform
import re
from collections.abc import Mapping
from typing import Any

import httpx

from node.bounded_body import ACCEPTED, read_body
from node.bounded_json import read_json
from node.container.reference import is_reference, split_reference
from node.container.registry_auth import basic
from node.logins import DockerLogin
from node.loopback import is_loopback
from node.public_network import Exempt, PublicTransport, nothing_exempt

PATIENCE = 15.0
"""Seconds for all that is asked about one image."""
_LIMIT = 4 * 1024 * 1024
DEFAULT_REGISTRY = "registry-1.docker.io"
_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_PARAMETER = re.compile(r'([a-z]+)="([^"]*)"')
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm"}


class Manifests:
    """Asks registries. `exempt`: which may be in a private network; `client`: one of the caller's, for tests."""

    def __init__(self, client: httpx.AsyncClient | None = None, exempt: Exempt = nothing_exempt) -> None:
        # Who names an image chooses whom this host speaks to.
        self._client = client or httpx.AsyncClient(
            timeout=PATIENCE, transport=PublicTransport(exempt=exempt), follow_redirects=False, trust_env=False
        )

    async def may_pull(self, reference: str, login: DockerLogin | None) -> bool | None:
        """Whether the registry gives the image to who logs in so (None: to anybody); None: it does not tell."""
        if not is_reference(reference):
            return None
        base, repository, version = place_of(reference)
        try:
            async with asyncio.timeout(PATIENCE):
                await _Source(self._client, base, repository, login).manifest(version)
                return True
        except _Answered as error:
            return False if error.status in (400, 401, 403, 404) else None
        except _TROUBLE:
            return None

    async def compressed_bytes(self, reference: str, login: DockerLogin | None = None) -> int | None:
        """Bytes of the image's layers as they travel, for this host's kind of processor; None: not told."""
        if not is_reference(reference):
            return None
        base, repository, version = place_of(reference)
        try:
            async with asyncio.timeout(PATIENCE):
                source = _Source(self._client, base, repository, login)
                manifest = await source.manifest(version)
                if isinstance(manifest.get("manifests"), list):
                    manifest = await source.manifest(_for_this_host(manifest["manifests"]))
                return _sum(manifest)
        except _TROUBLE:
            return None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class _Answered(ValueError):
    """A registry answered, but not with what was asked for."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


_TROUBLE = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    TimeoutError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)


class _Source:
    """One repository of one registry."""

    def __init__(self, client: httpx.AsyncClient, base: str, repository: str, login: DockerLogin | None) -> None:
        self._client = client
        self._base = base
        self._repository = repository
        self._login = login
        self._authorization = ""

    async def manifest(self, version: str) -> dict[str, Any]:
        url = f"{self._base}/v2/{self._repository}/manifests/{version}"
        status, headers, body = await self._get(url, {}, self._authorization)
        if status == 401 and not self._authorization:
            self._authorization = await self._answer_to(headers.get("www-authenticate", ""))
            status, _, body = await self._get(url, {}, self._authorization)
        if status != 200:
            raise _Answered(status)
        return _object(body)

    async def _answer_to(self, challenge: str) -> str:
        """The Authorization that this challenge wants. A login travels as the engine would send it: to the registry in
        the image's name and to where that sends for tokens, and never in clear but within this machine."""
        scheme = challenge.lower().partition(" ")[0]
        if scheme == "basic" and self._login is not None and self._is_private(self._base):
            return basic(self._login)
        told = dict(_PARAMETER.findall(challenge))
        realm = told.pop("realm", "")
        # Plain text only where the registry itself is this machine's: an answer from elsewhere must not lead into it.
        if scheme != "bearer" or not self._is_private(realm):
            raise _Answered(401)
        told["scope"] = f"repository:{self._repository}:pull"
        query = {key: told[key] for key in ("service", "scope") if key in told}
        status, _, body = await self._get(realm, query, basic(self._login) if self._login is not None else "")
        if status != 200:
            raise _Answered(status)
        answer = _object(body)
        return f"Bearer {answer.get('token') or answer['access_token']}"

    def _is_private(self, url: str) -> bool:
        return url.startswith("https://") or (is_loopback(self._base) and is_loopback(url))

    async def _get(self, url: str, query: Mapping[str, str], authorization: str) -> tuple[int, httpx.Headers, bytes]:
        headers = {"Accept": _ACCEPT, "Accept-Encoding": ACCEPTED}
        if authorization:
            headers["Authorization"] = authorization
        async with self._client.stream("GET", url, params=dict(query), headers=headers) as response:
            return response.status_code, response.headers, await read_body(response, _LIMIT)


def place_of(reference: str) -> tuple[str, str, str]:
    """Address of the registry, repository there, tag or digest."""
    repository, version = split_reference(reference)
    head, slash, rest = repository.partition("/")
    if slash and (head == "localhost" or "." in head or ":" in head):
        host, repository = head, rest
    else:
        host = "docker.io"
    if host in ("docker.io", "index.docker.io"):
        host = DEFAULT_REGISTRY
        repository = repository if "/" in repository else f"library/{repository}"
    scheme = "http" if is_loopback(f"http://{host}") else "https"
    return f"{scheme}://{host}", repository, version


def _for_this_host(manifests: list[dict[str, Any]]) -> str:
    machine = platform.machine().lower()
    wanted = _MACHINES.get(machine, machine)
    for entry in manifests:
        about = entry.get("platform") or {}
        if about.get("os") == "linux" and about.get("architecture") == wanted:
            return str(entry["digest"])
    raise LookupError("nothing for this kind of processor")


def _sum(manifest: dict[str, Any]) -> int:
    sizes = [layer["size"] for layer in manifest["layers"]]
    if not all(isinstance(size, int) and 0 <= size < 1 << 50 for size in sizes):
        raise ValueError("sizes that are none")
    return sum(sizes)


def _object(body: bytes) -> dict[str, Any]:
    value = read_json(body, limit=_LIMIT, depth=16)
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value
