"""`gpunode run`: permanent mistakes end it with one line; what may pass is waited for without a flood of lines."""

from __future__ import annotations

import json
import logging
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from node.chain.clusters import MAINNET
from node.chain.wallet import Wallet
from node.cli.repeats import REMIND_AFTER, Repeats
from node.retry import Retry
from tests.cli.conftest import MARKET, Chain, Shell

# --- what ends it ----------------------------------------------------------------------------------------------


def _numbers(path: Path) -> list[int]:
    numbers: list[int] = json.loads(path.read_text())
    return numbers


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    path.unlink()
    path.write_text(text)
    path.chmod(mode)


def _not_json(path: Path) -> None:
    _write(path, "my secret key")


def _too_short(path: Path) -> None:
    _write(path, json.dumps(_numbers(path)[:63]))


def _no_bytes(path: Path) -> None:
    _write(path, json.dumps([*_numbers(path)[:63], 256]))


def _halves_differ(path: Path) -> None:
    numbers = _numbers(path)
    _write(path, json.dumps([*numbers[:32], *reversed(numbers[32:])]))


def _readable_by_others(path: Path) -> None:
    path.chmod(0o644)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _missing(path: Path) -> None:
    path.unlink()


WALLETS = [
    (_not_json, "is not a key file"),
    (_too_short, "is not a key file"),
    (_no_bytes, "is not a key file"),
    (_halves_differ, "is damaged"),
    (_readable_by_others, "has mode 0644"),
    (_folder, "is not a regular file"),
    (_missing, "there is no key file"),
]


@pytest.mark.parametrize(("spoil", "said"), WALLETS)
def test_a_wrong_wallet_ends_it_with_one_line(shell: Shell, spoil: object, said: str) -> None:
    settings = shell.init("--market", MARKET)
    key = shell.home / "main.json"
    assert callable(spoil)
    spoil(key)
    before = key.read_bytes() if key.is_file() else None
    answer = shell("run", "--settings", settings)
    _one_line(answer.status, answer.err, said)
    assert (key.read_bytes() if key.is_file() else None) == before
    assert not (shell.home / "data").exists()
    assert "my secret key" not in answer.err


