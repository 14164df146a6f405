"""A server with the routes of the Hugging Face Hub, and a second one that stands for the network that serves its bytes.

As the Hub does it: a revision names a commit, the tree of a commit comes in pages joined by Link headers, files in
large storage are redirected to another host with signed addresses, others to a relative address; private repositories
do not exist for who has no token. That this is so is proved by the Hub's own client, which the tests run against it.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_" + "x" * 34
LARGE = 1000
"""Bytes from which a file is in large storage here."""
PAGE = 2


@dataclass
class Hub:
    """The state of the server, and what it was asked."""

    files: dict[str, bytes]
    private: bool = False
    has_trees: bool = True
    """Mirrors may have none."""
    base: str = ""
    storage: str = ""
    asked: list[str] = field(default_factory=list)
    """`METHOD path [range]` of each request, at both servers."""
    leaks: list[str] = field(default_factory=list)
    """Paths at which the storage was shown a token."""
    damaged: set[str] = field(default_factory=set)
    """Files of which other bytes are served."""

    def content(self, path: str) -> bytes:
        data = self.files[path]
        return bytes([data[0] ^ 1]) + data[1:] if path in self.damaged else data


def _git(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@asynccontextmanager
async def hub_server(hub: Hub) -> AsyncIterator[Hub]:
    """The running servers."""

    def open_to(request: web.Request) -> bool:
        return not hub.private or request.headers.get("Authorization") == f"Bearer {TOKEN}"

    def refusal() -> web.Response:
        return web.json_response(
            {"error": "Repository not found"}, status=401, headers={"X-Error-Code": "RepoNotFound"}
        )

    async def revision(request: web.Request) -> web.Response:
        if not open_to(request):
            return refusal()
        if request.match_info["revision"] not in ("main", "refs/pr/1", COMMIT):
            return web.json_response(
                {"error": "Invalid rev id"}, status=404, headers={"X-Error-Code": "RevisionNotFound"}
            )
        siblings = [{"rfilename": path} for path in hub.files]
        return web.json_response({"id": "owner/name", "sha": COMMIT, "siblings": siblings, "private": hub.private})

    async def tree(request: web.Request) -> web.Response:
        if not open_to(request):
            return refusal()
        if not hub.has_trees:
            return web.Response(status=404)
        rows = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "folder"}]
        for path, data in sorted(hub.files.items()):
            row: dict[str, object] = {"type": "file", "oid": _git(data), "size": len(data), "path": path}
            if len(data) >= LARGE:
                row["lfs"] = {"oid": _sha(data), "size": len(data), "pointerSize": 134}
            rows.append(row)
        at = int(request.query.get("cursor", "0"))
        headers = {}
        if at + PAGE < len(rows):
            following = request.url.update_query(cursor=str(at + PAGE))
            headers["Link"] = f'<{following}>; rel="next"'
        return web.json_response(rows[at : at + PAGE], headers=headers)

    async def resolve(request: web.Request) -> web.StreamResponse:
        if not open_to(request):
            return refusal()
        path = request.match_info["path"]
        if path not in hub.files:
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound"})
        data = hub.files[path]
        headers = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if len(data) < LARGE:
            raw = request.rel_url.raw_path.split(f"/resolve/{request.match_info['revision']}/")[1]
            to = f"/api/resolve-cache/models/owner/name/{COMMIT}/{raw}"
            return web.Response(status=307, headers={**headers, "Location": to, "ETag": f'"{_git(data)}"'})
        linked = {"X-Linked-ETag": f'"{_sha(data)}"', "X-Linked-Size": str(len(data))}
        to = f"{hub.storage}/{_sha(data)}?signature=secret"
        return web.Response(status=302, headers={**headers, **linked, "Location": to, "ETag": '"pointer"'})

    async def cached(request: web.Request) -> web.StreamResponse:
        if not open_to(request):
            return refusal()
        path = request.match_info["path"]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{_git(hub.files[path])}"'}
        return ranged(request, hub.content(path), headers)

    async def stored(request: web.Request) -> web.StreamResponse:
        if "Authorization" in request.headers:
            hub.leaks.append(request.path)
        assert request.query["signature"] == "secret"
        path = next(path for path, data in hub.files.items() if _sha(data) == request.match_info["sha"])
        return ranged(request, hub.content(path), {"ETag": '"of-the-storage"'})

    @web.middleware
    async def noted(request: web.Request, handler: object) -> web.StreamResponse:
        hub.asked.append(f"{request.method} {request.path} {request.headers.get('Range', '')}".strip())
        return await handler(request)  # type: ignore[operator]

    front, storage = web.Application(middlewares=[noted]), web.Application(middlewares=[noted])
    front.router.add_get("/api/models/owner/name", revision)
    front.router.add_get("/api/models/owner/name/revision/{revision:.+}", revision)
    front.router.add_get(f"/api/models/owner/name/tree/{COMMIT}", tree)
    front.router.add_get("/api/models/owner/name/tree/main", tree)
    front.router.add_get("/owner/name/resolve/{revision:[^/]+}/{path:.+}", resolve)
    front.router.add_get(f"/api/resolve-cache/models/owner/name/{COMMIT}/{{path:.+}}", cached)
    storage.router.add_get("/{sha}", stored)
    async with running(front) as hub.base, running(storage) as hub.storage:
        yield hub


def ranged(request: web.Request, data: bytes, headers: dict[str, str]) -> web.StreamResponse:
    """The bytes, or the range of them that was asked for."""
    asked = request.http_range
    if asked.start is None and asked.stop is None:
        return web.Response(body=data, headers=headers)
    start, stop = asked.start or 0, min(asked.stop or len(data), len(data))
    if start >= len(data):
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    span = f"bytes {start}-{stop - 1}/{len(data)}"
    return web.Response(status=206, body=data[start:stop], headers={**headers, "Content-Range": span})


@asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[str]:
    """The address of a running server."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
