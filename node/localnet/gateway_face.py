"""The content store as an HTTP gateway: `GET /ipfs/<cid>`, with ranges, blocks and archives.

Answers are those of Kubo's gateway for files; there are no directories here.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from aiohttp import web

from node.errors import ContentError
from node.localnet.cid_text import NotKept, version_0
from node.localnet.kubo_face import streamed
from node.localnet.shelf import ContentStore
from node.localnet.uploads import CORS
from node.records import Cid

_CACHED = "public, max-age=29030400, immutable"
_SNIFFED = 4096
"""Bytes that a file's type is told by."""
_RANGE = re.compile(r" *bytes *= *(?:(\d{1,15})-(\d{0,15})|-(\d{1,15})) *(?:,|$)")


class GatewayFace:
    """`/ipfs/<cid>`."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """What is answered."""
        return [web.get("/ipfs/{cid}{rest:.*}", self._get), web.get("/ipfs/", self._nothing)]

    async def _nothing(self, _request: web.Request) -> web.StreamResponse:
        return _refusal(400, 'invalid path "/ipfs/": path does not have enough components', {})

    async def _get(self, request: web.Request) -> web.StreamResponse:
        named, rest = request.match_info["cid"], request.match_info["rest"]
        headers = {**CORS, "X-Ipfs-Path": f"/ipfs/{named}{rest}"}
        cid: Cid | None
        try:
            cid = version_0(named)
        except NotKept:
            cid = None
        except ContentError as error:
            return _refusal(400, f'invalid path "/ipfs/{named}{rest}": invalid cid: {error.message}', {})
        form = _form(request)
        block = await self._store.block(cid) if form == "raw" and cid is not None else None
        if cid is None or (block is None and (form == "raw" or self._store.size(cid) is None)):
            missing = f"block was not found locally (offline): ipld: could not find {named}"
            return _refusal(404, f"failed to resolve /ipfs/{named}{rest}: {missing}", headers)
        if rest.strip("/"):
            link = rest.strip("/").split("/")[0]
            return _refusal(404, f'failed to resolve /ipfs/{named}{rest}: no link named "{link}" under {cid}', headers)
        headers |= {"X-Ipfs-Roots": named, "Cache-Control": _CACHED}
        if form == "car":
            return await self._archive(request, named, cid, headers)
        if block is not None:
            return await self._file(request, _Block(block), headers | _attached(named, "raw", "bin"))
        return await self._file(request, await self._whole(cid), headers | self._described(request, named))

    async def _whole(self, cid: Cid) -> _File:
        size = self._store.size(cid) or 0
        head = b"".join([piece async for piece in self._store.pieces(cid, 0, min(size, _SNIFFED))])
        return _File(self._store, cid, size, _content_type(head, size))

    def _described(self, request: web.Request, named: str) -> dict[str, str]:
        headers = {"Etag": f'"{named}"'}
        filename = request.query.get("filename")
        if filename:
            kind = "attachment" if request.query.get("download") == "true" else "inline"
            headers["Content-Disposition"] = _disposition(kind, filename)
        return headers

    async def _archive(self, request: web.Request, named: str, cid: Cid, headers: dict[str, str]) -> web.StreamResponse:
        headers = headers | _attached(named, "car", "car")
        headers |= {
            "Etag": f'W/"{named}.car"',
            "Accept-Ranges": "none",
            "Content-Type": "application/vnd.ipld.car; version=1; order=dfs; dups=n",
        }
        if _is_known(request, headers["Etag"]):
            return _unchanged(headers)
        return await streamed(request, self._store.archive(cid), headers)

    async def _file(self, request: web.Request, file: _File | _Block, headers: dict[str, str]) -> web.StreamResponse:
        if _is_known(request, headers["Etag"]):
            return _unchanged(headers)
        asked = request.headers.get("Range", "")
        if request.headers.get("If-Range", headers["Etag"]) != headers["Etag"]:
            asked = ""
        if asked and _RANGE.match(asked) is None:
            return _refusal(400, "invalid range request: invalid range", {"X-Ipfs-Path": headers["X-Ipfs-Path"]})
        span = _span(asked, file.size)
        if span is None:
            kept = headers | {"Content-Range": f"bytes */{file.size}"}
            return _refusal(416, "invalid range: failed to overlap", kept)
        headers = {"Content-Type": file.kind, "Accept-Ranges": "bytes", **headers}
        start, stop = span
        headers["Content-Length"] = str(stop - start)
        if not asked:
            return await streamed(request, file.pieces(start, stop), headers)
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
        return await streamed(request, file.pieces(start, stop), headers, 206)


class _File:
    """A kept file as a body."""

    def __init__(self, store: ContentStore, cid: Cid, size: int, kind: str) -> None:
        self._store, self._cid = store, cid
        self.size, self.kind = size, kind

    def pieces(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Its bytes from `start` to before `stop`."""
        return self._store.pieces(self._cid, start, stop)


class _Block:
    """A block as a body."""

    def __init__(self, block: bytes) -> None:
        self._block = block
        self.size, self.kind = len(block), "application/vnd.ipld.raw"

    async def pieces(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Its bytes from `start` to before `stop`."""
        yield self._block[start:stop]


def _form(request: web.Request) -> str:
    """`raw`, `car`, or empty for the file; a form that is not known is passed over, as Kubo does."""
    named = request.query.get("format", "")
    if named in ("raw", "car"):
        return named
    accept = request.headers.get("Accept", "")
    if "application/vnd.ipld.car" in accept:
        return "car"
    return "raw" if "application/vnd.ipld.raw" in accept else ""


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last of the first range; None where it is beyond the end."""
    if not asked:
        return 0, size
    found = _RANGE.match(asked)
    if found is None:
        return None
    if found[3]:
        last = min(int(found[3]), size)
        return (size - last, size) if last else None
    start = int(found[1])
    stop = min(size, int(found[2]) + 1) if found[2] else size
    return (start, stop) if start < stop else None


def _unchanged(headers: dict[str, str]) -> web.Response:
    return web.Response(status=304, headers={**CORS, "X-Ipfs-Path": headers["X-Ipfs-Path"]})


def _is_known(request: web.Request, tag: str) -> bool:
    asked = [one.strip().removeprefix("W/") for one in request.headers.get("If-None-Match", "").split(",")]
    return tag.removeprefix("W/") in asked or "*" in asked


def _attached(named: str, form: str, ending: str) -> dict[str, str]:
    return {
        "Etag": f'"{named}.{form}"',
        "Content-Disposition": _disposition("attachment", f"{named}.{ending}"),
        "X-Content-Type-Options": "nosniff",
    }


def _disposition(kind: str, filename: str) -> str:
    plain = re.sub(r'[^ -~]|["\\]', "_", filename)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _refusal(status: int, said: str, headers: dict[str, str]) -> web.Response:
    return web.Response(
        status=status, text=said + "\n", headers={**CORS, "X-Content-Type-Options": "nosniff", **headers}
    )


def _content_type(head: bytes, size: int) -> str:
    if not size:
        return "text/plain"
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        # The last character may be cut.
        if error.start < len(head) - 4 or len(head) == size:
            return "application/octet-stream"
        text = head[: error.start].decode()
    start = text.lstrip()[:16].lower()
    if "\0" in text:
        return "application/octet-stream"
    if start[:1] in ("{", "["):
        return "application/json"
    return "text/html" if start.startswith(("<!doctype html", "<html")) else "text/plain; charset=utf-8"
