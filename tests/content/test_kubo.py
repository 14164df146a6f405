"""Stores, sources and CIDs against a real IPFS node (Kubo), where its binary is in the cache folder."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pytest

from node.content.cid import CHUNK_BYTES, LINKS_PER_NODE, CidHasher, file_cid, hash32_to_cid
from node.content.dag import read_cid
from node.content.library import Library
from node.content.source import GatewaySource, KuboSource, Source
from node.content.store import KuboStore
from node.errors import ContentMismatch, ContentNotFile, ContentTooLarge, ContentUnavailable, StoreRejected
from node.records import Cid
from tests.content.kubo import KuboNode, kubo_node

C = CHUNK_BYTES
BOUNDARIES = [0, 1, 2, 1000, C - 1, C, C + 1, 2 * C - 1, 2 * C, 2 * C + 1, 3 * C]
LEVELS = [LINKS_PER_NODE * C - 1, LINKS_PER_NODE * C, LINKS_PER_NODE * C + 1, (LINKS_PER_NODE + 1) * C + 1]


def data_of(size: int, seed: int = 0) -> bytes:
    return random.Random(f"{seed} {size}").randbytes(size)


async def node_cids(kubo: KuboNode, files: Iterable[bytes], **options: str) -> list[str]:
    """What the node says the files' CIDs are; it keeps nothing."""
    parts = [("file", (str(number), data)) for number, data in enumerate(files)]
    query = {"only-hash": "true", "cid-version": "0", **options}
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(f"{kubo.api}/api/v0/add", params=query, files=parts)
    assert answer.status_code == 200, answer.text
    return [json.loads(line)["Hash"] for line in answer.text.splitlines()]


def hashed(data: bytes, chunk: int, links: int) -> Cid:
    hasher = CidHasher(chunk_bytes=chunk, links=links)
    hasher.update(data)
    return hasher.cid()


# --- CIDs ---------------------------------------------------------------------------------------------


async def test_cids_of_files_of_many_sizes(kubo: KuboNode) -> None:
    choice = random.Random(20)
    sizes = BOUNDARIES + [choice.randrange(6 * C) for _ in range(40)] + [choice.randrange(2000) for _ in range(60)]
    files = [data_of(size, number) for number, size in enumerate(sizes)]
    assert await node_cids(kubo, files) == [file_cid(data) for data in files]


@pytest.mark.long
async def test_cids_where_a_second_level_begins(kubo: KuboNode) -> None:
    for size in LEVELS:
        data = data_of(size)
        assert await node_cids(kubo, [data]) == [file_cid(data)], size


@pytest.mark.long
@pytest.mark.parametrize(("chunk", "links"), [(1, 2), (2, 3), (3, 5), (1, 13), (16, 174)])
async def test_cids_where_deeper_levels_begin(kubo: KuboNode, chunk: int, links: int) -> None:
    """The same tree at a scale where its levels are cheap: eight of them at most, the third for 174 links."""
    full = [chunk * links**level for level in range(1, 9) if links**level < 31_000]
    sizes = [size + step for size in full for step in (-1, 0, 1, chunk)]
    sizes += [size + full[0] + 1 for size in full]
    files = [data_of(size, links) for size in sizes]
    options = {"chunker": f"size-{chunk}", "max-file-links": str(links)}
    assert await node_cids(kubo, files, **options) == [hashed(data, chunk, links) for data in files]


