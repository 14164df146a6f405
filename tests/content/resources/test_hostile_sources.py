"""Servers that lie about lengths and names, never end, or point into the host's own network."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from node.content.resources import s3 as s3_room
from node.errors import ResourceFailed
from tests.content.resources.conftest import MakeDesk
from tests.content.resources.hub import running
from tests.content.resources.store import Store, list_page, store_server
from tests.content.resources.wants import contents, have, ollama, s3

pytestmark = pytest.mark.long

DATA = bytes(range(256)) * 1000


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with store_server(Store({"pre/file": DATA})) as open_store:
        yield open_store


async def refused(make_desk: MakeDesk, store: Store, match: str, **settings: object) -> None:
    """The store's data are refused, and nothing of them can be used."""
    desk = make_desk(**settings)
    with pytest.raises(ResourceFailed, match=match):
        await have(desk, s3(f"{store.url}/pre"))


async def test_more_bytes_than_the_list_states(make_desk: MakeDesk, store: Store, tmp_path: Path) -> None:
    store.listed["pre/file"] = 1000
    await refused(make_desk, store, "sends more than the 1,000 bytes|does not match")
    assert list((tmp_path / "resources/entries").iterdir()) == []


async def test_fewer_bytes_than_the_list_states(make_desk: MakeDesk, store: Store) -> None:
    store.listed["pre/file"] = len(DATA) + 1
    await refused(make_desk, store, "early|changes meanwhile|416")


async def test_a_body_that_never_ends(make_desk: MakeDesk, store: Store) -> None:
    async def endless(request: web.Request, data: bytes) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        while True:
            await response.write(data)

    store.answer = endless
    await refused(make_desk, store, "sends more than")


