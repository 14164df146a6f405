"""The content store as an IPFS node's RPC interface (Kubo): `POST /api/v0/...`, as far as files need it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from urllib.parse import unquote_plus

from aiohttp import web

from node.content.cid import CidHasher
from node.localnet.cid_text import version_0
from node.localnet.shelf import ContentStore, Stored
from node.localnet.uploads import CORS, json_answer, parts
from node.records import Cid

_PLAIN_ADD = {
    "cid-version": "0",
    "raw-leaves": "false",
    "hash": "sha2-256",
    "trickle": "false",
    "inline": "false",
    "chunker": "size-262144",
    "max-file-links": "174",
    "wrap-with-directory": "false",
}
"""What an `add` may ask for, since it changes the CID."""
_STREAMED = {**CORS, "X-Stream-Output": "1"}
_VERSION = "0.41.0"


class KuboFace:
    """`/api/v0/` of a node that is offline, keeps everything, and adds with the default layout only."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """What is answered."""
        handlers = {
            "add": self._add,
            "cat": _with_file(self._store, self._cat),
            "dag/export": _with_file(self._store, self._export),
            "block/get": _with_argument(self._block_get),
            "block/stat": _with_argument(self._block_stat),
            "id": self._id,
            "version": self._version,
            "pin/add": _with_file(self._store, self._pin_add),
            "pin/rm": _with_argument(self._pin_rm),
            "pin/ls": self._pin_ls,
        }
        return [web.post(f"/api/v0/{name}", handler) for name, handler in handlers.items()]

    async def _add(self, request: web.Request) -> web.StreamResponse:
        for name, plain in _PLAIN_ADD.items():
            wanted = request.query.get(name)
            if wanted not in (None, "", plain):
                return _error(f"{name}={wanted} would give another CID than the market stores", 400)
        only_hash = request.query.get("only-hash") in ("true", "1")
        lines = []
        async for part in parts(request):
            if part.is_folder:
                continue
            stored = await (_hashed(part.pieces()) if only_hash else self._store.take(part.pieces()))
            name = unquote_plus(part.filename) or stored.cid
            lines.append({"Name": name, "Hash": stored.cid, "Size": str(stored.total)})
        if not lines:
            return web.Response(status=400, text="file argument 'path' is required", headers=CORS)
        return web.Response(
            body="".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode(),
            content_type="application/json",
            headers={**CORS, "X-Chunked-Output": "1"},
        )

    async def _cat(self, request: web.Request, cid: Cid) -> web.StreamResponse:
        size = self._store.size(cid) or 0
        start = min(int(request.query.get("offset", 0)), size)
        stop = min(size, start + int(request.query.get("length", size)))
        if start < 0 or stop < start:
            return _error("offset and length cannot be negative", 500)
        headers = {**_STREAMED, "X-Content-Length": str(stop - start), "Content-Type": "text/plain"}
        return await streamed(request, self._store.pieces(cid, start, stop), headers)

    async def _export(self, request: web.Request, cid: Cid) -> web.StreamResponse:
        headers = {**_STREAMED, "Content-Type": "application/vnd.ipld.car"}
        return await streamed(request, self._store.archive(cid), headers)

    async def _block_get(self, _request: web.Request, cid: Cid) -> web.StreamResponse:
        block = await self._store.block(cid)
        if block is None:
            return _absent(cid)
        return web.Response(body=block, content_type="application/vnd.ipld.raw", headers=_STREAMED)

    async def _block_stat(self, _request: web.Request, cid: Cid) -> web.StreamResponse:
        block = await self._store.block(cid)
        return _absent(cid) if block is None else json_answer({"Key": cid, "Size": len(block)})

    async def _id(self, _request: web.Request) -> web.Response:
        known = {"ID": "localnet", "PublicKey": "", "Addresses": [], "Protocols": []}
        return json_answer({**known, "AgentVersion": f"kubo/{_VERSION}"})

    async def _version(self, _request: web.Request) -> web.Response:
        return json_answer({"Version": _VERSION, "Commit": "", "Repo": "18", "System": "localnet", "Golang": ""})

    async def _pin_add(self, _request: web.Request, cid: Cid) -> web.StreamResponse:
        return json_answer({"Pins": [cid]})

    async def _pin_rm(self, _request: web.Request, cid: Cid) -> web.StreamResponse:
        return _error(f"{cid} stays: everything is kept here", 500)

    async def _pin_ls(self, request: web.Request) -> web.StreamResponse:
        cids = self._store.cids()
        if "arg" in request.query:
            wanted = [version_0(_bare(text)) for text in request.query.getall("arg")]
            missing = [cid for cid in wanted if cid not in cids]
            if missing:
                return _error(f"path '{missing[0]}' is not pinned", 500)
            cids = wanted
        return json_answer({"Keys": {cid: {"Type": "recursive", "Name": ""} for cid in cids}})


_WithCid = Callable[[web.Request, Cid], Awaitable[web.StreamResponse]]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _with_argument(handler: _WithCid) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        text = request.query.get("arg")
        if text is None:
            return web.Response(status=400, text='argument "ipfs-path" is required', headers=CORS)
        return await handler(request, version_0(_bare(text)))

    return handle


def _with_file(store: ContentStore, handler: _WithCid) -> _Handler:
    async def handle(request: web.Request, cid: Cid) -> web.StreamResponse:
        return _absent(cid) if store.size(cid) is None else await handler(request, cid)

    return _with_argument(handle)


async def streamed(
    request: web.Request, pieces: AsyncIterator[bytes], headers: dict[str, str], status: int = 200
) -> web.StreamResponse:
    """An answer whose body comes in pieces; of a HEAD only the headers."""
    response = web.StreamResponse(status=status, headers=headers)
    try:
        await response.prepare(request)
        if request.method != "HEAD":
            async for piece in pieces:
                await response.write(piece)
        await response.write_eof()
    finally:
        # A client that has left leaves a file open otherwise, until its generator is collected.
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
    return response


async def _hashed(pieces: AsyncIterator[bytes]) -> Stored:
    total = 0

    def count(_cid: Cid, block: bytes) -> None:
        nonlocal total
        total += len(block)

    hasher = CidHasher(count)
    async for piece in pieces:
        hasher.update(piece)
    return Stored(hasher.cid(), total, known=False)


def _bare(text: str) -> str:
    return text.removeprefix("/ipfs/").rstrip("/")


def _absent(cid: Cid) -> web.Response:
    return _error(f"block was not found locally (offline): ipld: could not find {cid}", 500)


def _error(message: str, status: int) -> web.Response:
    return json_answer({"Message": message, "Code": 0, "Type": "error"}, status)
