"""The control socket over a real unix socket, with a double behind it."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from node.api.client import ControlClient, NoAgent
from node.api.control import ControlServer, answers
from node.api.control_requests import BODY_LIMIT, LOG_CHUNK
from node.errors import ControlError
from tests.api.double import GPU, JOB, RUN, DoublePort


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


@pytest.fixture
async def port(place: Path, tmp_path: Path) -> AsyncIterator[DoublePort]:
    log = tmp_path / "0.log"
    log.write_bytes(b"x" * LOG_CHUNK + b"tail\n")
    double = DoublePort((log, tmp_path / "not-begun.log"))
    async with ControlServer(double, place):
        yield double


@pytest.fixture
async def client(port: DoublePort, place: Path) -> AsyncIterator[ControlClient]:
    async with ControlClient(place) as client:
        yield client


async def test_socket_and_folder_are_private(port: DoublePort, place: Path) -> None:
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


async def test_status_describes_agent_lanes_and_gpus(client: ControlClient) -> None:
    status = await client.status()
    assert status["running"] is True
    assert status["gpu_provider"] == "simulated"
    assert status["gpus"][0]["uuid"] == GPU.uuid
    assert status["lanes"][0]["phase"] == "working"
    assert status["lanes"][0]["gpus"] == [GPU.uuid]


async def test_jobs_and_one_job(client: ControlClient, port: DoublePort) -> None:
    jobs = (await client.jobs(limit=7))["jobs"]
    assert port.told == [("jobs", 7)]
    assert jobs[0]["stages"] == {"fetch": 0.5, "run": 2.5}
    assert jobs[0]["settlement"]["kind"] == "finish"
    for address in (JOB, RUN):
        shown = await client.job(address)
        assert shown["job"] == JOB
        assert shown["runs"][0]["operations"][0]["exit_code"] == 0


async def test_unknown_job_is_said_in_one_line(client: ControlClient) -> None:
    with pytest.raises(ControlError, match="no such job") as caught:
        await client.job("1" * 32)
    assert caught.value.hint
    with pytest.raises(ControlError, match="no such job"):
        await client.log_files("1" * 32)


async def test_an_address_that_is_a_path_never_leaves_the_client(client: ControlClient) -> None:
    with pytest.raises(ControlError, match="not a job or run address"):
        await client.job("../status")


async def test_logs_are_read_piece_by_piece(client: ControlClient) -> None:
    files = (await client.log_files(JOB))["files"]
    assert [file["operation"] for file in files] == [0, 1]
    first = await client.log_bytes(JOB, 0, 0)
    second = await client.log_bytes(JOB, 0, len(first))
    assert first + second == b"x" * LOG_CHUNK + b"tail\n"
    assert await client.log_bytes(JOB, 0, LOG_CHUNK + 5) == b""
    assert await client.log_bytes(JOB, 1, 0) == b""
    with pytest.raises(ControlError, match="operation 2 has no log"):
        await client.log_bytes(JOB, 2, 0)


async def test_commands_reach_the_port(client: ControlClient, port: DoublePort) -> None:
    assert (await client.drain())["lanes"][0]["lane"] == "main"
    await client.pause("main", 60)
    await client.resume()
    await client.adopt("main")
    await client.stop()
    await client.stop_and_quit()
    assert port.told == [
        ("drain", None), ("pause", "main", 60), ("resume", None), ("adopt", "main"), ("stop",), ("stop_and_quit",),
    ]  # fmt: skip


async def test_a_refusal_keeps_its_hint(client: ControlClient) -> None:
    with pytest.raises(ControlError, match="no such lane") as caught:
        await client.drain("other")
    assert "gpunode status" in caught.value.hint


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/v1/drain", b"{"),
        ("/v1/drain", b"[]"),
        ("/v1/drain", b'{"lane": 5}'),
        ("/v1/drain", b'{"lan": "main"}'),
        ("/v1/pause", b'{"seconds": -1}'),
        ("/v1/pause", b'{"seconds": true}'),
        ("/v1/pause", b'{"seconds": 1e400}'),
        ("/v1/resume", b'{"adopt": 1}'),
        ("/v1/stop", b'{"quit": "yes"}'),
        ("/v1/stop", b"[" * 10_000),
    ],
)
async def test_bad_bodies_are_refused_and_do_nothing(port: DoublePort, place: Path, route: str, body: bytes) -> None:
    async with _raw(place) as http:
        response = await http.post(route, content=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"]
    assert port.told == []


@pytest.mark.parametrize(
    ("method", "route", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/drain", 405),
        ("GET", "/v1/jobs?limit=x", 400),
        ("GET", "/v1/jobs?limit=99999", 400),
        ("GET", f"/v1/logs/{JOB}?operation=-1", 400),
        ("GET", f"/v1/logs/{JOB}?operation=0&offset={'9' * 400}", 400),
    ],
)
async def test_bad_requests_have_a_json_error(
    port: DoublePort, place: Path, method: str, route: str, status: int
) -> None:
    async with _raw(place) as http:
        response = await http.request(method, route)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"kind", "message", "hint"}


async def test_bodies_are_bounded(port: DoublePort, place: Path) -> None:
    async with _raw(place) as http:
        response = await http.post("/v1/stop", content=json.dumps({"quit": True, "x": "y" * BODY_LIMIT}))
    assert response.status_code == 413
    assert port.told == []


async def test_a_bug_behind_the_port_is_no_traceback(port: DoublePort, client: ControlClient) -> None:
    port.broken = ValueError("secret detail")
    with pytest.raises(ControlError, match="failed to answer") as caught:
        await client.status()
    assert "secret" not in str(caught.value)


async def test_nobody_there_says_how_to_start(tmp_path: Path) -> None:
    async with ControlClient(tmp_path / "none.sock") as client:
        with pytest.raises(NoAgent) as caught:
            await client.status()
    assert "gpunode run" in caught.value.hint
    assert "systemctl" in caught.value.hint


async def test_a_second_agent_is_refused_while_the_first_answers(port: DoublePort, place: Path) -> None:
    with pytest.raises(ControlError, match="already"):
        await ControlServer(DoublePort(), place).start()
    assert answers(place)


async def test_a_stale_socket_is_replaced(place: Path) -> None:
    place.parent.mkdir()
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(place))
    dead.close()
    assert not answers(place)
    async with ControlServer(DoublePort(), place), ControlClient(place) as client:
        assert (await client.status())["pid"] == 42
    assert not place.exists()


async def test_a_file_that_is_no_socket_is_left_alone(place: Path) -> None:
    place.parent.mkdir()
    place.write_text("precious")
    with pytest.raises(ControlError, match="is no socket"):
        await ControlServer(DoublePort(), place).start()
    assert place.read_text() == "precious"


async def test_a_path_too_long_for_a_socket_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="longer than"):
        await ControlServer(DoublePort(), tmp_path / ("x" * 120) / "control.sock").start()


async def test_closing_leaves_a_successors_socket(place: Path) -> None:
    first = ControlServer(DoublePort(), place)
    await first.start()
    place.unlink()
    async with ControlServer(DoublePort(), place), ControlClient(place) as client:
        await first.aclose()
        assert (await client.status())["running"] is True


async def test_a_stranger_on_the_socket_is_recognised(place: Path) -> None:
    app = web.Application()
    app.add_routes([web.get("/{any:.*}", _hello)])
    place.parent.mkdir()
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(place)).start()
    try:
        async with ControlClient(place) as client:
            with pytest.raises(ControlError, match="no gpunode agent"):
                await client.status()
    finally:
        await runner.cleanup()


async def _hello(_request: object) -> web.Response:
    return web.Response(text="hello")


def _raw(place: Path) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(place)), base_url="http://agent")