@pytest.mark.long
@pytest.mark.parametrize(("spoil", "said"), WALLETS)
def test_the_doctor_finds_a_wrong_wallet(shell: Shell, chain: Chain, spoil: object, said: str) -> None:
    settings = shell.init("--market", chain.market, "--rpc", chain.rpc_url, "--content", chain.content_url)
    assert callable(spoil)
    spoil(shell.home / "main.json")
    answer = shell("doctor", "--settings", settings, "--json")
    assert answer.status == 3
    (row,) = [row for row in answer.document["findings"] if row["name"] == "wallet of main"]
    assert row["ok"] is False
    assert said in row["seen"]
    assert row["fix"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GPUNODE_CLUSTER", "testnet", "cluster: 'testnet'"),
        ("GPUNODE_RPC__TIMEOUT", "0", "rpc.timeout"),
        ("GPUNODE_RPC__URLS", "[ftp://x]", "rpc.urls"),
        ("GPUNODE_HOST__COUNTRY", "XX", "host.country: 'XX'"),
        ("GPUNODE_LANES__0__MARKET", "nowhere", "lanes.0.market: 'nowhere'"),
        ("GPUNODE_LIMITS__SHM", "much", "limits.shm: 'much'"),
        ("GPUNODE_STAKE__DAYS", "13", "stake.days: 13"),
        ("GPUNODE_GPU__PROVIDER", "amd", "gpu.provider: 'amd'"),
        ("GPUNODE_POLICY__NOTHING", "1", "policy.nothing: no such setting"),
    ],
)
def test_a_wrong_setting_ends_it_with_one_line(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    settings = shell.init("--market", MARKET)
    monkeypatch.setenv(name, value)
    for command in ("run", "doctor", "status"):
        answer = shell(command, "--settings", settings)
        _one_line(answer.status, answer.err, said, 3 if command == "run" else 1)
        assert str(settings) in answer.err


def test_another_chain_than_the_journals_ends_it(shell: Shell, chain: Chain) -> None:
    settings = shell.init("--market", chain.market, "--rpc", chain.rpc_url, "--content", chain.content_url)
    _bind_journal(shell.home / "data" / "journal.sqlite", "AnotherChain")
    answer = shell("run", "--settings", settings)
    _one_line(answer.status, answer.err, "this journal belongs to the chain AnotherChain")
    rows = {row["name"]: row for row in shell("doctor", "--settings", settings, "--json").document["findings"]}
    assert rows["journal"]["ok"] is False
    assert "AnotherChain" in rows["journal"]["seen"]


def test_settings_of_another_cluster_than_the_endpoints_end_it(shell: Shell, chain: Chain) -> None:
    settings = shell.init(
        *("--market", chain.market, "--cluster", "devnet", "--rpc", chain.rpc_url, "--content", chain.content_url)
    )
    answer = shell("run", "--settings", settings)
    _one_line(answer.status, answer.err, "devnet")
    rows = {row["name"]: row for row in shell("doctor", "--settings", settings, "--json").document["findings"]}
    assert rows["Solana endpoint"]["ok"] is False
    assert "serves localnet" in rows["Solana endpoint"]["seen"]


def _bind_journal(path: Path, genesis: str) -> None:
    import asyncio

    from node.journal.journal import Journal

    async def bind() -> None:
        journal = await Journal.open(path)
        await journal.check_cluster(genesis)
        await journal.close()

    asyncio.run(bind())


def _one_line(status: int, err: str, said: str, expected: int = 3) -> None:
    # 3: another start would not go better, and a service manager makes none.
    assert status == expected
    lines = [line for line in err.splitlines() if line]
    assert lines[0].startswith("error: ")
    assert said in lines[0]
    assert lines[1].startswith("  hint: ")
    assert len(lines) == 2


# --- endpoints that do not serve: the doctor names them, run waits -------------------------------------------------


@contextmanager
def _http(status: int, body: bytes = b"") -> Iterator[str]:
    """A server that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


ENDPOINTS = [
    ("closed", 0, b"", "cannot be reached"),
    ("broken", 500, b"", "answered HTTP 500"),
    ("limited", 429, b"", "limits this host (HTTP 429)"),
    ("refusing", 403, b"", "refuses us with HTTP 403"),
    ("no RPC", 404, b"nothing here", "answered HTTP 404"),
    ("a web page", 200, b"<html>hello</html>", "cannot be understood"),
    ("other JSON", 200, b'{"hello": 1}', "cannot be understood"),
    ("TLS", -1, b"", "cannot be reached: [SSL"),
]


@contextmanager
def _endpoint(status: int, body: bytes) -> Iterator[str]:
    if status == 0:
        yield "http://127.0.0.1:9"
    else:
        with _http(max(status, 200), body) as url:
            yield url.replace("http://", "https://") if status < 0 else url


@pytest.mark.long
@pytest.mark.parametrize(("name", "status", "body", "said"), ENDPOINTS)
def test_the_doctor_names_an_endpoint_that_does_not_serve(
    shell: Shell, chain: Chain, monkeypatch: pytest.MonkeyPatch, name: str, status: int, body: bytes, said: str
) -> None:
    monkeypatch.setenv("GPUNODE_RPC__TIMEOUT", "1")
    monkeypatch.setattr(Retry, "wait", lambda *_: 0.01)
    with _endpoint(status, body) as url:
        settings = shell.init("--market", MARKET, "--rpc", url, "--content", chain.content_url)
        answer = shell("doctor", "--settings", settings, "--json")
        shown = shell("market", "--settings", settings)
    assert answer.status == 3
    rows = {row["name"]: row for row in answer.document["findings"]}
    assert rows["Solana endpoint"]["ok"] is False
    assert said in rows["Solana endpoint"]["seen"]
    assert rows["Solana endpoint"]["fix"]
    assert rows["market of main"]["ok"] is None
    _one_line(shown.status, shown.err, said, 1)


def test_mainnet_behind_a_localnets_settings_is_found(shell: Shell, chain: Chain) -> None:
    """Else simulated GPUs would serve for real money."""
    with _http(200, json.dumps({"jsonrpc": "2.0", "id": 1, "result": MAINNET.genesis_hash}).encode()) as url:
        settings = shell.init("--market", MARKET, "--rpc", url, "--content", chain.content_url)
        answer = shell("market", "--settings", settings)
    _one_line(answer.status, answer.err, "the endpoint serves mainnet, not a localnet", 1)


@pytest.mark.long
@pytest.mark.slow
def test_run_waits_for_an_endpoint_and_does_not_flood(shell: Shell, chain: Chain) -> None:
    settings = shell.init("--market", MARKET, "--rpc", "http://127.0.0.1:9", "--content", chain.content_url)
    environment = {**os.environ, "HOME": str(shell.home), "GPUNODE_RPC__TIMEOUT": "1"}
    environment["GPUNODE_ENGINE__SOCKET"] = str(shell.home / "no-engine.sock")
    with subprocess.Popen(
        [sys.executable, "-m", "node.cli", "run", "--settings", str(settings)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        try:
            deadline = time.monotonic() + 40
            while time.monotonic() < deadline:
                status = shell("status", "--settings", settings, "--json")
                if status.status == 0 and status.document["lanes"][0]["reason"].startswith("waiting"):
                    break
                time.sleep(0.5)
            time.sleep(6)  # long enough for the lane and the socket to try several times
        finally:
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out == ""
    assert "Traceback" not in err
    lines = [line.split(" ", 1)[1] for line in err.splitlines()]
    assert len(lines) == len(set(lines)), err
    assert sum("waiting: http://127.0.0.1:9 cannot be reached" in line for line in lines) == 1
    assert len(lines) < 12, err
    assert stat.S_IMODE((shell.home / "main.json").stat().st_mode) == 0o600
    assert Wallet.load(shell.home / "main.json")


# --- repeated lines --------------------------------------------------------------------------------------------------


class _Log:
    """A handler's filter, with time turned by hand."""

    def __init__(self) -> None:
        self.time = 0.0
        self._filter = Repeats(lambda: self.time)

    def __call__(self, message: str, level: int = logging.WARNING, lane: str = "main", name: str = "board") -> str:
        record = logging.makeLogRecord({"name": name, "levelno": level, "msg": message, "lane": lane})
        return record.getMessage() if self._filter.filter(record) else ""


def test_a_trouble_is_said_once_and_then_every_ten_minutes() -> None:
    log = _Log()
    pair = (("checking: checking host", logging.INFO), ("checking: waiting: no endpoint", logging.INFO))
    assert [log(*line) for line in pair] == [pair[0][0], pair[1][0]]
    for _ in range(30):
        log.time += 15
        assert [log(*line) for line in pair] == ["", ""]
    log.time = REMIND_AFTER
    assert log(*pair[1]) == "checking: waiting: no endpoint (said 30 more times meanwhile)"
    assert log(*pair[1]) == ""


def test_after_things_moved_the_same_trouble_is_news() -> None:
    log = _Log()
    assert log("endpoint away")
    assert not log("endpoint away")
    assert log("queued: place 1 of 1", logging.INFO)
    assert log("queued: place 1 of 1", logging.INFO), "what goes well is never held back"
    assert log("endpoint away")


def test_lanes_and_loggers_do_not_hide_each_other() -> None:
    log = _Log()
    assert log("endpoint away", lane="a")
    assert log("endpoint away", lane="b")
    assert log("endpoint away", lane="a", name="other")
    assert log("another trouble", lane="a")
    assert not log("endpoint away", lane="a")


def test_memory_is_bounded() -> None:
    log = _Log()
    for number in range(10_000):
        assert log(f"trouble {number}")
