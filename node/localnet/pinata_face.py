"""The content store as the pinning service that the network's clients speak with (Pinata).

Any token is taken. What would give another CID than the market can hold is refused.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from node.localnet import script_json
from node.localnet.shelf import ContentStore, Stored
from node.localnet.uploads import CORS, json_answer, parts

_MOST_FIELD = 64 * 1024


class PinataFace:
    """`/pinning/pinFileToIPFS`, `/pinning/pinJSONToIPFS` and `/data/testAuthentication`."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """What is answered."""
        return [
            web.post("/pinning/pinFileToIPFS", self._pin_file),
            web.post("/pinning/pinJSONToIPFS", self._pin_json),
            web.get("/data/testAuthentication", self._authenticated),
        ]

    async def _pin_file(self, request: web.Request) -> web.Response:
        stored: list[Stored] = []
        wanted = ""
        async for part in parts(request):
            if part.name == "file":
                stored.append(await self._store.take(part.pieces()))
            elif part.name == "pinataOptions":
                wanted = _refused(await part.text(_MOST_FIELD))
        if wanted:
            return _bad(wanted)
        if len(stored) != 1:
            return _bad("exactly one `file` is needed")
        return _pinned(stored[0])

    async def _pin_json(self, request: web.Request) -> web.Response:
        raw = await request.read()
        try:
            document = script_json.parsed(raw)
            if isinstance(document, dict) and "pinataContent" in document:
                wanted = _refused(json.dumps(document.get("pinataOptions", {})))
                if wanted:
                    return _bad(wanted)
                document = document["pinataContent"]
            body = script_json.written(document)
        except (ValueError, RecursionError):
            return _bad("the body is not JSON")

        async def whole() -> AsyncIterator[bytes]:
            yield body

        return _pinned(await self._store.take(whole()))

    async def _authenticated(self, _request: web.Request) -> web.Response:
        return json_answer({"message": "Congratulations! You are communicating with the Pinata API!"})


def _refused(options: str) -> str:
    """Why a pin with these options is refused, empty if it is not."""
    try:
        known = json.loads(options)
    except (ValueError, RecursionError):
        return "pinataOptions is not JSON"
    if not isinstance(known, dict):
        return "pinataOptions is no object"
    if known.get("cidVersion") not in (None, 0) or known.get("wrapWithDirectory"):
        return "cidVersion 1 and wrapWithDirectory would give another CID than the market stores"
    return ""


def _pinned(stored: Stored) -> web.Response:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body: dict[str, Any] = {"IpfsHash": stored.cid, "PinSize": stored.total, "Timestamp": now}
    if stored.known:
        body["isDuplicate"] = True
    return json_answer(body)


def _bad(details: str) -> web.Response:
    return web.json_response({"error": {"reason": "BAD_REQUEST", "details": details}}, status=400, headers=CORS)
