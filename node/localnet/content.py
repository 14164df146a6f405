"""The content store beside the chain: files by CID, with a Kubo, a Pinata and a gateway face.

Paths: `POST /api/v0/{add,cat,block/get,block/stat,id,version,pin/add,pin/ls,pin/rm}` as a Kubo node has them,
`POST /pinning/pinFileToIPFS` and `/pinning/pinJSONToIPFS` as Pinata has them, `GET /ipfs/<cid>` as a gateway
(with `?format=raw` and `?format=car`). CIDs are those of `ipfs add` by default: what would give another CID is
refused.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from aiohttp import BodyPartReader, web

from node.base58 import b58decode
from node.content.cid import blocks, varint
from node.content.folder import LocalStore
from node.errors import ContentError
from node.records import Cid

MOST_BYTES = 256 * 1024 * 1024
"""The largest upload."""
_CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}
_HEADER = b"\xa2\x65roots\x81\xd8\x2a\x58\x23\x00%b\x67version\x01"
"""A CAR's header in CBOR: one root and version 1."""
_PLAIN_ADD = {
    "cid-version": "0",
    "raw-leaves": "false",
    "hash": "sha2-256",
    "trickle": "false",
    "chunker": "size-262144",
}
"""What an `add` may ask for, since it changes the CID."""


class ContentStore:
    """Files in a folder, found by their own CID or by that of any block of theirs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = LocalStore(folder)
        self._owner: dict[Cid, Cid] = {}
        self._size: dict[Cid, int] = {}
        for stored in folder.iterdir():
            self._index(stored.read_bytes())

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return self._folder

    async def add(self, data: bytes) -> Cid:
        """Keep a file; its CID."""
        cid = await self._files.add_file("", data)
        self._index(data)
        return cid

    def _index(self, data: bytes) -> None:
        total, root = 0, Cid("")
        names: list[Cid] = []
        for name, block in blocks(data):
            total, root = total + len(block), name
            names.append(name)
        self._size[root] = total
        for name in names:
            self._owner.setdefault(name, root)

    async def file(self, cid: Cid) -> bytes | None:
        """A file's bytes, None where it is not kept."""
        if cid not in self._size:
            return None
        return await self._files.fetch(cid, MOST_BYTES)

    async def block(self, cid: Cid) -> bytes | None:
        """One block's bytes."""
        owner = self._owner.get(cid)
        data = await self.file(owner) if owner is not None else None
        if data is None:
            return None
        return next(block for name, block in blocks(data) if name == cid)

    def cumulative_size(self, cid: Cid) -> int:
        """Bytes of all blocks of a file."""
        return self._size[cid]

    def cids(self) -> list[Cid]:
        """All files."""
        return list(self._size)


def car(cid: Cid, data: bytes) -> bytes:
    """A file as a CAR archive, version 1, root first."""
    root = b58decode(cid)
    parts = [_section(_HEADER % root)]
    parts += [_section(b58decode(name) + block) for name, block in reversed(list(blocks(data)))]
    return b"".join(parts)


def _section(body: bytes) -> bytes:
    return varint(len(body)) + body


