"""Runs commands as a user would, in this process, with a home of their own; and a chain for those that need one."""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from node.cli.app import invoke
from node.cli.place import CHOSEN_FILE
from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions

T = TypeVar("T")
MARKET = "7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41"


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.out)


class Shell:
    """A user's shell in a home folder of its own."""

    def __init__(self, home: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capture = capture

    def __call__(self, *arguments: object) -> Answer:
        """Run one command."""
        self._capture.readouterr()
        CHOSEN_FILE.set(None)
        status = invoke([str(argument) for argument in arguments])
        out, err = self._capture.readouterr()
        return Answer(status, out, err)

    def init(self, *more: object) -> Path:
        """Write settings and a wallet in this home; returns the settings file."""
        file = self.home / "node.yaml"
        answer = self(
            *("init", "--settings", file, "--country", "NL", "--wallet", self.home / "main.json"),
            *("--data", self.home / "data", *(more or ("--market", MARKET))),
        )
        assert answer.status == 0, answer.err
        return file


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    for name in ("GPUNODE_SETTINGS", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "GPUNODE_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # Both: the module looks at the environment only once.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Shell(tmp_path, capsys)


class Chain:
    """An embedded chain in a thread of its own: commands run their own event loops in this one."""

    def __init__(self, net: Localnet, loop: asyncio.AbstractEventLoop) -> None:
        self._net = net
        self._loop = loop
        self.rpc_url, self.content_url = net.rpc_url, net.content_url
        self.market = str(net.market)
        self.poster = net.key_files["poster"]
        self.flags = ("--cluster", "localnet", "--rpc", net.rpc_url)

    def do(self, work: Callable[[Localnet], T]) -> T:
        """Do something with the chain, in its thread."""

        async def act() -> T:
            return work(self._net)

        return asyncio.run_coroutine_threadsafe(act(), self._loop).result(20)


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    keys = tmp_path_factory.mktemp("chain-keys")
    ready: list[Chain] = []
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        options = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=50, keys=keys)
        async with Localnet.start(options) as net:
            ready.append(Chain(net, loop))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="localnet")
    thread.start()
    try:
        assert started.wait(30)
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()
