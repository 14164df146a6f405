"""The content store beside the chain: files by CID, with a Kubo, a Pinata and a gateway face.

CIDs are those of `ipfs add` by default: what would give another CID is refused.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from node.errors import ContentError, ContentTooLarge
from node.localnet.gateway_face import GatewayFace
from node.localnet.kubo_face import KuboFace
from node.localnet.pinata_face import PinataFace
from node.localnet.shelf import ContentStore
from node.localnet.uploads import CORS, json_answer

__all__ = ["ContentServer", "ContentStore"]

_MOST_BODY = 16 * 1024 * 1024
"""Bytes of a body that is read whole; files are not."""


class ContentServer:
    """The store's HTTP face."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store

    def application(self) -> web.Application:
        """The application for the content port."""
        application = web.Application(client_max_size=_MOST_BODY, middlewares=[_errors])
        for face in (KuboFace(self._store), PinataFace(self._store), GatewayFace(self._store)):
            application.add_routes(face.routes())
        return application


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    if request.method == "OPTIONS":
        return web.Response(headers=CORS)
    try:
        response: web.StreamResponse = await handler(request)
    except (ContentError, ValueError) as error:
        node = request.path.startswith("/api/")
        status = 413 if isinstance(error, ContentTooLarge) else 500 if node else 400
        if request.path.startswith("/pinning/"):
            return json_answer({"error": {"reason": "BAD_REQUEST", "details": str(error)}}, status)
        return json_answer({"Message": str(error), "Code": 0, "Type": "error"}, status)
    return response
