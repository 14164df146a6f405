"""Subscriptions against a real WebSocket server that goes quiet, hangs up and refuses."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from node.chain.clusters import DEVNET, localnet
from node.chain.filters import Memcmp
from node.chain.subscription import GIVEN_UP_AFTER, LAG_LIMIT, Changed, Subscribed, Subscriptions, websocket_url
from node.errors import RpcRejected, RpcUnavailable, UsageError
from node.records import Address
from tests.chain.fakes import FakeClock

PROGRAM = DEVNET.jobs
HERE = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")


class Server:
    """What a test lets the socket's other side do."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.asked: list[dict[str, Any]] = []
        self.refuse = False
        self.url = ""
        self.changed = asyncio.Condition()

    async def serve(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        async for raw in socket:
            request = json.loads(raw)
            self.asked.append(request)
            answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"], "result": 100 + len(self.asked)}
            if self.refuse and request["method"] == "programSubscribe":
                answer = {"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "no"}}
            await socket.send(json.dumps(answer))
            request["number"] = 100 + len(self.asked)
            async with self.changed:
                self.changed.notify_all()

    async def wait_for(self, method: str, times: int = 1) -> dict[str, Any]:
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.of(method)) >= times)
        return self.of(method)[times - 1]

    def of(self, method: str) -> list[dict[str, Any]]:
        return [each for each in self.asked if each["method"] == method and "number" in each]

    async def push(self, method: str, number: int, result: Any) -> None:
        params = {"subscription": number, "result": result}
        await self.sockets[-1].send(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}))

    async def slot(self, slot: int) -> None:
        await self.push("slotNotification", 1, {"slot": slot, "parent": slot - 1, "root": 0})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    served = Server()
    async with serve(served.serve, "127.0.0.1", 0) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        served.url = f"ws://127.0.0.1:{port}/?key=SECRET"
        yield served


