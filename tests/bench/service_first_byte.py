"""First byte through the agent's proxy, beside the same container asked directly and through a real frp tunnel.

    .venv/bin/python -m tests.bench.service_first_byte [--requests 300] [--json]

A real container serves; each way is asked in turn, request by request, in one run, so that whatever else the machine
does falls on all of them. For comparison stands a proxy made of an aiohttp server and client. Nothing is asserted: the
figures are for people.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import docker
from aiohttp import web

from node.container.profile import create_request, network_request
from node.container.traits import EngineTraits
from node.plan_records import Service
from node.records import Address, Limits
from node.retry import SystemClock
from node.service.desk import ServiceDesk
from node.service.tunnel import TunnelPhase
from node.settings_service import ServiceSettings
from tests.container.operations import LIMITS, operation
from tests.e2e import images
from tests.service.frp import find_frp, frp_server

NAME = "62TSynE7E3LVXXgvyuv9qSg3dfbYMZh9dS9NYT8FG3oD"
NODE = Address("5FWJ8QsGshcANQNQR9WMpZBmpjkDvgBrT97tKtCooxvE")
MIB = 1024**2
LARGE = 200
"""MiB of the large file."""
DIRECT, PROXY, AIOHTTP, FRP = (
    "direct to the container",
    "gpunode proxy",
    "an aiohttp proxy",
    "frps, frpc and gpunode proxy",
)
_READY_SECONDS = 30.0
_SCRIPT = f"""
mkdir /tmp/www; cd /tmp/www; echo hello > small; head -c {LARGE * MIB} /dev/zero > large
exec httpd -f -p 8080 -h /tmp/www
"""
_ROOM = replace(LIMITS, memory_bytes=1024 * MIB, pids=512)


@contextmanager
def container(limits: Limits = _ROOM) -> Iterator[str]:
    """A job's container with a web server at port 8080, in the job's profile and network; its address."""
    client = images.connect()
    planned = operation(images.busybox_image(client), f"Bench{secrets.token_hex(8)}", _SCRIPT, limits=limits)
    spec = planned.container
    assert spec is not None
    network = client.create_network(**network_request(spec.network, dict(spec.labels)))["Id"]
    made = client.create_container_from_config(create_request(spec, EngineTraits()), spec.name)["Id"]
    try:
        client.start(made)
        address = client.inspect_container(made)["NetworkSettings"]["Networks"][spec.network]["IPAddress"]
        _wait(address, 8080)
        yield address
    finally:
        client.remove_container(made, force=True, v=True)
        client.remove_network(network)
        client.close()


def _wait(address: str, port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex((address, port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{address}:{port} does not answer")


@contextmanager
def served(*words: str) -> Iterator[dict[str, Any]]:
    """This module in a process of its own as a proxy; the line it prints when it is ready."""
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.service_first_byte", *words], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)


async def serve_proxy(address: str, folder: Path, frp: int | None) -> None:
    """Be the agent's listener with one service, with a tunnel where there is a server's port."""
    tunnel = {"tunnel": "direct"}
    if frp is not None:
        binary = find_frp()
        assert binary is not None
        tunnel = {
            "tunnel": "frp",
            "public": "https://bench.example",
            "frp": {"binary": str(binary / "frpc"), "server": "127.0.0.1", "port": frp},
        }
    settings = ServiceSettings.model_validate({"port": 0, **tunnel})
    desk = ServiceDesk(settings, "localnet", data=folder, nodes=(NODE,), clock=SystemClock())
    await desk.open_listener()
    planned = replace(operation("image", NODE, "true"), services=(Service(NAME, "8080"),))
    async with asyncio.TaskGroup() as group, desk.open(NODE, planned) as held:
        group.create_task(desk.run())
        held.started(address)
        async with asyncio.timeout(_READY_SECONDS):
            while desk.tunnel is not None and desk.tunnel.state.phase is not TunnelPhase.ONLINE:
                await asyncio.sleep(0.05)
        print(json.dumps({"port": desk.port, "host": f"{NAME}.{settings.domain('localnet')}"}), flush=True)
        await asyncio.Event().wait()


async def serve_aiohttp(address: str) -> None:
    """Be a proxy as one would write it with aiohttp: a handler that asks with a client session."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def handle(request: web.Request) -> web.StreamResponse:
            url = f"http://{address}:8080{request.path_qs}"
            async with session.request(request.method, url, headers={"Host": request.host}) as found:
                answer = web.StreamResponse(status=found.status)
                answer.content_type = found.content_type
                await answer.prepare(request)
                async for piece in found.content.iter_any():
                    await answer.write(piece)
                return answer

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(json.dumps({"port": runner.addresses[0][1], "host": "any"}), flush=True)
        await asyncio.Event().wait()


Way = tuple[str, int, str]
"""Address, port and Host."""


