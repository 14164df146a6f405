"""What strangers send to the owner's API, and what pinned definitions say of how a job travels."""

from __future__ import annotations

import asyncio
import contextlib
import json

import aiohttp
from aiohttp import web

from node.api.owner.app import make_app
from node.api.owner.auth import Unauthorized, verify
from node.errors import JobError
from node.job.travel import legs_of, without_content
from node.records import Address
from node.settings_api import ApiSettings
from tests.api.owner_double import JOB, OTHER_JOB, OWNER, AgentDouble, signed
from tests.fuzz.target import Target

LOOP = asyncio.new_event_loop()
KEY = Address(str(OWNER.pubkey()))
NOW_MS = 1_800_000_000_000
OURS = {signed(JOB), signed(f"{JOB}:{NOW_MS}"), signed("Hello Nosana Node!"), signed(OTHER_JOB)}


def auth(body: bytes) -> None:
    """An auth string: only what the owner signed gets in, with whatever stands behind it."""
    text = body.decode("utf-8", "surrogateescape")
    verify(text, KEY, accepted=None, job=JOB, expiry=300, now_ms=NOW_MS)
    parts = text.split(":")
    assert any(":".join(parts[:count]) in OURS for count in (2, 3)), "somebody else's word was taken"


def frame(body: bytes) -> None:
    """A frame on a socket: the server answers with a close code, and takes the next one."""
    LOOP.run_until_complete(_frame(body))


async def _frame(body: bytes) -> None:
    client, url = await _server()
    async with client.ws_connect(url, max_msg_size=1 << 20) as socket:
        await socket.send_bytes(body)
        with contextlib.suppress(TimeoutError):
            message = await socket.receive(timeout=0.02)
            assert message.type is not aiohttp.WSMsgType.ERROR
            if message.type is aiohttp.WSMsgType.CLOSE:
                assert message.data in (1007, 1008, 1009, 1011, 3000, 3003), message.data


_served: list[tuple[aiohttp.ClientSession, str]] = []


async def _server() -> tuple[aiohttp.ClientSession, str]:
    """One server for all cases."""
    if not _served:
        runner = web.AppRunner(make_app(AgentDouble(), ApiSettings(requests=1e9)), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        _served.append((aiohttp.ClientSession(), f"http://{host}:{port}/"))
    return _served[0]


def travel(body: bytes) -> None:
    """A pinned definition, and a result of which only the end is pinned."""
    legs_of(body)
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pinned = json.loads(without_content(body))
        assert set(pinned) == {"status", "startTime", "endTime", "opStates", "errors"}
        assert pinned["opStates"] == []


def _frames() -> tuple[bytes, ...]:
    body = {"jobAddress": JOB, "group": "one", "opId": "hello", "type": "container"}
    asked = [{"path": path, "header": signed(JOB), "body": body} for path in ("/log", "/flog", "/status", "/terminal")]
    return tuple(json.dumps(each).encode() for each in asked)


def _travels() -> tuple[bytes, ...]:
    half = {"type": "api", "args": {"endpoint": "https://example.org/%%global.job%%"}}
    result = {"status": "success", "startTime": 1, "endTime": 2, "opStates": [{}], "errors": [[{"value": 1}]]}
    return json.dumps({"logistics": {"send": half, "receive": half}}).encode(), json.dumps(result).encode()


TARGETS = (
    Target(
        "owner-auth",
        auth,
        lambda: tuple(text.encode() for text in (*OURS, signed(JOB, time_ms=NOW_MS))),
        (Unauthorized,),
    ),
    Target("owner-frame", frame, _frames),
    Target("travel", travel, _travels, (JobError,)),
)
