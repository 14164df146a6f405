"""The content store's answers compared with those of a real IPFS node, and JSON with that of a real JavaScript."""

from __future__ import annotations

import json
import random
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from node.content.cid import CHUNK_BYTES, file_cid
from node.localnet import script_json
from node.localnet.content import ContentServer, ContentStore
from tests.content.kubo import KuboNode, kubo_node

HELLO = b"hello world\n"
FILES = [
    HELLO,
    b"",
    b'{"a":1}',
    b" [1]",
    b"<html>x</html>",
    b"\x00\x01",
    random.Random(5).randbytes(600_000),
    bytes(2 * CHUNK_BYTES) + b"x",
]
H = file_cid(HELLO)
ABSENT = "QmNLei78zWmzUdbeRB3CiUfAizWUrbeeZh5K1rhAQKCh51"
SHOWN = (
    "accept-ranges",
    "cache-control",
    "content-disposition",
    "content-length",
    "content-range",
    "content-type",
    "etag",
    "x-content-type-options",
    "x-ipfs-path",
    "x-ipfs-roots",
)

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def kubo(kubo_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KuboNode]:
    with kubo_node(kubo_binary, tmp_path_factory.mktemp("kubo")) as node:
        yield node


async def both(kubo: KuboNode, ours: str, method: str, path: str, **arguments: Any) -> tuple[Answer, Answer]:
    """What the real node and ours answer to the same request."""
    theirs = kubo.api if path.startswith("/api/") else kubo.gateway.removesuffix("/ipfs/")
    found: list[Answer] = []
    # No certificates to read: that takes longer than all of the requests.
    async with httpx.AsyncClient(timeout=20, verify=False) as client:
        for base in (theirs, ours):
            answer = await client.request(method, base + path, **arguments)
            headers = {name: answer.headers[name] for name in SHOWN if name in answer.headers}
            found.append((answer.status_code, headers, answer.content))
    return found[0], found[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("content")


@pytest.fixture
async def filled(kubo: KuboNode, folder: Path) -> AsyncIterator[str]:
    """The store's address; it and the node hold the files."""
    store = ContentStore(folder)
    runner = web.AppRunner(ContentServer(store).application(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    for data in FILES if not store.cids() else ():
        sent = {"file": ("a b.txt", data)}
        theirs, ours = await both(kubo, url, "POST", "/api/v0/add?cid-version=0", files=sent)
        assert ours[2] == theirs[2]
    yield url
    await runner.cleanup()


async def test_files_blocks_and_archives(kubo: KuboNode, filled: str) -> None:
    for data in FILES:
        path = f"/ipfs/{file_cid(data)}"
        for method, query in (("GET", ""), ("HEAD", ""), ("GET", "?format=raw")):
            theirs, ours = await both(kubo, filled, method, path + query)
            assert ours == theirs
        theirs, ours = await both(kubo, filled, "GET", path + "?format=car&dag-scope=entity")
        assert ours[2] == theirs[2]
        # What differs: the tag has no hash of the request, and no length is known ahead.
        for headers in (theirs[1], ours[1]):
            headers.pop("content-length", None)
            assert headers.pop("etag").startswith(f'W/"{file_cid(data)}.car')
        assert ours == theirs


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-4"},
        {"Range": "bytes=5-"},
        {"Range": "bytes=-3"},
        {"Range": "bytes=0-0"},
        {"Range": "bytes=0-100"},
        {"Range": "bytes=100-"},
        {"Range": "bytes=0-1,3-4"},
        {"Range": "bytes=2-3", "If-Range": f'"{H}"'},
        {"If-None-Match": f'"{H}"'},
        {"If-None-Match": f'W/"{H}"'},
        {"If-None-Match": f'"x", "{H}"'},
        {"If-None-Match": "*"},
        {"If-None-Match": '"x"'},
        {"Accept": "application/vnd.ipld.raw"},
    ],
    ids=str,
)
async def test_ranges_and_caches(kubo: KuboNode, filled: str, headers: dict[str, str]) -> None:
    for method in ("GET", "HEAD"):
        theirs, ours = await both(kubo, filled, method, f"/ipfs/{H}", headers=headers)
        assert ours == theirs


@pytest.mark.parametrize("asked", ["bytes=x", "items=0-1", "bytes"])
async def test_ranges_that_are_none(kubo: KuboNode, filled: str, asked: str) -> None:
    theirs, ours = await both(kubo, filled, "GET", f"/ipfs/{H}", headers={"Range": asked})
    assert ours == theirs


@pytest.mark.parametrize(
    "rest",
    [
        f"{H}/",
        f"{H}/x",
        f"{H}?format=unknown",
        f"{H}?download=true",
        f"{H}?filename=a.txt&download=true",
        "bafybeicg2rebjoofv4kbyovkw7af3rpiitvnl6i7ckcywaq6xjcxnc2mby",
    ],
)
async def test_other_ways_to_name_a_file(kubo: KuboNode, filled: str, rest: str) -> None:
    theirs, ours = await both(kubo, filled, "GET", f"/ipfs/{rest}")
    assert ours == theirs


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/ipfs/QmX"),
        ("GET", "/ipfs/zzz"),
        ("GET", "/ipfs/"),
        ("GET", f"/ipfs/{ABSENT}"),
        ("GET", f"/ipfs/{ABSENT}?format=raw"),
        ("GET", "/ipfs/bafkreidon73zkcrwdb5iafqtijxildoonbwnpv7dyd6ef3qdgads2jc4su"),
        ("GET", "/"),
        ("POST", f"/ipfs/{H}"),
        ("OPTIONS", f"/ipfs/{H}"),
        ("GET", f"/api/v0/cat?arg={H}"),
        ("POST", "/api/v0/cat"),
        ("POST", "/api/v0/cat?arg=QmX"),
        ("POST", f"/api/v0/cat?arg={H}&offset=-1"),
        ("POST", "/api/v0/add"),
        ("POST", "/api/v0/unknown"),
    ],
)
async def test_refusals_have_the_same_status(kubo: KuboNode, filled: str, method: str, path: str) -> None:
    theirs, ours = await both(kubo, filled, method, path)
    assert ours[0] == theirs[0]


