"""The content store: CIDs, its Kubo, Pinata and gateway faces, also through the product's own clients."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from node.content.cid import EMPTY_CID, blocks, file_cid
from node.content.source import GatewaySource, KuboSource
from node.content.store import KuboStore, PinataStore
from node.localnet import shelf
from node.localnet.app import Localnet
from node.records import Cid
from tests.content.archives import read

HELLO = Cid("QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o")
"""`hello world` and a line end, as every IPFS node knows it."""
BIG = bytes(range(256)) * 4_000
"""Several chunks."""


@pytest_asyncio.fixture
async def http(still_localnet: Localnet) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=still_localnet.content_url, timeout=5) as client:
        yield client


async def add(http: httpx.AsyncClient, data: bytes, **query: str) -> dict[str, str]:
    answer = await http.post("/api/v0/add", params=query, files={"file": ("a.txt", data)})
    assert answer.status_code == 200, answer.text
    line: dict[str, str] = json.loads(answer.text)
    return line


async def test_kubo_add_and_cat(http: httpx.AsyncClient) -> None:
    assert await add(http, b"hello world\n") == {"Name": "a.txt", "Hash": HELLO, "Size": "20"}
    assert (await add(http, b""))["Hash"] == EMPTY_CID
    big = await add(http, BIG, **{"cid-version": "0", "raw-leaves": "false", "pin": "true"})
    assert big["Hash"] == file_cid(BIG)
    assert int(big["Size"]) == sum(len(block) for _, block in blocks(BIG))
    answer = await http.post("/api/v0/cat", params={"arg": big["Hash"]})
    assert answer.content == BIG
    part = await http.post("/api/v0/cat", params={"arg": f"/ipfs/{big['Hash']}", "offset": "255", "length": "3"})
    assert part.content == bytes([255, 0, 1])


async def test_several_files_in_one_add(http: httpx.AsyncClient) -> None:
    files = [("file", ("a", b"hello world\n")), ("file", ("b", b""))]
    answer = await http.post("/api/v0/add", files=files)
    assert [json.loads(line)["Hash"] for line in answer.text.splitlines()] == [HELLO, EMPTY_CID]


@pytest.mark.parametrize("query", [{"cid-version": "1"}, {"raw-leaves": "true"}, {"chunker": "size-1024"}])
async def test_what_would_give_another_cid_is_refused(http: httpx.AsyncClient, query: dict[str, str]) -> None:
    answer = await http.post("/api/v0/add", params=query, files={"file": ("a", b"x")})
    assert answer.status_code == 400
    assert "another CID" in answer.json()["Message"]


async def test_blocks_and_the_other_kubo_calls(http: httpx.AsyncClient) -> None:
    await add(http, BIG)
    for cid, block in blocks(BIG):
        answer = await http.post("/api/v0/block/get", params={"arg": cid})
        assert answer.content == block
        stat = await http.post("/api/v0/block/stat", params={"arg": cid})
        assert stat.json() == {"Key": cid, "Size": len(block)}
    root = file_cid(BIG)
    assert (await http.post("/api/v0/pin/add", params={"arg": root})).json() == {"Pins": [root]}
    assert root in (await http.post("/api/v0/pin/ls")).json()["Keys"]
    assert (await http.post("/api/v0/id")).json()["AgentVersion"].startswith("kubo/")
    for path in ("cat", "block/get", "pin/add"):
        assert (await http.post(f"/api/v0/{path}", params={"arg": EMPTY_CID})).status_code == 500
    assert (await http.post("/api/v0/add")).status_code == 400


async def test_pinata(http: httpx.AsyncClient) -> None:
    bare = (await http.post("/pinning/pinJSONToIPFS", content=b'{ "a": 1 }')).json()
    assert set(bare) == {"IpfsHash", "PinSize", "Timestamp"}
    assert bare["IpfsHash"] == file_cid(b'{"a":1}')
    wrapped = (await http.post("/pinning/pinJSONToIPFS", json={"pinataContent": {"a": 1}})).json()
    assert (wrapped["IpfsHash"], wrapped["isDuplicate"]) == (bare["IpfsHash"], True)
    text = (await http.post("/pinning/pinJSONToIPFS", content='{"a":"ö","b":2.0,"c":0.5}'.encode())).json()
    assert text["IpfsHash"] == file_cid('{"a":"ö","b":2,"c":0.5}'.encode())
    fields = {"pinataOptions": '{"cidVersion":0}'}
    pinned = (await http.post("/pinning/pinFileToIPFS", data=fields, files={"file": ("f", b"hello world\n")})).json()
    assert pinned["IpfsHash"] == HELLO
    assert (await http.post("/pinning/pinJSONToIPFS", content=b"{")).status_code == 400
    assert (await http.post("/pinning/pinFileToIPFS", files={"other": ("f", b"x")})).status_code == 400


@pytest.mark.parametrize("options", ['{"cidVersion":1}', '{"wrapWithDirectory":true}', "{", "[]"])
async def test_pins_that_would_give_another_cid_are_refused(http: httpx.AsyncClient, options: str) -> None:
    files = {"file": ("f", b"x")}
    answer = await http.post("/pinning/pinFileToIPFS", data={"pinataOptions": options}, files=files)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "BAD_REQUEST")
    assert (await http.get("/ipfs/" + file_cid(b"never"))).status_code == 404


async def test_browsers_may_show_a_token_and_send_pins(http: httpx.AsyncClient) -> None:
    asked = {"Origin": "https://example.com", "Access-Control-Request-Headers": "authorization,content-type"}
    for path in ("/pinning/pinJSONToIPFS", f"/ipfs/{HELLO}", "/api/v0/add"):
        answer = await http.options(path, headers=asked)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        allowed = answer.headers["access-control-allow-headers"].lower()
        assert "authorization" in allowed
        assert "content-type" in allowed


async def test_large_uploads_are_not_kept_in_memory(http: httpx.AsyncClient, tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        for number in range(24):
            file.write(random.Random(number).randbytes(1 << 20))
    tracemalloc.start()
    with big.open("rb") as file:
        line = json.loads((await http.post("/api/v0/add", files={"file": ("big", file)}, timeout=60)).text)
    async with http.stream("GET", f"/ipfs/{line['Hash']}", params={"format": "car"}) as answer:
        length = 0
        async for piece in answer.aiter_raw():
            length += len(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert length > 24 << 20
    assert peak < 12 << 20


async def test_what_is_too_large_is_refused(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "MOST_BYTES", 1000)
    for path in ("/api/v0/add", "/pinning/pinFileToIPFS"):
        answer = await http.post(path, files={"file": ("f", bytes(1001))})
        assert answer.status_code == 413
        assert (await http.post(path, files={"file": ("f", bytes(1000))})).status_code == 200


async def test_files_put_into_the_folder_are_served(still_localnet: Localnet, http: httpx.AsyncClient) -> None:
    """A restored chain brings its content along."""
    cid = file_cid(BIG)
    (still_localnet.content.folder / cid).write_bytes(BIG)
    assert (await http.get(f"/ipfs/{cid}")).content == BIG
    name, block = next(iter(blocks(BIG)))
    assert (await http.get(f"/ipfs/{name}?format=raw")).content == block


async def test_gateway(http: httpx.AsyncClient) -> None:
    await add(http, b"hello world\n")
    answer = await http.get(f"/ipfs/{HELLO}")
    assert (answer.text, answer.headers["etag"]) == ("hello world\n", f'"{HELLO}"')
    assert answer.headers["content-type"].startswith("text/plain")
    head = await http.head(f"/ipfs/{HELLO}")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "12", b"")
    missing = await http.get(f"/ipfs/{EMPTY_CID}")
    assert missing.status_code == 404
    assert EMPTY_CID in missing.text
    for malformed in ("QmX", "..%2f..%2fetc%2fpasswd", "%00", ""):
        assert (await http.get(f"/ipfs/{malformed}")).status_code == 400
    document = await add(http, b'{"a":1}')
    assert (await http.get(f"/ipfs/{document['Hash']}")).headers["content-type"].startswith("application/json")
    binary = await add(http, BIG)
    assert (await http.get(f"/ipfs/{binary['Hash']}")).headers["content-type"] == "application/octet-stream"


async def test_gateway_archives_and_blocks(http: httpx.AsyncClient) -> None:
    root = Cid((await add(http, BIG))["Hash"])
    archive = await http.get(f"/ipfs/{root}", params={"format": "car"})
    assert archive.headers["content-type"] == "application/vnd.ipld.car; version=1; order=dfs; dups=n"
    assert read(archive.content, root, len(BIG)) == BIG
    asked = await http.get(f"/ipfs/{root}", headers={"accept": "application/vnd.ipld.raw"})
    assert asked.content == dict(blocks(BIG))[root]


async def test_the_agents_own_stores_and_sources(still_localnet: Localnet) -> None:
    url = still_localnet.content_url
    kubo, pinata = KuboStore(url), PinataStore(url, "token")
    gateway, node = GatewaySource(f"{url}/ipfs/"), KuboSource(url)
    try:
        assert await kubo.add_file("big", BIG) == file_cid(BIG)
        assert await pinata.add_file("hello", b"hello world\n") == HELLO
        for source in (gateway, node):
            assert await source.fetch(file_cid(BIG), len(BIG)) == BIG
            assert await source.fetch(HELLO, 100) == b"hello world\n"
    finally:
        for closable in (kubo, pinata, gateway, node):
            await closable.aclose()
