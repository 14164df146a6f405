"""The one route of the network's back end. It may ask the legacy node for a benchmark's prediction; this node runs no
benchmarks for a back end, and says so to who proves to be it. Source: Nosana node (legacy), its guard and its keys."""

from __future__ import annotations

from aiohttp import web

from node.api.owner.auth import SOCKET_EXPIRY, Unauthorized, verify
from node.api.owner.gate import Context, text, unauthorized_text
from node.records import Address

BACK_ENDS = (
    Address("FEEw3nDocYSyrLT4HPjibjYuaNekakWNmasNvEx3nHKi"),
    Address("3R1YEz9crQR3tRbtSAuufjSsjQXMqtDr1D4f1YprMUSE"),
)
"""Keys of the main and of the developers' network."""
HEADER = "x-session-id"
NOT_OFFERED = "this node runs no benchmarks for a back end"


async def validate(context: Context, request: web.Request, back_ends: tuple[Address, ...] = BACK_ENDS) -> web.Response:
    """401 to everybody but the back end, and 501 to that."""
    refused = Unauthorized()
    for key in back_ends:
        try:
            verify(request.headers.get(HEADER), key, accepted=None, expiry=SOCKET_EXPIRY, now_ms=context.now_ms)
        except Unauthorized as error:
            refused = error
        else:
            return text(501, NOT_OFFERED)
    return text(401, unauthorized_text(refused))