def first_byte(way: Way, path: str = "/small") -> float:
    """Seconds from before the connection is made to the first byte of an answer, which must be good."""
    address, port, host = way
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    began = time.perf_counter()
    with socket.create_connection((address, port), timeout=20) as link:
        link.sendall(request)
        first = link.recv(12)
        took = time.perf_counter() - began
        if first[9:12] != b"200":
            raise RuntimeError(f"{way}: {first!r}")
        while link.recv(65536):
            pass
    return took


def kept(way: Way) -> Callable[[], float]:
    """The same on one connection that is kept, as a tunnel keeps it: seconds from the request to the first byte."""
    address, port, host = way
    request = f"GET /small HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    link = socket.create_connection((address, port), timeout=20)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask() -> float:
        began = time.perf_counter()
        link.sendall(request)
        answer = link.recv(65536)
        took = time.perf_counter() - began
        while not answer.endswith(b"hello\n") and not answer.endswith(b"0\r\n\r\n"):
            piece = link.recv(65536)
            if not piece:
                raise RuntimeError("the connection was not kept")
            answer += piece
        return took

    return ask


def large(way: Way) -> float:
    """MiB a second of a large answer."""
    address, port, host = way
    request = f"GET /large HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    began, size = time.perf_counter(), 0
    with socket.create_connection((address, port), timeout=60) as link:
        link.sendall(request)
        room = bytearray(1 << 18)
        while count := link.recv_into(room):
            size += count
    if size < LARGE * MIB:
        raise RuntimeError(f"{way}: only {size} bytes came")
    return LARGE / (time.perf_counter() - began)


def spread(seconds: list[float]) -> dict[str, float]:
    """Milliseconds: median, 95th and 99th percentile."""
    rows = sorted(seconds)

    def at(share: float) -> float:
        return round(1000 * rows[min(len(rows) - 1, int(len(rows) * share))], 3)

    return {"median_ms": round(1000 * statistics.median(rows), 3), "p95_ms": at(0.95), "p99_ms": at(0.99)}


def measure(requests: int) -> dict[str, Any]:
    """All ways, one after the other within each round."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = stack.enter_context(container())
        proxy = stack.enter_context(served("--serve", address, "--folder", str(folder / "a")))
        plain = stack.enter_context(served("--serve-aiohttp", address))
        ways: dict[str, Way] = {
            DIRECT: (address, 8080, "any"),
            PROXY: ("127.0.0.1", proxy["port"], proxy["host"]),
            AIOHTTP: ("127.0.0.1", plain["port"], plain["host"]),
        }
        binaries = find_frp()
        if binaries is not None:
            (folder / "frps").mkdir()
            server = stack.enter_context(frp_server(binaries, folder / "frps"))
            tunnel = stack.enter_context(
                served("--serve", address, "--folder", str(folder / "b"), "--frp", str(server.bind))
            )
            ways[FRP] = ("127.0.0.1", server.http, tunnel["host"])
        for way in ways.values():
            first_byte(way)
        new: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(requests):
            for name, way in ways.items():
                new[name].append(first_byte(way))
        # busybox closes each connection, so only a proxy's own is kept.
        keeping = {name: kept(way) for name, way in ways.items() if name != DIRECT}
        again: dict[str, list[float]] = {name: [] for name in keeping}
        for _ in range(requests):
            for name, ask in keeping.items():
                again[name].append(ask())
        return {
            "requests": requests,
            "new_connection": {name: spread(values) for name, values in new.items()},
            "kept_connection": {name: spread(values) for name, values in again.items()},
            "large_mib_per_second": {
                name: round(statistics.median(large(way) for _ in range(3))) for name, way in ways.items()
            },
        }


def table(document: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        "| way | new connection: median | p95 | p99 | kept connection: median | p95 | MiB/s |",
        "|---|" + "---:|" * 6,
    ]
    for name, row in document["new_connection"].items():
        again = document["kept_connection"].get(name)
        kept_cells = "- | -" if again is None else f"{again['median_ms']:.2f} | {again['p95_ms']:.2f}"
        cells = f"{row['median_ms']:.2f} | {row['p95_ms']:.2f} | {row['p99_ms']:.2f} | {kept_cells}"
        lines.append(f"| {name} | {cells} | {document['large_mib_per_second'][name]} |")
    return "\n".join([*lines, "", f"milliseconds to the first byte, {document['requests']} requests each way"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=300, help="each way (default 300)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--serve-aiohttp", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--frp", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve_proxy(options.serve, options.folder, options.frp))
    elif options.serve_aiohttp:
        asyncio.run(serve_aiohttp(options.serve_aiohttp))
    else:
        document = measure(options.requests)
        print(json.dumps(document) if options.json else table(document))


if __name__ == "__main__":
    try:
        main()
    except (images.NoEngine, docker.errors.DockerException) as error:
        sys.exit(f"no container can be run: {error}")
