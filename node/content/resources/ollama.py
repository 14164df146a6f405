"""Ollama: a model of a registry, laid out on disk as Ollama keeps it.

The registry's protocol is that of container images (version 2): a manifest names blobs by their SHA-256. Ollama finds
a model under `manifests/HOST/NAMESPACE/NAME/TAG` and its blobs under `blobs/sha256-…`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from node.content.resources.checksums import is_sum
from node.content.resources.listing import RemoteFile, shown_name
from node.content.resources.web import Call, Interrupted, Web, as_is, document, shown
from node.content.resources.wire import Request
from node.errors import ResourceFailed
from node.retry import Retry

MANIFEST_BYTES = 1 << 20
MANIFEST_SECONDS = 60.0
MOST_BLOBS = 1000
OLLAMA_HOST = "registry.ollama.ai"
"""The host's name on disk of models that are named without one, whatever server stands in for it."""
LISTING = Retry(attempts=5, total=120, first=0.5, longest=15.0)
_KIND = "application/vnd.docker.distribution.manifest.v2+json"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}(:[0-9]{1,5})?")


class OllamaSource:
    """One model."""

    def __init__(self, web: Web, request: Request) -> None:
        self._web = web
        self._request = request

    def prepare(self, url: str, headers: Mapping[str, str]) -> Call:
        """Registries of models are open."""
        return as_is(url, headers)

    async def files(self) -> list[RemoteFile]:
        """Manifest and blobs as Ollama names them. Raises ResourceFailed or Interrupted."""
        host, path, tag = _named(self._request.model)
        base = f"{f'https://{host}' if host else self._request.server}/v2/{path}"
        url = f"{base}/manifests/{tag}"
        body, headers = await LISTING.call(
            lambda: self._web.read(url, {"accept": _KIND}, limit=MANIFEST_BYTES, seconds=MANIFEST_SECONDS),
            on=(Interrupted,),
        )
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if headers.get("docker-content-digest", digest) != digest:
            raise ResourceFailed(f"{shown(url)} does not match its digest", hint="The source is damaged.")
        kept = f"manifests/{host or OLLAMA_HOST}/{path}/{tag}"
        blobs = [_blob(base, row, url) for row in _rows(document(body, MANIFEST_BYTES, url), url)]
        return [*blobs, RemoteFile(kept, size=len(body), literal=body)]


def _named(model: str) -> tuple[str, str, str]:
    """Host (empty: the default), path and tag of `[HOST/][NAMESPACE/]NAME[:TAG]`. Raises ResourceFailed."""
    name, colon, tag = model.rpartition(":")
    if not colon or "/" in tag:
        name, tag = model, "latest"
    parts = name.split("/")
    host = parts.pop(0) if len(parts) == 3 else ""
    if len(parts) == 1:
        parts.insert(0, "library")
    fine = len(parts) == 2 and all(_PART.fullmatch(part) and ".." not in part for part in (*parts, tag))
    if not fine or (host and (not _HOST.fullmatch(host) or ".." in host)):
        raise ResourceFailed(f"{shown_name(model)} is no name of a model", hint="Write it like llama3.2:1b.")
    return host, "/".join(parts), tag


def _rows(manifest: object, url: str) -> list[dict[str, object]]:
    if isinstance(manifest, dict):
        layers, config = manifest.get("layers"), manifest.get("config")
        rows = [config, *layers] if isinstance(layers, list) else []
        if 0 < len(rows) <= MOST_BLOBS and all(isinstance(row, dict) for row in rows):
            return rows
    raise ResourceFailed(f"{shown(url)} is no manifest of a model", hint="Check the model's name.")


def _blob(base: str, row: Mapping[str, object], url: str) -> RemoteFile:
    digest, size = row.get("digest"), row.get("size")
    algorithm, _, value = digest.partition(":") if isinstance(digest, str) else ("", "", "")
    if algorithm != "sha256" or not is_sum("sha256", value) or not isinstance(size, int) or not 0 <= size < 1 << 60:
        raise ResourceFailed(f"{shown(url)} names a blob without digest or size")
    return RemoteFile(f"blobs/sha256-{value}", f"{base}/blobs/sha256:{value}", size, sums={"sha256": value})