class StepClock(FakeClock):
    """Sleepers wake when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.sleepers: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.now + seconds, future))
        await future

    async def step(self, seconds: float) -> None:
        """Let time pass in quarters of a second, waking who is due."""
        for _ in range(int(seconds * 4)):
            self.now += 0.25
            for due, future in list(self.sleepers):
                if due <= self.now:
                    self.sleepers.remove((due, future))
                    if not future.done():
                        future.set_result(None)
            for _ in range(20):
                await asyncio.sleep(0)


class Http:
    """The other view of the chain."""

    def __init__(self) -> None:
        self.slot = 0
        self.down = False

    async def __call__(self) -> int:
        if self.down:
            raise RpcUnavailable("down")
        return self.slot


@asynccontextmanager
async def running(subscriptions: Subscriptions) -> AsyncIterator[None]:
    task = asyncio.ensure_future(subscriptions.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def change(address: str, data: bytes, slot: int) -> Any:
    account = {
        "data": [base64.b64encode(data).decode(), "base64"],
        "owner": PROGRAM,
        "lamports": 5,
        "executable": False,
        "rentEpoch": 0,
    }
    return {"context": {"slot": slot}, "value": {"pubkey": address, "account": account}}


async def settle(seconds: float = 0.02) -> None:
    await asyncio.sleep(seconds)


async def test_program_changes_arrive_after_the_sign_to_read(server: Server) -> None:
    subscriptions = Subscriptions([server.url], http_slot=Http())
    async with running(subscriptions), subscriptions.program(PROGRAM, [Memcmp(0, b"\xff")]) as stream:
        asked = await server.wait_for("programSubscribe")
        assert asked["params"][0] == PROGRAM
        assert asked["params"][1]["commitment"] == "confirmed"
        assert asked["params"][1]["filters"] == [{"memcmp": {"offset": 0, "bytes": "5Q", "encoding": "base58"}}]
        assert await anext(stream) == Subscribed()
        await server.push("programNotification", asked["number"], change(HERE, b"data", 44))
        notice = await anext(stream)
        assert isinstance(notice, Changed)
        assert (notice.account.address, notice.account.data, notice.account.slot) == (HERE, b"data", 44)
    assert [each["method"] for each in server.asked][:2] == ["slotSubscribe", "programSubscribe"]


async def test_streams_are_told_apart_and_ended(server: Server) -> None:
    subscriptions = Subscriptions([server.url], http_slot=Http())
    async with running(subscriptions), subscriptions.program(PROGRAM) as programs:
        program = await server.wait_for("programSubscribe")
        async with subscriptions.account(HERE) as accounts:
            asked = await server.wait_for("accountSubscribe")
            assert await anext(accounts) == Subscribed()
            result = change(HERE, b"new", 9)
            await server.push(
                "accountNotification", asked["number"], {"context": {"slot": 9}, "value": result["value"]["account"]}
            )
            notice = await anext(accounts)
            assert isinstance(notice, Changed)
            assert (notice.account.address, notice.account.data) == (HERE, b"new")
        ended = await server.wait_for("accountUnsubscribe")
        assert ended["params"] == [asked["number"]]
        assert await anext(programs) == Subscribed()
        # What is pushed for an ended or unknown subscription goes to nobody.
        await server.push("accountNotification", asked["number"], {"context": {"slot": 9}, "value": None})
        await server.push("programNotification", program["number"], change(HERE, b"x", 10))
        assert isinstance(await anext(programs), Changed)


async def test_slots_are_the_sign_of_life(server: Server) -> None:
    clock = StepClock()
    subscriptions = Subscriptions([server.url], http_slot=Http(), clock=clock)
    assert subscriptions.suspect
    async with running(subscriptions):
        await server.wait_for("slotSubscribe")
        await server.slot(10)
        await settle()
        assert subscriptions.slot == 10
        assert not subscriptions.suspect
        await clock.step(4)
        assert not subscriptions.suspect
        await server.slot(11)
        await settle()
        await clock.step(4)
        assert not subscriptions.suspect
        await clock.step(2)
        assert subscriptions.suspect
    assert subscriptions.suspect


async def test_a_quiet_socket_is_replaced_when_the_chain_moved_on(server: Server) -> None:
    clock, http = StepClock(), Http()
    subscriptions = Subscriptions([server.url], http_slot=http, clock=clock)
    async with running(subscriptions), subscriptions.program(PROGRAM) as stream:
        await server.wait_for("programSubscribe")
        assert await anext(stream) == Subscribed()
        await server.slot(10)
        await settle()
        http.slot = 10
        await clock.step(8)
        assert len(server.sockets) == 1
        http.slot = 30
        await clock.step(1.5)
        await settle(0.05)
        await clock.step(2)
        await server.wait_for("programSubscribe", 2)
        assert len(server.sockets) == 2
        # Whoever reads is told to look again: changes in between were not pushed.
        assert await anext(stream) == Subscribed()


async def test_without_another_view_a_quiet_socket_is_replaced_later(server: Server) -> None:
    clock, http = StepClock(), Http()
    http.down = True
    subscriptions = Subscriptions([server.url], http_slot=http, clock=clock)
    async with running(subscriptions):
        await server.wait_for("slotSubscribe")
        await clock.step(GIVEN_UP_AFTER - 2)
        assert len(server.sockets) == 1
        await clock.step(4)
        await settle(0.05)
        await clock.step(2)
        await server.wait_for("slotSubscribe", 2)


async def test_a_closed_socket_is_opened_again(server: Server) -> None:
    clock = StepClock()
    subscriptions = Subscriptions([server.url], http_slot=Http(), clock=clock)
    async with running(subscriptions), subscriptions.account(HERE) as stream:
        await server.wait_for("accountSubscribe")
        assert await anext(stream) == Subscribed()
        for times in (2, 3):
            await server.sockets[-1].close()
            await settle(0.05)
            assert subscriptions.suspect
            await clock.step(3)
            await server.wait_for("accountSubscribe", times)
            assert await anext(stream) == Subscribed()


async def test_a_refused_subscription_reaches_its_reader(server: Server) -> None:
    server.refuse = True
    subscriptions = Subscriptions([server.url], http_slot=Http())
    async with running(subscriptions), subscriptions.program(PROGRAM) as stream:
        with pytest.raises(RpcRejected) as caught:
            await anext(stream)
        assert "SECRET" not in caught.value.message


@pytest.mark.parametrize(
    "noise",
    [
        "nonsense",
        "[]",
        "1",
        "{}",
        '{"method":"slotNotification"}',
        '{"method":"slotNotification","params":{"result":{}}}',
    ],
)
async def test_noise_is_passed_over(server: Server, noise: str) -> None:
    subscriptions = Subscriptions([server.url], http_slot=Http())
    async with running(subscriptions):
        await server.wait_for("slotSubscribe")
        await server.sockets[-1].send(noise)
        await server.slot(12)
        await settle()
        assert subscriptions.slot == 12
        assert len(server.sockets) == 1


async def test_an_unreachable_server_is_tried_again_and_again(unused_tcp_port: int) -> None:
    clock = FakeClock()
    subscriptions = Subscriptions([f"ws://127.0.0.1:{unused_tcp_port}"], http_slot=Http(), clock=clock)
    async with running(subscriptions):
        for _ in range(200):
            await asyncio.sleep(0.005)
            if clock.now > 1_700_000_030:
                break
        assert clock.now > 1_700_000_030
        assert subscriptions.suspect


async def test_a_reader_far_behind_is_told_to_look_again(server: Server) -> None:
    subscriptions = Subscriptions([server.url], http_slot=Http())
    async with running(subscriptions), subscriptions.program(PROGRAM) as stream:
        asked = await server.wait_for("programSubscribe")
        assert await anext(stream) == Subscribed()
        for number in range(1_005):
            await server.push("programNotification", asked["number"], change(HERE, b"", number))
        await server.slot(2_000)
        while subscriptions.slot < 2_000:
            await asyncio.sleep(0.005)
        assert await anext(stream) == Subscribed()
        notice = await anext(stream)
        assert isinstance(notice, Changed)
        assert notice.account.slot == 1_001


def test_the_socket_beside_an_http_endpoint() -> None:
    assert websocket_url("http://127.0.0.1:8899", localnet()) == "ws://127.0.0.1:8900"
    assert websocket_url("https://rpc.test/v2/key?x=1", DEVNET) == "wss://rpc.test/v2/key?x=1"
    assert websocket_url("http://rpc.test:1234", DEVNET) == "ws://rpc.test:1234"
    assert websocket_url("http://[::1]:8899/", localnet()) == "ws://[::1]:8900/"
    with pytest.raises(UsageError):
        websocket_url("rpc.test", DEVNET)


async def test_the_next_endpoint_gets_its_turn_when_a_socket_fails(server: Server, unused_tcp_port: int) -> None:
    clock = FakeClock()
    dead = f"ws://127.0.0.1:{unused_tcp_port}"
    subscriptions = Subscriptions([dead, server.url], http_slot=Http(), clock=clock)
    async with running(subscriptions), subscriptions.account(HERE) as stream:
        await server.wait_for("accountSubscribe")
        assert await anext(stream) == Subscribed()


async def test_a_socket_that_tells_of_what_is_long_past_is_replaced(server: Server) -> None:
    clock, http = StepClock(), Http()
    subscriptions = Subscriptions([server.url], http_slot=http, clock=clock)

    async def pass_seconds(slot: int, ahead: int) -> None:
        for _ in range(6):
            slot += 5
            http.slot = slot + ahead
            if len(server.sockets) > 1:
                return
            await server.slot(slot)
            await settle()
            await clock.step(2)

    async with running(subscriptions):
        await server.wait_for("slotSubscribe")
        await pass_seconds(10, LAG_LIMIT)
        assert len(server.sockets) == 1
        with contextlib.suppress(ConnectionClosed):
            await pass_seconds(50, LAG_LIMIT + 10)
        await clock.step(2)
        await server.wait_for("slotSubscribe", 2)
