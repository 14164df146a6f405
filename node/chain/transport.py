"""JSON-RPC over HTTP: one request to one endpoint, and what its answer means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from node.bounded_body import ACCEPTED, BodyRefused, read_body
from node.bounded_json import read_json
from node.chain.failures import failure
from node.errors import GpunodeError, RpcBehind, RpcBusy, RpcRejected, RpcUnavailable

T = TypeVar("T")

RESPONSE_LIMIT = 64 * 1024 * 1024
"""Bytes of one answer at most; the largest honest one lists every market (10 kB each)."""
_CONNECT_SECONDS = 5.0
_SLOWEST = 4.0
"""An answer that drips in may take this many times the time-out in all."""
_UNREADY_STATUS = frozenset({408, 425})
_LIMITED = 429
LONGEST_PAUSE = 60.0
"""Seconds at most for which an endpoint's wish to be left alone is obeyed."""

_PREFLIGHT = -32002
UNSERVED = frozenset({-32601, -32001, -32009, -32010, -32011})
"""Codes of an endpoint that does not serve a method, or not for this account or a block of old; another one may."""
NO_BLOCK = frozenset({-32001, -32007, -32009, -32011})
"""Codes for a block that is not there: deleted since, its slot skipped, neither kept nor in the archive, no archive."""
_NOT_YET = {
    -32004: "the block is not available yet",
    -32005: "the endpoint is behind or busy",
    -32014: "the block's status is not known yet",
    -32603: "the endpoint had an internal error",
}
"""Codes that another endpoint, or the same one later, may answer otherwise."""
_BUSY = frozenset({429, -32429})
_BEHIND = -32016


def shown(url: str) -> str:
    """A URL fit for messages: providers carry access keys in path, query and user part."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or url[:40]
        return f"{parts.scheme}://{host}:{parts.port}" if parts.port else f"{parts.scheme}://{host}"
    except ValueError:
        return "(malformed URL)"


class Endpoint:
    """One JSON-RPC server."""

    def __init__(self, url: str, client: httpx.AsyncClient, timeout: float) -> None:
        self.url = url
        self.name = shown(url)
        self._client = client
        self._total = timeout * _SLOWEST
        self._timeout = httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS))
        self._next_id = 0

    async def call(self, method: str, params: Sequence[Any], parse: Callable[[Any], T]) -> T:
        """Ask and parse the result.

        Raises RpcUnavailable (no or no usable answer), RpcRejected, or TransactionFailed (refused in preflight).
        """
        self._next_id += 1
        request = {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": list(params)}
        body = await self._post(json.dumps(request).encode())
        try:
            answer = read_json(body, limit=RESPONSE_LIMIT)
            error = answer.get("error")
            if error is None:
                return parse(answer["result"])
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as bad:
            raise RpcUnavailable(
                f"{self.name} gave an answer to {method} that cannot be understood",
                hint="Check that the URL is a Solana JSON-RPC endpoint.",
            ) from bad
        raise self._error(method, error)

    async def _post(self, body: bytes) -> bytes:
        try:
            async with (
                asyncio.timeout(self._total),
                self._client.stream(
                    "POST",
                    self.url,
                    content=body,
                    headers={"content-type": "application/json", "accept-encoding": ACCEPTED},
                    timeout=self._timeout,
                ) as response,
            ):
                return await self._read(response)
        except (httpx.TimeoutException, TimeoutError) as error:
            raise RpcUnavailable(f"{self.name} did not answer in time", hint=_HINT_DOWN) from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            why = str(error) or type(error).__name__
            raise RpcUnavailable(f"{self.name} cannot be reached: {why}", hint=_HINT_DOWN) from error

    async def _read(self, response: httpx.Response) -> bytes:
        try:
            kept = await read_body(response, RESPONSE_LIMIT)
        except BodyRefused as refused:
            raise RpcUnavailable(f"{self.name} sent {refused}", hint="Use another endpoint.") from None
        if response.status_code == _LIMITED:
            raise RpcBusy(
                f"{self.name} limits this host (HTTP 429)",
                seconds=_pause(response.headers.get("retry-after")),
                hint=_HINT_DOWN,
            )
        if response.status_code in _UNREADY_STATUS or response.status_code >= 500:
            raise RpcUnavailable(f"{self.name} answered HTTP {response.status_code}", hint=_HINT_DOWN)
        if response.status_code in (401, 403):
            raise RpcUnavailable(
                f"{self.name} refuses us with HTTP {response.status_code}",
                hint="Check the access key in the URL, or use another endpoint (`rpc.urls`).",
            )
        if response.status_code >= 300 and not kept.lstrip().startswith(b"{"):
            raise RpcUnavailable(
                f"{self.name} answered HTTP {response.status_code}",
                hint="Check that the URL is a Solana JSON-RPC endpoint.",
            )
        return kept

    def _error(self, method: str, error: Any) -> GpunodeError:
        if not isinstance(error, dict):
            return RpcUnavailable(f"{self.name} answered {method} with a malformed error", hint=_HINT_DOWN)
        code, text, data = error.get("code"), str(error.get("message", "")), error.get("data")
        if not isinstance(code, int):
            return RpcUnavailable(f"{self.name} answered {method} with a malformed error", hint=_HINT_DOWN)
        if code == _PREFLIGHT and isinstance(data, dict) and data.get("err") is not None:
            logs = data.get("logs")
            return failure(data["err"], logs if isinstance(logs, list) else ())
        if code in _BUSY:
            return RpcBusy(f"{self.name} limits this host ({text[:200]})", hint=_HINT_DOWN)
        if code == _BEHIND:
            return RpcBehind(f"{self.name} has not reached the slot asked for yet", hint=_HINT_BEHIND)
        if code in _NOT_YET:
            return RpcUnavailable(f"{self.name}: {_NOT_YET[code]} ({text[:200]})", hint=_HINT_DOWN)
        return RpcRejected(
            f"{self.name} refused {method}: {text[:300]} ({code})",
            code=code,
            data=data,
            hint="The endpoint may not serve this method; try another (`rpc.urls`).",
        )


_HINT_DOWN = "Check the network and `rpc.urls`; a public endpoint may be limiting this host."
_HINT_BEHIND = "The endpoint lags behind; it is asked again, and others in `rpc.urls` before it."


def _pause(header: str | None) -> float | None:
    """Seconds of a Retry-After header; a date, or nonsense, counts as none."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return min(seconds, LONGEST_PAUSE) if seconds >= 0 else None
