"""Stores, sources and CIDs against a real IPFS node (Kubo), where its binary is in the cache folder."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.content.cid import CHUNK_BYTES, file_cid
from node.content.library import Library
from node.content.source import GatewaySource, KuboSource
from node.content.store import KuboStore
from node.errors import ContentTooLarge, ContentUnavailable

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
BINARIES = sorted(CACHE.glob("gpunode/kubo-*/ipfs"))

pytestmark = pytest.mark.skipif(not BINARIES, reason="no IPFS node in the cache folder (gpunode/kubo-<version>/ipfs)")

SIZES = [0, 1, 1000, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 174 * CHUNK_BYTES + 1]


def data_of(size: int) -> bytes:
    pattern = bytes(i % 251 for i in range(251))
    return (pattern * (size // 251 + 1))[:size]


class Node:
    """An offline IPFS node with its own repository."""

    def __init__(self, folder: Path) -> None:
        self._environment = {**os.environ, "IPFS_PATH": str(folder), "IPFS_TELEMETRY": "off"}
        self.run("init", "--profile=test")
        for address in ("API", "Gateway"):
            self.run("config", f"Addresses.{address}", "/ip4/127.0.0.1/tcp/0")
        self._daemon = subprocess.Popen(
            [str(BINARIES[-1]), "daemon", "--offline"],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        ports: dict[str, str] = {}
        assert self._daemon.stdout is not None
        for line in self._daemon.stdout:
            found = re.search(r"(RPC API|Gateway) server listening on /ip4/127\.0\.0\.1/tcp/(\d+)", line)
            if found:
                ports[found[1]] = found[2]
            if "Daemon is ready" in line:
                break
        self.api = f"http://127.0.0.1:{ports['RPC API']}"
        self.gateway = f"http://127.0.0.1:{ports['Gateway']}/ipfs/"

    def run(self, *arguments: str, data: bytes | None = None) -> str:
        done = subprocess.run(
            [str(BINARIES[-1]), *arguments],
            env=self._environment,
            input=data,
            capture_output=True,
            check=True,
            timeout=60,
        )
        return done.stdout.decode().strip()

    def stop(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(20)
        assert self._daemon.stdout is not None
        self._daemon.stdout.close()


@pytest.fixture(scope="module")
def ipfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("ipfs"))
    yield node
    node.stop()


@pytest.mark.parametrize("size", SIZES)
async def test_the_node_computes_the_same_cid(ipfs: Node, size: int) -> None:
    data = data_of(size)
    store = KuboStore(ipfs.api)
    assert await store.add_file("file", data) == file_cid(data)
    assert ipfs.run("add", "-Q", "--only-hash", "--cid-version=0", data=data) == file_cid(data)
    await store.aclose()


@pytest.mark.parametrize("layout", [[], ["--raw-leaves"], ["--chunker=size-1000"], ["--trickle"]])
async def test_what_others_added_with_other_layouts_is_read(ipfs: Node, layout: list[str]) -> None:
    data = data_of(CHUNK_BYTES * 2 + 5)
    cid = ipfs.run("add", "-Q", "--cid-version=0", *layout, data=data)
    for source in (KuboSource(ipfs.api), GatewaySource(ipfs.gateway)):
        assert await source.fetch(cid, len(data)) == data, source.name
        with pytest.raises(ContentTooLarge):
            await source.fetch(cid, len(data) - 1)
        await source.aclose()


async def test_library_on_a_real_node(ipfs: Node) -> None:
    library = Library([KuboStore(ipfs.api)], [GatewaySource(ipfs.gateway), KuboSource(ipfs.api)])
    cid, stores = await library.publish("result.json", b'{"status":"success"}')
    assert stores == ("kubo 127.0.0.1",)
    assert (await library.fetch(cid, 1000)).body == b'{"status":"success"}'
    await library.aclose()


async def test_what_the_node_does_not_have(ipfs: Node) -> None:
    for source in (KuboSource(ipfs.api, timeout=5), GatewaySource(ipfs.gateway, timeout=5)):
        with pytest.raises(ContentUnavailable):
            await source.fetch(file_cid(b"nobody has this"), 1000)
        await source.aclose()