async def test_a_server_that_dribbles(make_desk: MakeDesk, store: Store) -> None:
    async def dribble(request: web.Request, data: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        for byte in data:
            await response.write(bytes([byte]))
            await asyncio.sleep(0.05)
        return response

    store.answer = dribble
    await refused(make_desk, store, "takes too long|dribbles", patience=0.3, longest=3)


async def test_wrong_bytes(make_desk: MakeDesk, store: Store, tmp_path: Path) -> None:
    async def other(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(body=data[::-1], headers={"ETag": f'"{store.tag("pre/file")}"'})

    store.answer = other
    await refused(make_desk, store, "does not match its checksum")
    assert list((tmp_path / "resources/entries").iterdir()) == []


async def test_wrong_bytes_by_the_store_s_own_checksum(make_desk: MakeDesk, store: Store) -> None:
    async def other(request: web.Request, data: bytes) -> web.StreamResponse:
        # SHA-256 of other bytes; the ETag is none that could be compared.
        return web.Response(body=data, headers={"ETag": '"of-parts-2"', "x-amz-checksum-sha256": "A" * 43 + "="})

    store.tags["pre/file"] = "of-parts-2"
    store.answer = other
    await refused(make_desk, store, "does not match its checksum")


async def test_compressed_answers_are_not_unfolded(make_desk: MakeDesk, store: Store) -> None:
    async def folded(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(body=gzip.compress(data), headers={"Content-Encoding": "gzip"})

    store.answer = folded
    await refused(make_desk, store, "encoding that was not asked for")


@pytest.mark.parametrize(
    "key",
    [
        "pre/../../../../outside",
        "pre/..",
        "pre/./x",
        "pre//etc/passwd",
        "pre/a\tb",
        "pre/" + "x" * 300,
        "pre/" + "d/" * 100 + "x",
    ],
)
async def test_names_that_lead_elsewhere(make_desk: MakeDesk, store: Store, key: str, tmp_path: Path) -> None:
    store.objects[key] = b"escaped"
    await refused(make_desk, store, "the server names a file")
    assert not list(tmp_path.rglob("outside"))
    assert list((tmp_path / "resources/entries").iterdir()) == []


async def test_a_file_that_is_another_s_folder(make_desk: MakeDesk, store: Store) -> None:
    store.objects["pre/file/inside"] = b"x"
    await refused(make_desk, store, "a file and a folder at once")


async def test_names_asked_for_stay_inside_as_well(make_desk: MakeDesk, store: Store) -> None:
    store.objects["secret"] = b"x"
    for name in ("../secret", "a/../../secret", ".", ".."):
        with pytest.raises(ResourceFailed):
            await have(make_desk(), s3(f"{store.url}/pre", files=(name,)))


async def test_more_files_than_may_be(make_desk: MakeDesk, store: Store) -> None:
    store.objects.update({f"pre/{number}": b"" for number in range(30)})
    await refused(make_desk, store, "more than 20 files", files=20)


async def test_more_bytes_than_may_be(make_desk: MakeDesk, store: Store) -> None:
    await refused(make_desk, store, "256,000 bytes, more than the 100,000", job=100_000)
    assert store.asked == ["LIST"]


async def test_lists_that_never_end(make_desk: MakeDesk, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.page = lambda request: list_page(store, "pre", truncated="again")
    await refused(make_desk, store, "never ends its list")
    store.page = lambda request: "<ListBucketResult>" + " " * (s3_room.PAGE_BYTES + 1)
    await refused(make_desk, store, "answered more than 8,388,608 bytes")


@pytest.mark.parametrize(
    "page",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><ListBucketResult>&b;</ListBucketResult>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><ListBucketResult>&a;</ListBucketResult>',
        "<html>Welcome</html>",
        "no XML at all",
        "",
    ],
)
async def test_lists_that_are_none(make_desk: MakeDesk, store: Store, page: str) -> None:
    store.page = lambda request: page
    await refused(make_desk, store, "no list of an S3 bucket")


async def test_a_size_that_is_none(make_desk: MakeDesk, store: Store) -> None:
    store.listed["pre/file"] = -5
    await refused(make_desk, store, "states no size")


async def test_addresses_of_the_host_s_own_network(make_desk: MakeDesk, store: Store) -> None:
    desk = make_desk(exempt=lambda host, port: False)
    port = store.url.split(":")[2].split("/")[0]
    for host in ("127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "0.0.0.0", "2130706433"):
        with pytest.raises(ResourceFailed, match=r"is not fetched|can be fetched|malformed"):
            await have(desk, s3(f"http://{host}:{port}/bucket/pre"))
    for host in ("127.0.0.1", "169.254.169.254"):
        with pytest.raises(ResourceFailed, match="is not fetched"):
            await have(desk, ollama(f"{host}:{port}/library/tiny"))
    assert store.asked == []


async def test_the_operator_may_allow_a_host(make_desk: MakeDesk, store: Store) -> None:
    place = store.url.removeprefix("http://").partition("/")[0]
    desk = make_desk(exempt=lambda host, port: False, private_hosts=(place,))
    (mount,) = await have(desk, s3(f"{store.url}/pre"))
    assert contents(mount) == {"file": DATA}


async def test_a_redirect_into_the_host_s_own_network(make_desk: MakeDesk, store: Store) -> None:
    inside: list[str] = []

    async def secret(request: web.Request) -> web.Response:
        inside.append(request.path)
        return web.Response(body=DATA)

    app = web.Application()
    app.router.add_get("/{path:.*}", secret)
    async with running(app) as target:

        async def away(request: web.Request, data: bytes) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": f"{target}/latest/meta-data"})

        store.answer = away
        open_port = int(store.url.split(":")[2].split("/")[0])
        await refused(make_desk, store, "is not fetched", exempt=lambda host, port: port == open_port)
    assert inside == []


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://example.org/x", "gopher://x/", "http://user:word@example.org/"]
)
async def test_redirects_to_other_things(make_desk: MakeDesk, store: Store, to: str) -> None:
    async def away(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": to})

    store.answer = away
    await refused(make_desk, store, "no address|malformed")


async def test_redirects_without_end(make_desk: MakeDesk, store: Store) -> None:
    async def around(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": str(request.url)})

    store.answer = around
    await refused(make_desk, store, "redirects more than 5 times")


@pytest.mark.parametrize(
    "manifest",
    [
        {"layers": [{"digest": "sha256:../../x", "size": 1}], "config": {"digest": "sha256:" + "0" * 64, "size": 1}},
        {"layers": [{"digest": "sha256:" + "0" * 64, "size": -1}], "config": {}},
        {"layers": [{"digest": "sha256:" + "0" * 64, "size": "1"}], "config": {}},
        {"layers": [{"digest": "sha512:" + "0" * 128, "size": 1}], "config": {}},
        {"layers": "all"},
        [],
        None,
    ],
)
async def test_manifests_that_make_no_sense(make_desk: MakeDesk, manifest: object) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(manifest)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with running(app) as base:
        with pytest.raises(ResourceFailed, match=r"no manifest of a model|without digest or size"):
            await have(make_desk(ollama=base), ollama("tiny"))


async def test_nothing_of_a_login_is_in_arguments_or_environment(make_desk: MakeDesk, store: Store) -> None:
    from node.logins import ResourceLogin
    from tests.content.resources.test_resume import helpers

    seen: list[bytes] = []

    async def look(request: web.Request, data: bytes) -> web.StreamResponse:
        assert "ACCESSKEY" in request.headers["Authorization"]
        for helper in helpers():
            seen.append(Path(f"/proc/{helper}/cmdline").read_bytes() + Path(f"/proc/{helper}/environ").read_bytes())
        return web.Response(body=data)

    store.answer = look
    login = ResourceLogin(access_key="ACCESSKEY", secret_key="TOPSECRET", region="eu-west-1")
    (mount,) = await have(make_desk(), s3(f"{store.url}/pre"), login=login)
    assert contents(mount) == {"file": DATA}
    assert seen
    assert not any(b"SECRET" in each or b"ACCESSKEY" in each for each in seen)
    for path in Path(mount.folder).parents[2].rglob("*"):
        assert not path.is_file() or (b"TOPSECRET" not in path.read_bytes() and b"ACCESSKEY" not in path.read_bytes())
