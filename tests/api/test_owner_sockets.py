"""The WebSocket at the origin: log lines and states, as the network's clients read them."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from node.api.owner import sockets
from node.api.owner.port import LogFrame, LogKind, StateFrame
from tests.api.conftest import PLENTY, Serve, Served
from tests.api.owner_double import JOB, NODE, OTHER_JOB, STRANGER, line, signed


def ask(path: str, *, header: object = None, **body: object) -> str:
    """A client's frame."""
    text = signed(JOB) if header is None else header
    return json.dumps({"path": path, "header": text, "body": {"jobAddress": JOB, **body}})


class Socket:
    """One client's end."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, frame: str | bytes) -> None:
        await (self.socket.send_bytes(frame) if isinstance(frame, bytes) else self.socket.send_str(frame))

    async def frame(self) -> tuple[str, Any]:
        """Path and document of the next frame: JSON within JSON."""
        outer = json.loads(await self.socket.receive_str(timeout=5))
        assert set(outer) == {"path", "data"}
        return outer["path"], json.loads(outer["data"])

    async def close_code(self) -> int | None:
        """Why the server closed."""
        while True:
            message = await self.socket.receive(timeout=5)
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
                return self.socket.close_code


@asynccontextmanager
async def opened(served: Served, path: str = "/") -> Any:
    async with served.client.ws_connect(path, autoclose=True) as socket:
        yield Socket(socket)


HISTORY = [
    LogFrame(1, "system", "system", "Flow started\n", LogKind.INFO),
    LogFrame(2, "hello", "one", "Operation Started: hello", LogKind.INFO),
    line("first\n", 3),
    line("second\n", 4, operation="after", group="two", stream="stderr"),
    LogFrame(5, "hello", "one", "exit"),
    LogFrame(6, "system", "system", {"type": "multi-process-bar-update", "payload": {"event": {"id": "a"}}}),
]


async def test_flog_is_history_and_then_live(served: Served) -> None:
    served.agent.kept = HISTORY
    async with opened(served) as socket:
        await socket.say(ask("/flog"))
        frames = [await socket.frame() for _ in HISTORY]
        assert frames[2] == (
            "flog",
            {"opId": "hello", "group": "one", "type": "container", "timestamp": 3, "message": "first\n"},
        )
        assert frames[4] == ("flog", {"opId": "hello", "group": "one", "timestamp": 5, "message": "exit"})
        assert frames[5][1]["message"] == {"type": "multi-process-bar-update", "payload": {"event": {"id": "a"}}}
        await served.agent.live.put(line("third\n", 7))
        assert (await socket.frame())[1]["message"] == "third\n"


async def test_flog_filters(served: Served) -> None:
    served.agent.kept = HISTORY

    async def timestamps(count: int, **body: str) -> list[int]:
        async with opened(served) as socket:
            await socket.say(ask("/flog", **body))
            found = [(await socket.frame())[1]["timestamp"] for _ in range(count)]
            for frame in (line("l", 10), line("l", 11, group="two"), line("l", 12, operation="after", group="two")):
                await served.agent.live.put(frame)
            await served.agent.live.put(LogFrame(13, "hello", "one", "note", LogKind.INFO))
            await served.agent.live.put(None)
            while True:
                try:
                    found.append((await asyncio.wait_for(socket.frame(), 0.2))[1]["timestamp"])
                except TimeoutError:
                    return found

    assert await timestamps(1, group="two") == [4, 11, 12]
    assert await timestamps(2, type="container") == [3, 4, 10, 11, 12]
    # With an operation, group and type count for live lines only (Nosana node).
    assert await timestamps(3, opId="hello", group="one", type="container") == [2, 3, 5, 10]


async def test_log_gives_container_output_as_it_is(served: Served) -> None:
    served.agent.kept = HISTORY
    async with opened(served, "/any/path") as socket:
        await socket.say(ask("/log"))
        frames = [await socket.frame() for _ in HISTORY]
    assert frames[0][1] == {"method": "gpunode", "type": "info", "log": "Flow started", "job": JOB, "timestamp": 1}
    output = {"method": "NodeRepository.displayLog", "type": "log", "log": "first\n", "job": JOB, "timestamp": 3}
    assert frames[2] == ("log", output)
    assert frames[5][1]["payload"] == {"event": {"id": "a"}}


async def test_states_for_the_owner_and_the_node_itself(served: Served) -> None:
    served.agent.steps = [StateFrame("pulling-image", {"image": "ubuntu"}, 9, 0)]
    for text in (signed(JOB), signed(JOB, NODE)):
        async with opened(served) as socket:
            await socket.say(ask("/status", header=text))
            wanted = {"status": "pulling-image", "state": {"image": "ubuntu"}, "timestamp": 9, "index": 0}
            assert await socket.frame() == ("state", wanted)


async def test_one_socket_may_follow_several_things(served: Served) -> None:
    served.agent.kept, served.agent.steps = [line("a", 1)], [StateFrame("x", {}, 1, 0)]
    async with opened(served) as socket:
        await socket.say(ask("/flog"))
        await socket.say(ask("/status").encode())
        assert {(await socket.frame())[0], (await socket.frame())[0]} == {"flog", "state"}


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("no json", 1011),
        ("null", 1011),
        ("[" * 4000, 1011),
        ("{}", 3003),
        (ask("/nowhere"), 3003),
        (ask("/flog", jobAddress=""), 1007),
        (json.dumps({"path": "/log", "header": signed(JOB)}), 1007),
        (ask("/status", jobAddress=None), 1007),
        (ask("/flog", jobAddress="So11111111111111111111111111111111111111112"), 3000),
        (ask("/flog", jobAddress=7), 3000),
        (ask("/flog", header=""), 3000),
        (ask("/flog", header={"authorization": signed(JOB)}), 3000),
        (ask("/flog", header=signed(JOB, STRANGER)), 3000),
        (ask("/flog", header=signed(JOB, NODE)), 3000),
        (ask("/log", header=signed(JOB, STRANGER)), 3000),
        (ask("/status", header=signed(JOB, STRANGER)), 3000),
        (ask("/flog", header=signed(JOB, time_ms=1)), 3000),
    ],
)
async def test_close_codes(served: Served, frame: str, code: int) -> None:
    async with opened(served) as socket:
        await socket.say(frame)
        assert await socket.close_code() == code


async def test_a_time_on_a_socket_is_good_for_five_minutes(serve: Serve) -> None:
    served = await serve(clock=lambda: 1_800_000_000.0)
    served.agent.steps = [StateFrame("x", {}, 1, 0)]
    for age, good in ((299, True), (301, False)):
        async with opened(served) as socket:
            await socket.say(ask("/status", header=signed(JOB, time_ms=1_800_000_000_000 - age * 1000)))
            if good:
                assert (await socket.frame())[0] == "state"
            else:
                assert await socket.close_code() == 3000


async def test_a_terminal_is_not_offered_and_it_says_so(served: Served) -> None:
    async with opened(served) as socket:
        await socket.say(ask("/terminal", message="grant", signature="AAAA"))
        said = json.loads(await socket.socket.receive_str(timeout=5))
        assert said["type"] == "error"
        assert "no shell" in said["message"]
        assert await socket.close_code() == 1008


async def test_flog_waits_for_a_job_that_is_about_to_run(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "RUN_LOOK", 0.01)
    served.agent.runs, served.agent.kept = False, [line("a", 1)]
    async with opened(served) as socket:
        await socket.say(ask("/flog"))
        await asyncio.sleep(0.1)
        served.agent.runs = True
        assert (await socket.frame())[0] == "flog"
    monkeypatch.setattr(sockets, "RUN_WAIT", 0.05)
    served.agent.runs = False
    async with opened(served) as socket:
        await socket.say(ask("/flog"))
        assert await socket.close_code() == 1008


async def test_a_socket_outlives_its_job(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.agent.kept = [line("a", 1)]
    await served.agent.live.put(None)
    async with opened(served) as socket:
        await socket.say(ask("/log"))
        await socket.frame()
        with pytest.raises(TimeoutError):
            await socket.socket.receive(timeout=0.3)  # The network's client would come again, and be told all of it.
    monkeypatch.setattr(sockets, "LINGER", 0.05)
    await served.agent.live.put(None)
    async with opened(served) as socket:
        await socket.say(ask("/log"))
        assert await socket.close_code() == 1000


# --- attacks ----------------------------------------------------------------------------------------------------


async def test_silence_at_the_start_ends_the_socket(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "FIRST_FRAME", 0.1)
    async with opened(served) as socket:
        assert await socket.close_code() == 1008


async def test_a_large_frame_ends_the_socket(served: Served) -> None:
    async with opened(served) as socket:
        await socket.say("x" * (sockets.FRAME_LIMIT + 1))
        assert await socket.close_code() == 1009


async def test_a_frame_in_endless_pieces_ends_the_socket(served: Served) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    piece = bytes([0x01, 0xFE]) + (1000).to_bytes(2, "big") + bytes(4) + b"x" * 1000
    rest = bytes([0x00]) + piece[1:]

    async def send_without_end() -> None:
        writer.write(piece)
        for _ in range(10_000):
            writer.write(rest)
            await writer.drain()
            await asyncio.sleep(0)

    async with asyncio.timeout(10):
        with pytest.raises(ConnectionError):
            await send_without_end()
    writer.close()


async def test_many_frames_end_the_socket(served: Served) -> None:
    async with opened(served) as socket:
        for _ in range(sockets.FRAMES + 1):
            await socket.say(ask("/status"))
        assert await socket.close_code() == 1008


async def test_strangers_sockets_leave_room_for_owners(serve: Serve) -> None:
    served = await serve(PLENTY.model_copy(update={"clients": 8}))
    async with opened(served), opened(served):  # A quarter of eight.
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await served.client.ws_connect("/")
        assert refused.value.status == 503
        async with served.client.get("/") as answer:
            assert answer.status == 200
    served.agent.steps = [StateFrame("x", {}, 1, 0)]
    async with opened(served) as socket:
        await socket.say(ask("/status"))
        assert (await socket.frame())[0] == "state"


async def test_a_job_has_so_many_sockets(serve: Serve) -> None:
    served = await serve(PLENTY.model_copy(update={"streams": 1}))
    served.agent.steps = [StateFrame("x", {}, 1, 0)]
    async with opened(served) as one:
        await one.say(ask("/status"))
        await one.frame()
        async with opened(served) as two:
            await two.say(ask("/status"))
            assert await two.close_code() == 1013
        async with opened(served) as other:
            body = {"path": "/status", "header": signed(OTHER_JOB), "body": {"jobAddress": OTHER_JOB}}
            await other.say(json.dumps(body))
            assert (await other.frame())[0] == "state"
