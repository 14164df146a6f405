"""The doctor's rows on endpoints: each by itself, how far behind, the wrong chain, names, and the time where none
serves. The endpoints are small servers that answer what they are told to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import time
from typing import Any

import pytest

from node.agent.doctor_chain import ChainRows
from node.agent.finding import Finding
from node.agent.looks import Once, look_at_all
from node.chain.clusters import DEVNET, MAINNET, cluster_named
from node.chain.rpc import Rpc
from node.errors import RpcUnavailable
from node.settings import Settings

LANE = {"wallet": "w.json", "market": "7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41"}
NOWHERE = "http://127.0.0.1:9"


@contextmanager
def endpoint(slot: int = 1000, genesis: str | None = DEVNET.genesis_hash, ahead: float = 0.0) -> Iterator[str]:
    """An endpoint at this slot whose own clock is wrong by so many seconds."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            result: Any = genesis if request["method"] == "getGenesisHash" else slot
            body = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}).encode()
            self._answer(200, body)

        def do_GET(self) -> None:
            self._answer(405, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response_only(status)
            self.send_header("date", formatdate(time() + ahead, usegmt=True))
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def away() -> str:
    raise RpcUnavailable("nobody answers")


async def rows(*urls: str, gateways: tuple[str, ...] = (), only: str = "") -> dict[str, Finding]:
    content = {"gateways": list(gateways)}
    settings = Settings.model_validate(
        {"cluster": "devnet", "rpc": {"urls": urls}, "content": content, "host": {"country": "NL"}, "lanes": [LANE]}
    )
    async with Rpc(settings.rpc.urls, timeout=2.0) as rpc:
        chain = ChainRows(settings, cluster_named("devnet", settings.ids), rpc)
        looks = chain.looks(Once(away if urls == (NOWHERE,) else chain.genesis))
        found = await look_at_all([look for look in looks if only in look.name])
    return {row.name: row for row in found}


async def test_each_endpoint_has_a_row() -> None:
    with ExitStack() as stack:
        newest, behind, stranger = (
            stack.enter_context(each) for each in (endpoint(9000), endpoint(8000), endpoint(9000, MAINNET.genesis_hash))
        )
        found = await rows(newest, behind, stranger, NOWHERE, only="Solana endpoints")
    assert [row.ok for row in found.values()] == [True, None, False, False]
    assert "the newest view" in found[f"endpoint {newest}"].seen
    assert "slots (400 s) behind" in found[f"endpoint {behind}"].seen
    assert "serves mainnet, not devnet" in found[f"endpoint {stranger}"].seen
    assert "cannot be reached" in found[f"endpoint {NOWHERE}"].seen
    assert all(row.fix for row in found.values() if row.ok is not True)


@pytest.mark.long
async def test_a_single_one_has_no_row_beside_the_one_on_all() -> None:
    with endpoint() as url:
        found = await rows(url)
    assert found["Solana endpoint"].ok is True
    assert not [name for name in found if name.startswith("endpoint ")]
    # It opens no socket: the chain is read every second instead, which is no failure.
    assert found["Solana socket"].ok is None
    assert "every second" in found["Solana socket"].fix


async def test_another_chain_is_the_endpoints_fault() -> None:
    with endpoint(genesis=MAINNET.genesis_hash) as url:
        found = await rows(url, only="Solana endpoint")
    assert found["Solana endpoint"].ok is False
    assert "serves mainnet" in found["Solana endpoint"].seen


@pytest.mark.parametrize(("ahead", "ok"), [(0.0, True), (-7200.0, False), (7200.0, False)])
async def test_the_clock_is_told_by_a_server_where_no_chain_answers(ahead: float, ok: bool) -> None:
    with endpoint(ahead=ahead) as gateway:
        found = await rows(NOWHERE, gateways=(f"{gateway}/ipfs/",), only="clock")
    assert found["clock"].ok is ok
    assert "by the date of its answers" in found["clock"].seen
    assert ok or ("ahead of" in found["clock"].seen) is (ahead < 0)


async def test_no_time_from_anybody_is_not_known() -> None:
    found = await rows(NOWHERE, only="clock")
    assert found["clock"].ok is None


async def test_names_without_an_address() -> None:
    found = await rows("https://rpc.gpunode.invalid", gateways=("http://127.0.0.1:9/ipfs/",), only="DNS")
    assert found["DNS"].ok is False
    assert "no address for rpc.gpunode.invalid" in found["DNS"].seen
    assert "getent hosts rpc.gpunode.invalid" in found["DNS"].fix
    assert (await rows(NOWHERE, gateways=(), only="DNS"))["DNS"].ok is True
