"""How much the API gives to whom, and what those get who take their time or send too much."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from node.api.owner import routes
from node.api.owner.limits import REMEMBERED, Allowance, household, sender
from node.settings_api import ApiSettings
from tests.api.conftest import PLENTY, Serve, Served
from tests.api.owner_double import JOB, header


def test_a_client_has_a_rate_and_a_burst() -> None:
    now = [100.0]
    allowance = Allowance(ApiSettings(requests=2), monotonic=lambda: now[0])
    assert [allowance.admits("a") for _ in range(9)] == [True] * 7 + [False] * 2
    assert allowance.admits("b")
    now[0] += 1
    assert [allowance.admits("a") for _ in range(3)] == [True, True, False]


def test_all_clients_together_have_a_rate() -> None:
    allowance = Allowance(ApiSettings(requests=2), monotonic=lambda: 100.0)
    admitted = sum(allowance.admits(f"client {number}") for number in range(1000))
    assert 60 <= admitted <= 62


def test_what_is_remembered_of_clients_is_bounded() -> None:
    now = [0.0]
    allowance = Allowance(ApiSettings(requests=1000), monotonic=lambda: now[0])
    for number in range(REMEMBERED * 2):
        now[0] += 0.01
        assert allowance.admits(f"client {number}")
    assert len(allowance._free_at) == REMEMBERED


def test_a_household_is_one_client() -> None:
    assert household("2001:db8:1:2:3:4:5:6") == household("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert household("2001:db8:1:3::1") != household("2001:db8:1:2::1")
    assert household("::ffff:192.0.2.1") == household("192.0.2.1") == "192.0.2.1"
    assert household("fe80::1%eth0") == "fe80::/64"
    assert household("not an address" * 100) == ("not an address" * 100)[:64]


async def test_who_asks_too_often_is_told_so(serve: Serve) -> None:
    served = await serve(ApiSettings(requests=1))
    statuses = []
    for _ in range(6):
        async with served.client.get("/") as answer:
            statuses.append((answer.status, answer.headers.get("retry-after")))
    assert statuses == [(200, None)] * 4 + [(429, "1")] * 2


async def test_clients_behind_a_tunnel_are_told_apart_and_cannot_pass_for_others(serve: Serve) -> None:
    served = await serve(ApiSettings(requests=1))
    for client in ("8.8.8.8", "9.9.9.9"):
        statuses = []
        for made_up in range(5):
            # What a client claims comes first; then who it is; then a proxy within the tunnel's own network.
            noted = f"1.1.1.{made_up}, {client}, 10.0.0.7"
            async with served.client.get("/", headers={"x-forwarded-for": noted}) as answer:
                statuses.append(answer.status)
        assert statuses == [200] * 4 + [429]


def test_who_sent_a_request() -> None:
    def sent(remote: str, *noted: str) -> str:
        request = make_mocked_request("GET", "/", headers=CIMultiDict([("X-Forwarded-For", each) for each in noted]))
        return sender(request.clone(remote=remote))

    assert sent("9.9.9.9", "8.8.8.8") == "9.9.9.9"  # It came by itself: what it notes is nothing to us.
    assert sent("127.0.0.1", "8.8.8.8") == "8.8.8.8"
    assert sent("127.0.0.1", "1.1.1.1", "8.8.8.8,192.168.1.1") == "8.8.8.8"
    assert sent("::1", "2606:4700::1") == "2606:4700::1"
    for nothing in ("", "unknown", "10.0.0.1", "x" * 100_000):
        assert sent("127.0.0.1", nothing) == "127.0.0.1"


async def test_places_are_limited(serve: Serve) -> None:
    served = await serve(PLENTY.model_copy(update={"clients": 2}))
    url = f"/job/{JOB}/info"
    async with (
        served.client.get(url, headers=header()),
        served.client.get(url, headers=header()),
        served.client.get("/") as answer,
    ):
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")


async def raw(served: Served, text: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = served.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(text)
    return reader, writer


async def test_a_body_that_drips_is_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "BODY_PATIENCE", 0.2)
    served.agent.waits_for_definition = True
    head = f"POST /job/{JOB}/job-definition HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n"
    reader, writer = await raw(served, f"{head}authorization: {header()['authorization']}\r\n\r\n{{".encode())
    async with asyncio.timeout(5):
        assert b" 408 " in await reader.readline()
        await reader.read()  # And the connection is closed.
    writer.close()
    # A stranger's body is not even waited for.
    reader, writer = await raw(served, f"{head}\r\n{{".encode())
    async with asyncio.timeout(0.15):
        assert b" 401 " in await reader.readline()
    writer.close()


async def test_huge_headers_are_refused(served: Served) -> None:
    for text in (
        b"GET / HTTP/1.1\r\nhost: x\r\nauthorization: " + b"A" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(50_000)) + b"\r\n",
    ):
        reader, writer = await raw(served, text)
        async with asyncio.timeout(5):
            with suppress(ConnectionError):  # Closed before all of it was read.
                assert b" 400 " in await reader.readline()
        writer.close()
    async with served.client.get("/") as answer:
        assert answer.status == 200
