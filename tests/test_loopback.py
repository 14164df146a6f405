"""This machine is reached past any proxy of the environment; everything else is not."""

from __future__ import annotations

import socket

import pytest

from node.chain.rpc import Rpc
from node.errors import RpcUnavailable
from node.localnet.app import Localnet
from node.loopback import is_loopback


@pytest.fixture
def dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)


@pytest.mark.usefixtures("dead_proxy")
async def test_a_proxy_is_not_asked_for_this_machine(localnet: Localnet) -> None:
    async with Rpc([localnet.rpc_url]) as rpc:
        assert await rpc.get_slot() > 0


@pytest.mark.usefixtures("dead_proxy")
async def test_a_proxy_is_asked_for_everything_else() -> None:
    async with Rpc(["http://rpc.invalid:8899"], timeout=2) as rpc:
        with pytest.raises(RpcUnavailable):
            await rpc.get_genesis_hash()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ws://localhost/x", "http://[::1]:5", "http://127.8.9.1"])
def test_loopback(url: str) -> None:
    assert is_loopback(url)


@pytest.mark.parametrize("url", ["http://10.0.0.1", "https://localhost.example", "http://[::2]", "nonsense"])
def test_elsewhere(url: str) -> None:
    assert not is_loopback(url)
