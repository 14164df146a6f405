"""One endpoint's faults: what happens to its requests and to their answers."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, TypeVar

from aiohttp import web

from node.localnet.faults.board import Applied, Board
from node.localnet.faults.kinds import Cut, Delay, Down, HttpAnswer, Lag, Moment, RateLimit, Refusal, RequestFault
from node.localnet.faults.sockets import Sockets
from node.localnet.rpc.context import Method, Methods
from node.localnet.rpc.errors import RpcError
from node.localnet.rpc.params import Params
from node.localnet.validator import Validator
from node.retry import Clock, sleep_or

OWN = "localnet_"
"""How the localnet's own methods begin. No fault touches them, or there would be no way to clear it."""
_UNHEALTHY = -32005
_HEALTHY_DISTANCE = 128
"""Slots a node may be behind the cluster and still call itself healthy (its default)."""
_WORDS = {
    -32004: "Block not available for slot",
    _UNHEALTHY: "Node is unhealthy",
    -32014: "Block status not yet available for slot",
    -32016: "Minimum context slot has not been reached",
    -32601: "Method not found",
    -32602: "Invalid params",
    -32603: "Internal error",
    429: "Too many requests for a specific RPC call",
}
R = TypeVar("R", bound=RequestFault)


class Endpoint:
    """What stands between the listening ports with one number and the chain.

    `serving` is told the endpoint's number before each method is called.
    """

    def __init__(
        self, number: int, validator: Validator, board: Board, clock: Clock, serving: Callable[[int], None]
    ) -> None:
        self._number = number
        self._validator = validator
        self._board = board
        self._clock = clock
        self._serving = serving
        self._answered: dict[int, deque[float]] = {}
        """Number of a rate limit -> when requests were let through."""
        self.sockets = Sockets(number, validator, board, self.shown)

    # --- HTTP

    async def handle(self, request: web.Request, body: bytes, answer: Callable[[], web.Response]) -> web.StreamResponse:
        """Answer a request, or do what the faults of this moment do to it."""
        if self._board.empty:
            return answer()
        methods = _methods(body)
        if methods and all(name.startswith(OWN) for name in methods):
            return answer()
        if self.is_down() or self._hit(Cut, methods, "request") is not None:
            return end(request)
        await self._wait(methods, "request")
        refused = self._limited(methods)
        if refused is None:
            refused = self._status(methods)
        if refused is not None:
            return refused
        response = answer()
        await self._wait(methods, "answer")
        return response if self._hit(Cut, methods, "answer") is None else end(request)

    def health(self) -> str:
        """What a health check over HTTP says."""
        shown = self._shown_to("getHealth")
        return "ok" if shown is None or self._behind(shown) <= _HEALTHY_DISTANCE else "behind"

    def is_down(self) -> bool:
        """Whether the endpoint answers nobody."""
        return any(self._board.take(applied) for applied in self._board.live(Down, self._number))

    def _hit(self, kind: type[R], methods: Sequence[str], at: Moment | None = None) -> Applied[R] | None:
        for applied in self._board.live(kind, self._number):
            fault = applied.fault
            fits = _fits(fault, methods) and (at is None or getattr(fault, "at", at) == at)
            if fits and self._board.take(applied):
                return applied
        return None

    async def _wait(self, methods: Sequence[str], at: Moment) -> None:
        for applied in self._board.live(Delay, self._number):
            if applied.fault.at == at and _fits(applied.fault, methods) and self._board.take(applied):
                await sleep_or(self._clock, applied.fault.seconds, applied.cleared)

    def _limited(self, methods: Sequence[str]) -> web.Response | None:
        for applied in self._board.live(RateLimit, self._number):
            fault = applied.fault
            if not _fits(fault, methods) or self._allows(applied) or not self._board.take(applied):
                continue
            headers = {}
            if fault.retry_after is not None:
                headers["Retry-After"] = str(math.ceil(fault.retry_after))
            error = {"jsonrpc": "2.0", "error": {"code": 429, "message": _WORDS[429]}, "id": None}
            return web.json_response(error, status=429, headers=headers)
        return None

    def _allows(self, applied: Applied[RateLimit]) -> bool:
        now, fault = self._clock.monotonic(), applied.fault
        answered = self._answered.setdefault(applied.number, deque())
        while answered and answered[0] <= now - fault.window:
            answered.popleft()
        if len(answered) >= fault.allow:
            return False
        answered.append(now)
        return True

    def _status(self, methods: Sequence[str]) -> web.Response | None:
        applied = self._hit(HttpAnswer, methods)
        if applied is None:
            return None
        return web.Response(status=applied.fault.status, text=applied.fault.body, content_type="text/html")

    # --- methods, over HTTP and on sockets

    def guard(self, methods: Methods) -> Methods:
        """The same methods with this endpoint's faults in front of them."""
        return {name: partial(self._call, name, method) for name, method in methods.items()}

    def _call(self, name: str, method: Method, params: Params) -> Any:
        self._serving(self._number)
        if self._board.empty or name.startswith(OWN):
            return method(params)
        refusal = self._hit(Refusal, [name])
        if refusal is not None:
            fault = refusal.fault
            words = fault.message if fault.message is not None else _WORDS.get(fault.code, "Server error")
            raise RpcError(fault.code, words, fault.data)
        shown = self._shown_to(name)
        if shown is None:
            return method(params)
        behind = self._behind(shown)
        if name == "getHealth" and behind > _HEALTHY_DISTANCE:
            raise RpcError(_UNHEALTHY, f"Node is behind by {behind} slots", {"numSlotsBehind": behind})
        with self._validator.seen_at(shown):
            return method(params)

    def shown(self) -> int | None:
        """The newest slot the endpoint knows of, None where it does not lag."""
        return min((self._slot(applied.fault) for applied in self._board.live(Lag, self._number)), default=None)

    def _shown_to(self, name: str) -> int | None:
        if name == "requestAirdrop" or name.endswith("ubscribe"):
            return None
        for applied in self._board.live(Lag, self._number):
            slot = self._slot(applied.fault)
            if self._board.take(applied):
                return slot
        return None

    def _behind(self, shown: int) -> int:
        return self._validator.slots.head.slot - shown

    def _slot(self, lag: Lag) -> int:
        wanted = lag.slot if lag.slot is not None else self._validator.slots.tip - (lag.slots or 0)
        return max(wanted, self._validator.bank.oldest_view)


def _fits(fault: RequestFault, methods: Sequence[str]) -> bool:
    return not fault.methods or any(fnmatchcase(name, wanted) for name in methods for wanted in fault.methods)


def _methods(body: bytes) -> list[str]:
    """Names of the methods a request or batch asks for; none where it is no request."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return []
    entries = asked if isinstance(asked, list) else [asked]
    return [entry["method"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("method"), str)]


def end(request: web.Request) -> web.Response:
    """End the connection; the response is for nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)
