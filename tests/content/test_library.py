"""Stores, sources and the library against real HTTP servers on this machine."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from node.content.cid import CidHasher, cid_to_hash32, file_cid, varint
from node.content.library import Library, open_library
from node.content.source import GatewaySource, KuboSource
from node.content.store import KuboStore, LocalStore, PinataStore
from node.errors import (
    ContentError,
    ContentMismatch,
    ContentTooLarge,
    ContentUnavailable,
    SettingsError,
    StoreRejected,
)
from node.records import Cid
from node.settings import ContentSettings, StoreSettings

DATA = b'{"hello":"world"}' * 50
CID = file_cid(DATA)


class NoWait:
    """A clock on which waiting takes no time."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class Ipfs:
    """A small IPFS front that can be told to misbehave."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.archives: dict[str, bytes] = {}
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.failures = 0
        self.wrong_cid = ""
        self.delay = 0.0
        self.url = ""

    async def add(self, request: web.Request) -> web.Response:
        form = await request.post()
        fields = {key: value for key, value in form.items() if isinstance(value, str)}
        self.requests.append(
            (request.path, dict(request.query), fields | {"auth": request.headers.get("authorization", "")})
        )
        if self.failures:
            self.failures -= 1
            return web.Response(status=503, text="busy")
        part = form["file"]
        assert isinstance(part, web.FileField)
        data = part.file.read()
        cid = self.wrong_cid or file_cid(data)
        self.files[cid] = data
        if request.path.startswith("/pinning"):
            return web.json_response({"IpfsHash": cid, "PinSize": len(data)})
        lines = [{"Name": part.filename, "Bytes": len(data)}, {"Name": part.filename, "Hash": cid, "Size": "1"}]
        return web.Response(text="\n".join(json.dumps(line) for line in lines) + "\n")

    async def get(self, request: web.Request) -> web.Response:
        await asyncio.sleep(self.delay)
        cid = request.match_info.get("cid") or request.query["arg"]
        self.requests.append((request.path, dict(request.query), {}))
        if self.failures:
            self.failures -= 1
            return web.Response(status=504)
        car = request.query.get("format") == "car" or request.path.endswith("dag/export")
        body = (self.archives if car else self.files).get(cid)
        return web.Response(status=404) if body is None else web.Response(body=body)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[], "asyncio.Future[Ipfs]"]]:
    runners: list[web.AppRunner] = []

    async def start() -> Ipfs:
        ipfs = Ipfs()
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/api/v0/add", ipfs.add)
        app.router.add_post("/pinning/pinFileToIPFS", ipfs.add)
        app.router.add_post("/api/v0/cat", ipfs.get)
        app.router.add_post("/api/v0/dag/export", ipfs.get)
        app.router.add_get("/ipfs/{cid}", ipfs.get)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        runners.append(runner)
        ipfs.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return ipfs

    yield start  # type: ignore[misc]
    for runner in runners:
        await runner.cleanup()


def archive(data: bytes, *, chunk: int, links: int) -> tuple[Cid, bytes]:
    """A CAR of the data in a layout that is not ours."""
    blocks: list[tuple[Cid, bytes]] = []
    hasher = CidHasher(lambda cid, block: blocks.append((cid, block)), chunk_bytes=chunk, links=links)
    hasher.update(data)
    root = hasher.cid()
    header = b"\xa2eroots\x80gversion\x01"
    out = varint(len(header)) + header
    for cid, block in blocks:
        out += varint(34 + len(block)) + b"\x12\x20" + cid_to_hash32(cid) + block
    return root, out


# --- stores -----------------------------------------------------------------------------------------


async def test_kubo_store_states_the_layout(serve) -> None:
    ipfs = await serve()
    store = KuboStore(ipfs.url + "/")
    assert await store.add_file("definition.json", DATA) == CID
    await store.aclose()
    path, query, _ = ipfs.requests[0]
    assert path == "/api/v0/add"
    assert query == {
        "cid-version": "0",
        "chunker": "size-262144",
        "hash": "sha2-256",
        "inline": "false",
        "max-file-links": "174",
        "pin": "true",
        "raw-leaves": "false",
        "trickle": "false",
        "wrap-with-directory": "false",
    }
    assert ipfs.files[CID] == DATA


async def test_pinata_store_sends_a_file_with_its_token(serve) -> None:
    ipfs = await serve()
    store = PinataStore(ipfs.url, "TOKEN")
    assert await store.add_file("result.json", DATA) == CID
    await store.aclose()
    path, _, fields = ipfs.requests[0]
    assert path == "/pinning/pinFileToIPFS"
    assert fields["auth"] == "Bearer TOKEN"
    assert json.loads(fields["pinataOptions"]) == {"cidVersion": 0}
    assert "TOKEN" not in repr(store)


@pytest.mark.parametrize("kind", [lambda url: KuboStore(url), lambda url: PinataStore(url, "t")])
async def test_a_store_that_answers_another_cid_has_failed(serve, kind) -> None:
    ipfs = await serve()
    ipfs.wrong_cid = str(file_cid(b"other"))
    store = kind(ipfs.url)
    with pytest.raises(StoreRejected, match="answered CID") as caught:
        await store.add_file("x", DATA)
    assert caught.value.hint
    await store.aclose()


async def test_a_store_that_answers_nonsense_has_failed(serve) -> None:
    ipfs = await serve()
    store = PinataStore(ipfs.url.replace("127.0.0.1", "localhost") + "/ipfs", "t")
    with pytest.raises(StoreRejected, match="HTTP 404"):
        await store.add_file("x", DATA)
    await store.aclose()


async def test_an_unreachable_store_is_worth_another_try() -> None:
    store = KuboStore("http://127.0.0.1:1")
    with pytest.raises(ContentUnavailable, match="cannot be reached"):
        await store.add_file("x", DATA)
    await store.aclose()


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "127.0.0.1:5001", "http://x:99999"])
def test_an_address_must_be_http(url: str) -> None:
    with pytest.raises(ContentError, match="no http"):
        KuboStore(url)


async def test_local_store_keeps_files_and_notices_changes(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "content")
    assert await store.add_file("a", DATA) == CID
    assert await store.add_file("a", DATA) == CID
    assert await store.fetch(CID, len(DATA)) == DATA
    assert [path.name for path in (tmp_path / "content").iterdir()] == [CID]
    with pytest.raises(ContentTooLarge):
        await store.fetch(CID, len(DATA) - 1)
    (tmp_path / "content" / CID).write_bytes(DATA[:-1])
    with pytest.raises(ContentMismatch):
        await store.fetch(CID, len(DATA))
    with pytest.raises(ContentUnavailable):
        await store.fetch(file_cid(b"never"), 10)


async def test_local_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreRejected, match="cannot be written"):
        await LocalStore(tmp_path / "file").add_file("a", DATA)


# --- sources ----------------------------------------------------------------------------------------


async def test_gateway_bytes_must_match(serve) -> None:
    ipfs = await serve()
    source = GatewaySource(ipfs.url + "/ipfs/")
    ipfs.files[CID] = DATA
    assert await source.fetch(CID, len(DATA)) == DATA
    ipfs.files[CID] = DATA + b" "
    with pytest.raises(ContentMismatch):
        await source.fetch(CID, 10_000)
    with pytest.raises(ContentTooLarge):
        await source.fetch(CID, len(DATA))
    with pytest.raises(ContentUnavailable, match="HTTP 404"):
        await source.fetch(file_cid(b"never"), 10)
    await source.aclose()


@pytest.mark.parametrize("kind", [lambda url: GatewaySource(url + "/ipfs/"), lambda url: KuboSource(url)])
async def test_another_layout_is_checked_block_by_block(serve, kind) -> None:
    ipfs = await serve()
    cid, car = archive(DATA, chunk=100, links=3)
    assert cid != CID
    ipfs.files[cid], ipfs.archives[cid] = DATA, car
    source = kind(ipfs.url)
    assert await source.fetch(cid, len(DATA)) == DATA
    ipfs.archives[cid] = car.replace(b"hello", b"jello", 1)
    with pytest.raises(ContentMismatch, match="other bytes than its CID"):
        await source.fetch(cid, len(DATA))
    ipfs.archives[cid] = car[: len(car) // 2]
    with pytest.raises(ContentMismatch):
        await source.fetch(cid, len(DATA))
    await source.aclose()


async def test_a_slow_source_is_given_up(serve) -> None:
    ipfs = await serve()
    ipfs.delay = 5
    source = GatewaySource(ipfs.url + "/ipfs/", timeout=0.05)
    with pytest.raises(ContentUnavailable, match="did not answer within"):
        await source.fetch(CID, 10)
    await source.aclose()


# --- the library ------------------------------------------------------------------------------------


async def test_first_matching_source_wins(serve) -> None:
    slow, liar, good = await serve(), await serve(), await serve()
    slow.delay, slow.files[CID] = 30, DATA
    liar.files[CID] = b"lies"
    good.files[CID] = DATA
    library = Library((), [GatewaySource(s.url + "/ipfs/") for s in (slow, liar, good)], clock=NoWait())
    async with asyncio.timeout(5):
        fetched = await library.fetch(CID, 10_000)
    assert fetched.body == DATA
    assert fetched.source.startswith("gateway")
    await library.aclose()


async def test_sources_are_asked_again(serve) -> None:
    ipfs = await serve()
    ipfs.files[CID], ipfs.failures = DATA, 2
    library = Library((), [GatewaySource(ipfs.url + "/ipfs/")], clock=NoWait())
    assert (await library.fetch(CID, 10_000)).body == DATA
    assert len(ipfs.requests) == 3
    await library.aclose()


@pytest.mark.parametrize(
    ("served", "limit", "error"),
    [(b"lies", 10_000, ContentMismatch), (DATA, 10, ContentTooLarge), (None, 10, ContentUnavailable)],
)
async def test_fetch_says_what_was_wrong(serve, served, limit, error) -> None:
    ipfs = await serve()
    if served is not None:
        ipfs.files[CID] = served
    library = Library((), [GatewaySource(ipfs.url + "/ipfs/")], clock=NoWait())
    with pytest.raises(error) as caught:
        await library.fetch(CID, limit)
    assert CID in caught.value.message
    assert caught.value.hint
    await library.aclose()


async def test_publish_needs_one_store_and_keeps_a_copy(serve, tmp_path: Path) -> None:
    broken, good = await serve(), await serve()
    broken.failures = 100
    library = Library(
        [KuboStore(broken.url), PinataStore(good.url, "t")], (), local=LocalStore(tmp_path), clock=NoWait()
    )
    assert await library.publish("result.json", DATA) == (CID, ("pinata 127.0.0.1",))
    assert (tmp_path / CID).read_bytes() == DATA
    assert (await library.fetch(CID, 10_000)).source == "local"
    good.wrong_cid = str(file_cid(b"other"))
    with pytest.raises(ContentUnavailable):
        await library.publish("result.json", DATA)
    broken.failures, broken.wrong_cid = 0, good.wrong_cid
    with pytest.raises(StoreRejected):
        await library.publish("result.json", DATA)
    await library.aclose()


async def test_publish_tries_a_busy_store_again(serve) -> None:
    ipfs = await serve()
    ipfs.failures = 2
    library = Library([KuboStore(ipfs.url)], (), clock=NoWait())
    assert (await library.publish("r", DATA))[0] == CID
    await library.aclose()


async def test_publish_limits(tmp_path: Path) -> None:
    library = Library((), (), local=LocalStore(tmp_path), upload_limit=5)
    with pytest.raises(ContentTooLarge):
        await library.publish("r", b"123456")
    with pytest.raises(StoreRejected, match="no store is set"):
        await library.publish("r", b"12345")
    with pytest.raises(ContentUnavailable, match="no gateway is set"):
        await library.fetch(CID, 10)


async def test_library_of_the_settings(serve, tmp_path: Path) -> None:
    ipfs = await serve()
    token = tmp_path / "token"
    token.write_text("SECRET\n")
    settings = ContentSettings(
        stores=(
            StoreSettings(kind="kubo", url=ipfs.url),
            StoreSettings(kind="pinata", url=ipfs.url, jwt_file=token),
        ),
        gateways=(ipfs.url + "/ipfs/",),
    )
    library = open_library(settings, tmp_path / "content", clock=NoWait())
    cid, stores = await library.publish("r", DATA)
    assert (cid, len(stores)) == (CID, 2)
    assert any(fields.get("auth") == "Bearer SECRET" for _, _, fields in ipfs.requests)
    await library.aclose()
    token.unlink()
    with pytest.raises(SettingsError, match="token"):
        open_library(settings, None)