@pytest.mark.parametrize(
    "call",
    [
        f"cat?arg={H}",
        f"cat?arg=/ipfs/{H}",
        f"cat?arg={H}&offset=3&length=4",
        f"cat?arg={H}&offset=30",
        f"cat?arg={ABSENT}",
        f"block/get?arg={file_cid(FILES[6])}",
        f"block/stat?arg={file_cid(FILES[6])}",
        f"block/get?arg={ABSENT}",
        f"dag/export?arg={file_cid(FILES[7])}",
        f"pin/ls?arg={H}",
        f"pin/ls?arg={ABSENT}",
        f"pin/add?arg={H}",
    ],
)
async def test_calls_of_the_node(kubo: KuboNode, filled: str, call: str) -> None:
    theirs, ours = await both(kubo, filled, "POST", f"/api/v0/{call}")
    assert (ours[0], ours[2]) == (theirs[0], theirs[2])


async def test_adding_without_keeping(kubo: KuboNode, filled: str) -> None:
    files = [("file", ("a.txt", b"never kept")), ("file", ("b.txt", bytes(CHUNK_BYTES + 1)))]
    theirs, ours = await both(kubo, filled, "POST", "/api/v0/add?only-hash=true&cid-version=0", files=files)
    assert (ours[0], ours[2]) == (theirs[0], theirs[2])
    theirs, ours = await both(kubo, filled, "GET", f"/ipfs/{file_cid(b'never kept')}")
    assert (ours[0], theirs[0]) == (404, 404)


# --- JSON as a pinning service stores it --------------------------------------------------------------

JAVASCRIPT = "process.stdout.write(JSON.stringify(JSON.parse(require('fs').readFileSync(0,'utf8')).map(t => JSON.stringify(JSON.parse(t)))))"  # noqa: E501
WRITTEN = [
    '{ "a" : 1 , "b":[ ] , "c":{ } }',
    '{"b":1,"2":1,"10":1,"1":1,"01":1,"-1":1,"4294967294":1,"4294967295":1}',
    '{"a":1,"b":2,"a":3}',
    "[0,-0,0.0,-0.0,1.0,1e3,1E400,-1e400,1e-400,12345678901234567890,9007199254740993]",
    "[1e20,1e21,123456789012345680000,1.5e300,1e-6,1e-7,0.000001234,1.25e-7,5e-324,0.1,100,1230]",
    r'["\u0000\u001f\u007f\u2028\ud800","\ud83d\ude00","\/\b\f\n\r\t\"\\","é"]',
    "[true,false,null]",
    '"text"',
    "7",
]


def in_javascript(texts: list[str]) -> list[str]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js on this machine")
    done = subprocess.run([node, "-e", JAVASCRIPT], input=json.dumps(texts).encode(), capture_output=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


def rewritten(text: str) -> str:
    return script_json.written(script_json.parsed(text.encode())).decode()


def test_json_is_written_as_javascript_does() -> None:
    choice = random.Random(3)
    doubles = [struct.unpack("<d", choice.randbytes(8))[0] for _ in range(2000)]
    numbers = [repr(value) for value in doubles if value == value and abs(value) != float("inf")]
    texts = [*WRITTEN, f"[{','.join(numbers)}]", f"[{','.join(str(choice.random()) for _ in range(500))}]"]
    assert [rewritten(text) for text in texts] == in_javascript(texts)


@settings(max_examples=50)
@given(st.lists(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), max_size=8))
def test_json_written_twice_is_the_same(document: Any) -> None:
    once = script_json.written(document)
    assert script_json.written(script_json.parsed(once)) == once


@pytest.mark.parametrize("text", ["", "{", "[1,]", "NaN", "[Infinity]", "{'a':1}", "\xff", "[" * 100_000])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        rewritten(text)