MEASURED = """
import resource, sys
from node.content.cid import CidHasher
hasher = CidHasher()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
while piece := sys.stdin.buffer.read(1 << 20):
    hasher.update(piece)
print(hasher.cid(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def streamed(size: int) -> tuple[str, int]:
    """CID of `size` zero bytes that no process ever holds, and the KiB that computing it took."""
    zeros = subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], stdin=zeros.stdout, capture_output=True, check=True, text=True
    )
    zeros.wait()
    assert zeros.stdout is not None
    zeros.stdout.close()
    cid, kib = done.stdout.split()
    return cid, int(kib)


def test_a_large_file_is_never_in_memory() -> None:
    """400 MiB; the CID is the one Kubo gives for as many zeros."""
    cid, kib = streamed(400 << 20)
    assert cid == "QmaaUshNfADYXgFdZVJJCoSR9PEZdKefvaUHxoLhEtrpHV"
    assert kib < 16 << 10


HUGE = {
    -1: "QmXRiX8EVASvm7RC5DE7tHGTDRzvgvLbdWkeMTBj5PQMQu",
    0: "QmaUnuM6XbnxLbHUHmY5QxK8LkFqQcX9jvGPVjRF94EEsd",
    1: "QmVZLgevKqdMBkEdFhcauLccqzLNn2gmfwVaXhHEZJyqzm",
}
"""What Kubo gives for 7.9 GB of zeros, as many as fill two levels, and for one fewer and one more."""


@pytest.mark.skipif("GPUNODE_TEST_HUGE" not in os.environ, reason="hashes 24 GB: set GPUNODE_TEST_HUGE=1")
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("beyond", HUGE)
def test_cids_where_a_third_level_begins(beyond: int) -> None:
    cid, kib = streamed(LINKS_PER_NODE**2 * C + beyond)
    assert cid == HUGE[beyond]
    assert kib < 16 << 10


# --- the store ----------------------------------------------------------------------------------------

ODD = {
    "Import.CidVersion": 1,
    "Import.UnixFSRawLeaves": True,
    "Import.UnixFSChunker": "size-1048576",
    "Import.HashFunction": "blake2b-256",
    "Import.UnixFSFileMaxLinks": 1024,
}
"""A node that is set to another layout for everything it adds."""


@pytest.fixture(scope="module")
def odd_kubo(kubo_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KuboNode]:
    """A node with other defaults, a token on its API, and a gateway that serves blocks only."""
    settings = {**ODD, "Gateway.DeserializedResponses": False}
    with kubo_node(kubo_binary, tmp_path_factory.mktemp("odd"), settings, token="SECRET") as node:
        yield node


@pytest.mark.parametrize("size", [*BOUNDARIES, LINKS_PER_NODE * C + 1])
async def test_what_is_stored_is_pinned_under_our_cid(kubo: KuboNode, size: int) -> None:
    data = data_of(size, 7)
    store = KuboStore(kubo.api)
    cid = await store.add_file("file", data)
    await store.aclose()
    assert cid == file_cid(data)
    assert cid in kubo.run("pin", "ls", "--type=recursive", "--quiet", cid)


async def test_the_nodes_clean_up_keeps_what_is_stored(kubo: KuboNode) -> None:
    store, source = KuboStore(kubo.api), GatewaySource(kubo.gateway)
    data = data_of(2 * C, 8)
    cid = await store.add_file("file", data)
    loose = Cid(kubo.add(data_of(2 * C, 9), "--cid-version=0", "--pin=false"))
    kubo.run("repo", "gc", "--quiet")
    assert await source.fetch(cid, len(data)) == data
    with pytest.raises(ContentUnavailable, match="HTTP 404"):
        await source.fetch(loose, 1 << 20)
    await store.aclose()
    await source.aclose()


@pytest.mark.parametrize("size", [1000, C + 1, LINKS_PER_NODE * C + 1])
async def test_a_node_with_other_defaults_stores_under_our_cid(odd_kubo: KuboNode, size: int) -> None:
    data = data_of(size, 3)
    store, source = KuboStore(odd_kubo.api, token="SECRET"), KuboSource(odd_kubo.api, token="SECRET")
    cid = await store.add_file("file", data)
    assert cid == file_cid(data)
    assert await source.fetch(cid, size) == data
    await store.aclose()
    await source.aclose()


@pytest.mark.parametrize("token", [None, "WRONG"])
async def test_a_node_that_wants_a_token(odd_kubo: KuboNode, token: str | None) -> None:
    store = KuboStore(odd_kubo.api, token=token)
    with pytest.raises(StoreRejected, match="HTTP 403"):
        await store.add_file("file", b"x")
    await store.aclose()


# --- foreign layouts ----------------------------------------------------------------------------------

LAYOUTS = [
    ["--raw-leaves"],
    ["--chunker=size-1000"],
    ["--chunker=size-1048576"],
    ["--chunker=size-2096896"],
    ["--chunker=rabin-2048-4096-8192"],
    ["--chunker=buzhash"],
    ["--trickle"],
    ["--trickle", "--raw-leaves", "--chunker=size-4096", "--max-file-links=3"],
    ["--chunker=size-1024", "--max-file-links=2"],
    ["--raw-leaves", "--chunker=size-300000", "--inline"],
    ["--preserve-mode", "--preserve-mtime", "--mode=0644", "--mtime=1700000000"],
    ["--cid-version=1"],
    ["--cid-version=1", "--chunker=size-4096"],
    ["--cid-version=1", "--raw-leaves=false"],
]
FOREIGN = data_of(2 * 300_000 + 20) + bytes(300_000)
"""Several chunks, the last 20 bytes of a cut at 300,000 small enough to be inlined."""
FOREIGN = FOREIGN[: 3 * 300_000 + 20]


def version_0(text: str) -> Cid:
    """The CIDv0 with the same hash, as the market would hold it."""
    if text.startswith("Qm"):
        return Cid(text)
    import base64

    link, _ = read_cid(base64.b32decode(text[1:].upper() + "=" * (-len(text[1:]) % 8)), 0)
    assert link is not None
    return hash32_to_cid(link.digest)


def sources(kubo: KuboNode) -> list[Source]:
    named = kubo.gateway.replace("127.0.0.1", "localhost")
    return [KuboSource(kubo.api), GatewaySource(kubo.gateway), GatewaySource(named)]


@pytest.mark.parametrize("options", LAYOUTS, ids=" ".join)
async def test_what_others_added_with_other_layouts_is_read(kubo: KuboNode, options: list[str]) -> None:
    version = [] if any("cid-version" in option for option in options) else ["--cid-version=0"]
    cid = version_0(kubo.add(FOREIGN, *version, *options))
    assert cid != file_cid(FOREIGN)
    for source in sources(kubo):
        assert await source.fetch(cid, len(FOREIGN)) == FOREIGN, source.name
        with pytest.raises(ContentTooLarge):
            await source.fetch(cid, len(FOREIGN) - 1)
        await source.aclose()


async def test_small_and_repeating_files_in_other_layouts(kubo: KuboNode) -> None:
    for data in (b"", b"x", b"x" * 5000, bytes(3 << 20)):
        cid = version_0(kubo.add(data, "--cid-version=0", "--trickle", "--chunker=size-1000"))
        for source in sources(kubo):
            assert await source.fetch(cid, 3 << 20) == data
            await source.aclose()


async def test_a_gateway_that_serves_blocks_only(odd_kubo: KuboNode) -> None:
    source = GatewaySource(odd_kubo.gateway)
    store = KuboStore(odd_kubo.api, token="SECRET")
    for data in (b"small", data_of(3 * C + 1)):
        assert await source.fetch(await store.add_file("x", data), len(data)) == data
    await store.aclose()
    await source.aclose()


# --- what is no file ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(kubo: KuboNode, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cid]:
    """CIDs of what files are kept in."""
    folder = tmp_path_factory.mktemp("folders")
    (folder / "plain").mkdir()
    (folder / "plain" / "index.html").write_text("<p>looks like a file</p>")
    (folder / "plain" / "link").symlink_to("/etc/passwd")
    (folder / "many").mkdir()
    for number in range(40):
        (folder / "many" / f"file{number}").write_text(str(number))
    plain = kubo.run("add", "-Qr", "--cid-version=0", str(folder / "plain"))
    kubo.run("config", "Import.UnixFSHAMTDirectorySizeThreshold", "1B")
    many = kubo.run("add", "-Qr", "--cid-version=0", "--max-directory-links=8", str(folder / "many"))
    link = kubo.run("resolve", f"/ipfs/{plain}/link").removeprefix("/ipfs/")
    return {"a directory": Cid(plain), "a directory in shards": Cid(many), "a symbolic link": Cid(link)}


@pytest.mark.parametrize("kind", ["a directory", "a directory in shards", "a symbolic link"])
async def test_what_is_no_file_is_refused(kubo: KuboNode, folders: dict[str, Cid], kind: str) -> None:
    for source in sources(kubo):
        with pytest.raises(ContentNotFile, match=f"no file that can be read: it is {kind}$") as raised:
            await source.fetch(folders[kind], 1 << 20)
        assert raised.value.hint
        await source.aclose()


async def test_a_raw_block_is_no_file_of_a_cid_of_version_0(kubo: KuboNode) -> None:
    cid = version_0(kubo.add(b'{"version":"0.1"}', "--cid-version=1"))
    for source in sources(kubo):
        with pytest.raises(ContentNotFile, match="is no node of a file"):
            await source.fetch(cid, 1 << 20)
        await source.aclose()


async def test_a_file_of_which_a_block_was_lost(kubo: KuboNode) -> None:
    data = data_of(3 * C, 11)
    cid = Cid(kubo.add(data, "--cid-version=0", "--pin=false", "--chunker=size-100000"))
    lost = kubo.run("refs", cid).split()[3]
    kubo.run("block", "rm", lost)
    for source in sources(kubo):
        with pytest.raises((ContentUnavailable, ContentMismatch)):
            await source.fetch(cid, 1 << 20)
        await source.aclose()


# --- all together -------------------------------------------------------------------------------------


async def test_library_on_a_real_node(kubo: KuboNode) -> None:
    library = Library([KuboStore(kubo.api)], [GatewaySource(kubo.gateway), KuboSource(kubo.api)])
    cid, stores = await library.publish("result.json", b'{"status":"success"}')
    assert stores == ("kubo 127.0.0.1",)
    assert (await library.fetch(cid, 1000)).body == b'{"status":"success"}'
    await library.aclose()


async def test_what_the_node_does_not_have(kubo: KuboNode) -> None:
    for source in (KuboSource(kubo.api, timeout=5), GatewaySource(kubo.gateway, timeout=5)):
        with pytest.raises(ContentUnavailable):
            await source.fetch(file_cid(b"nobody has this"), 1000)
        await source.aclose()
