"""One question to a service, asked from this host at the container's own address: is it well?

Answers are bounded in time and size, redirects are not followed, and no proxy of the environment is used.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidURI, WebSocketException

from node.plan_records import HealthCheck, HealthCheckKind

CONNECT_SECONDS = 2.0
HTTP_SECONDS = 60.0
WEBSOCKET_SECONDS = 20.0
"""Limits of the Nosana node's own checks."""
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
MOST_BYTES = 64 * 1024
"""Of a WebSocket's first message."""


@dataclass(frozen=True, slots=True)
class CheckTimes:
    """Limits of one check, in seconds."""

    connect: float = CONNECT_SECONDS
    http: float = HTTP_SECONDS
    websocket: float = WEBSOCKET_SECONDS


async def ask(check: HealthCheck, address: str, port: int, times: CheckTimes | None = None) -> str:
    """What is wrong; empty: the check passes."""
    times = times or CheckTimes()
    place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    path = check.path if check.path.startswith("/") else "/" + check.path
    limit = times.http if check.kind is HealthCheckKind.HTTP else times.websocket
    try:
        async with asyncio.timeout(limit):
            if check.kind is HealthCheckKind.HTTP:
                return await _http(check, f"http://{place}{path}", times)
            return await _websocket(check, f"ws://{place}{path}", times)
    except TimeoutError:
        return f"no answer within {limit:g} s"


async def _http(check: HealthCheck, url: str, times: CheckTimes) -> str:
    headers = {"accept-encoding": "identity", **{name.lower(): value for name, value in check.headers}}
    content = None
    if check.body and check.method in ("POST", "PUT"):
        content, kind = _body(check.body)
        headers.setdefault("content-type", kind)
    # No check is encrypted, and a context of httpx's own would read all certificates of the system each time.
    transport = httpx.AsyncHTTPTransport(verify=_NO_TLS, retries=0, trust_env=False)
    timeout = httpx.Timeout(times.http, connect=times.connect)
    try:
        async with (
            httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False, follow_redirects=False) as client,
            client.stream(check.method, url, headers=headers, content=content) as response,
        ):
            # Only the status counts; of the body, which may be endless, nothing is read.
            status = response.status_code
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        return f"no answer: {str(error) or type(error).__name__}"[:200]
    return "" if status == check.expected_status else f"status {status}, not {check.expected_status}"


def _body(body: Any) -> tuple[bytes, str]:
    if isinstance(body, str):
        return body.encode(), "application/x-www-form-urlencoded"
    return json.dumps(body).encode(), "application/json"


async def _websocket(check: HealthCheck, url: str, times: CheckTimes) -> str:
    try:
        async with asyncio.timeout(times.connect):
            # The name is an address: what takes time here is the connection and the service's first word.
            opening = connect(
                url,
                proxy=None,
                compression=None,
                max_size=MOST_BYTES,
                max_queue=1,
                open_timeout=None,
                ping_interval=None,
                close_timeout=1.0,
                additional_headers=dict(check.headers),
                user_agent_header="gpunode",
            )
            session = await opening
    except TimeoutError:
        return f"no WebSocket within {times.connect:g} s"
    except (WebSocketException, InvalidURI, OSError, ValueError) as error:
        return f"no WebSocket: {str(error) or type(error).__name__}"[:200]
    try:
        return await _first_answer(check, session)
    finally:
        await session.close()


async def _first_answer(check: HealthCheck, session: ClientConnection) -> str:
    # What a check expects may also be the greeting itself, as the network's node compares all that comes back; of its
    # fields nothing is looked at, because short words are found in them by chance.
    greeting = session.response
    if greeting is not None and check.expected_response in f"HTTP/1.1 {greeting.status_code} {greeting.reason_phrase}":
        return ""
    try:
        message = await session.recv()
    except WebSocketException as error:
        return f"closed before it said anything: {error}"[:200]
    text = message if isinstance(message, str) else message.decode(errors="replace")
    return "" if check.expected_response in text else f"the first answer does not contain {check.expected_response!r}"