class ContentServer:
    """The store's HTTP face."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store

    def application(self) -> web.Application:
        """The application for the content port."""
        application = web.Application(client_max_size=MOST_BYTES, middlewares=[_errors])
        router = application.router
        router.add_post("/api/v0/add", self._add)
        router.add_post("/api/v0/cat", self._cat)
        router.add_post("/api/v0/block/get", self._block_get)
        router.add_post("/api/v0/block/stat", self._block_stat)
        router.add_post("/api/v0/id", self._id)
        router.add_post("/api/v0/version", self._version)
        router.add_post("/api/v0/pin/add", self._pin_add)
        router.add_post("/api/v0/pin/rm", self._pin_rm)
        router.add_post("/api/v0/pin/ls", self._pin_ls)
        router.add_post("/pinning/pinFileToIPFS", self._pin_file)
        router.add_post("/pinning/pinJSONToIPFS", self._pin_json)
        router.add_get("/data/testAuthentication", self._authenticated)
        router.add_get("/ipfs/{cid}", self._gateway)
        router.add_route("OPTIONS", "/{any:.*}", self._options)
        return application

    async def _options(self, _request: web.Request) -> web.Response:
        return web.Response(headers={**_CORS, "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS"})

    # --- Kubo

    async def _add(self, request: web.Request) -> web.Response:
        for name, plain in _PLAIN_ADD.items():
            wanted = request.query.get(name)
            if wanted not in (None, "", plain):
                return _kubo_error(f"{name}={wanted} would give another CID than the market stores", 400)
        if _flag(request, "wrap-with-directory") or _flag(request, "only-hash"):
            return _kubo_error("wrap-with-directory and only-hash are not offered here", 400)
        lines = []
        for name, data in await _parts(request):
            cid = await self._store.add(data)
            lines.append({"Name": name or cid, "Hash": cid, "Size": str(self._store.cumulative_size(cid))})
        if not lines:
            return _kubo_error("file argument 'path' is required", 400)
        return web.Response(
            text="".join(json.dumps(line) + "\n" for line in lines),
            content_type="application/json",
            headers=_CORS,
        )

    async def _cat(self, request: web.Request) -> web.Response:
        cid = _argument(request)
        data = await self._store.file(cid)
        if data is None:
            return _kubo_error(f"block was not found locally (offline): ipld: could not find {cid}", 500)
        offset, length = int(request.query.get("offset", 0)), request.query.get("length")
        part = data[offset:] if length is None else data[offset : offset + int(length)]
        return web.Response(body=part, content_type="text/plain", headers=_CORS)

    async def _block_get(self, request: web.Request) -> web.Response:
        block = await self._store.block(_argument(request))
        if block is None:
            return _kubo_error(f"ipld: could not find {_argument(request)}", 500)
        return web.Response(body=block, content_type="application/octet-stream", headers=_CORS)

    async def _block_stat(self, request: web.Request) -> web.Response:
        block = await self._store.block(_argument(request))
        if block is None:
            return _kubo_error(f"ipld: could not find {_argument(request)}", 500)
        return _json({"Key": _argument(request), "Size": len(block)})

    async def _id(self, _request: web.Request) -> web.Response:
        return _json(
            {
                "ID": "localnet",
                "PublicKey": "",
                "Addresses": [],
                "AgentVersion": "kubo/0.41.0",
                "Protocols": [],
            }
        )

    async def _version(self, _request: web.Request) -> web.Response:
        return _json({"Version": "0.41.0", "Commit": "", "Repo": "16", "System": "localnet", "Golang": ""})

    async def _pin_add(self, request: web.Request) -> web.Response:
        cid = _argument(request)
        if await self._store.file(cid) is None:
            return _kubo_error(f"pin: block was not found locally (offline): ipld: could not find {cid}", 500)
        return _json({"Pins": [cid]})

    async def _pin_rm(self, request: web.Request) -> web.Response:
        return _kubo_error(f"{_argument(request)} stays: everything is kept here", 500)

    async def _pin_ls(self, _request: web.Request) -> web.Response:
        return _json({"Keys": {cid: {"Type": "recursive"} for cid in self._store.cids()}})

    # --- Pinata

    async def _pin_file(self, request: web.Request) -> web.Response:
        parts = await _parts(request, only="file")
        if len(parts) != 1:
            return _json({"error": {"reason": "BAD_REQUEST", "details": "exactly one `file` is needed"}}, 400)
        return await self._pinned(parts[0][1])

    async def _pin_json(self, request: web.Request) -> web.Response:
        raw = await request.read()
        try:
            document = json.loads(raw, parse_float=_js_number)
        except (ValueError, RecursionError):
            return _json({"error": {"reason": "BAD_REQUEST", "details": "the body is not JSON"}}, 400)
        if isinstance(document, dict) and "pinataContent" in document:
            document = document["pinataContent"]
        # The service stores JSON written anew without spaces, as JavaScript does it.
        return await self._pinned(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())

    async def _pinned(self, data: bytes) -> web.Response:
        known = set(self._store.cids())
        cid = await self._store.add(data)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body: dict[str, Any] = {
            "IpfsHash": cid,
            "PinSize": self._store.cumulative_size(cid),
            "Timestamp": now,
        }
        if cid in known:
            body["isDuplicate"] = True
        return _json(body)

    async def _authenticated(self, _request: web.Request) -> web.Response:
        return _json({"message": "Congratulations! You are communicating with the Pinata API!"})

    # --- gateway

    async def _gateway(self, request: web.Request) -> web.Response:
        cid = Cid(request.match_info["cid"])
        wanted = _format(request)
        headers = {
            **_CORS,
            "Cache-Control": "public, max-age=29030400, immutable",
            "X-Ipfs-Path": f"/ipfs/{cid}",
        }
        data = await (self._store.block(cid) if wanted == "raw" else self._store.file(cid))
        if data is None:
            return web.Response(status=404, text=f"ipfs: could not find {cid}\n", headers=_CORS)
        if wanted == "car":
            return web.Response(
                body=car(cid, data),
                content_type="application/vnd.ipld.car",
                headers={**headers, "Etag": f'"{cid}.car"'},
            )
        kind = "application/vnd.ipld.raw" if wanted == "raw" else _content_type(data)
        return web.Response(body=data, content_type=kind, headers={**headers, "Etag": f'"{cid}"'})


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except (ContentError, ValueError) as error:
        return _kubo_error(str(error), 500 if request.path.startswith("/api/") else 400)
    return response


def _format(request: web.Request) -> str:
    named = request.query.get("format")
    if named is not None:
        return named
    accept = request.headers.get("Accept", "")
    if "application/vnd.ipld.car" in accept:
        return "car"
    return "raw" if "application/vnd.ipld.raw" in accept else ""


def _content_type(data: bytes) -> str:
    try:
        text = data[:4096].decode()
    except UnicodeDecodeError as error:
        if error.start < min(len(data), 4096) - 4:
            return "application/octet-stream"
        text = data[: error.start].decode()
    return "application/json" if text.lstrip()[:1] in ("{", "[") else "text/plain"


def _js_number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


def _argument(request: web.Request) -> Cid:
    return Cid(request.query.get("arg", "").removeprefix("/ipfs/"))


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "false") in ("true", "1", "")


async def _parts(request: web.Request, only: str | None = None) -> list[tuple[str, bytes]]:
    """The files of a multipart body: name and bytes."""
    if not request.content_type.startswith("multipart/"):
        return []
    found: list[tuple[str, bytes]] = []
    async for part in await request.multipart():
        if isinstance(part, BodyPartReader) and (only is None or part.name == only):
            if part.headers.get("Content-Type") == "application/x-directory":
                continue
            found.append((part.filename or "", bytes(await part.read(decode=True))))
    return found


def _json(body: Any, status: int = 200) -> web.Response:
    return web.json_response(body, status=status, headers=_CORS)


def _kubo_error(message: str, status: int) -> web.Response:
    return _json({"Message": message, "Code": 0, "Type": "error"}, status)
