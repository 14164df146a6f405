"""What is kept, for whom, and what goes when there is no room."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from node.content.resources.desk import ResourceDesk
from node.errors import ResourceFailed
from node.logins import ResourceLogin
from tests.content.resources.conftest import MakeDesk
from tests.content.resources.hub import TOKEN, Hub, hub_server
from tests.content.resources.rclone import ACCESS_KEY, SECRET_KEY
from tests.content.resources.store import Store, store_server
from tests.content.resources.wants import contents, have, hugging_face, known, s3

pytestmark = pytest.mark.long

MB = 1_000_000
FILES = {f"{name}/file": os.urandom(MB) for name in "abcd"}


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with store_server(Store(dict(FILES))) as running:
        yield running


def entries(tmp_path: Path) -> set[str]:
    """What is kept, by content."""
    kept = (tmp_path / "resources/entries").iterdir()
    names = {data: name[0] for name, data in FILES.items()}
    return {names[(path / "data/file").read_bytes()] for path in kept}


async def take(desk: ResourceDesk, store: Store, name: str, run: str = "run") -> Path:
    (mount,) = await have(desk, s3(f"{store.url}/{name}"), run=run, operation=ord(name))
    return Path(mount.folder)


async def test_the_longest_unused_goes_first(make_desk: MakeDesk, store: Store, tmp_path: Path) -> None:
    desk = make_desk(cache=2_500_000)
    for run, name in enumerate("ab"):
        await take(desk, store, name, f"run{run}")
        await desk.release(f"run{run}")
        await asyncio.sleep(0.01)
    await take(desk, store, "a", "again")
    await desk.release("again")
    await take(desk, store, "c", "run3")
    assert entries(tmp_path) == {"a", "c"}
    assert list((tmp_path / "resources/trash").iterdir()) == []


async def test_what_a_run_uses_stays(make_desk: MakeDesk, store: Store, tmp_path: Path) -> None:
    desk = make_desk(cache=2_500_000)
    await take(desk, store, "a", "one")
    await take(desk, store, "b", "two")
    with pytest.raises(ResourceFailed, match="there is no room for 1,000,000 bytes"):
        await take(desk, store, "c", "three")
    # Another life of the agent knows it too.
    desk = make_desk(cache=2_500_000)
    with pytest.raises(ResourceFailed, match="there is no room"):
        await take(desk, store, "c", "three")
    assert entries(tmp_path) == {"a", "b"}
    await desk.release("one")
    await take(desk, store, "c", "three")
    assert entries(tmp_path) == {"b", "c"}


async def test_runs_that_nobody_knows_any_more_hold_nothing(make_desk: MakeDesk, store: Store, tmp_path: Path) -> None:
    desk = make_desk()
    await take(desk, store, "a", "gone")
    (copy,) = await have(desk, s3(f"{store.url}/b", writable=True), run="gone", operation=1)
    await take(desk, store, "c", "here")
    desk = make_desk(cache=1_500_000)
    await desk.tidy(known("here"))
    assert entries(tmp_path) == {"c"}
    assert not Path(copy.folder).exists()
    assert [path.name for path in (tmp_path / "resources/pins").iterdir()] == ["here.json"]


async def test_a_run_at_work_is_known(make_desk: MakeDesk, store: Store, tmp_path: Path) -> None:
    desk = make_desk()
    listed = asyncio.Event()
    going_on = asyncio.Event()

    async def wait(request: web.Request, data: bytes) -> web.StreamResponse:
        listed.set()
        await going_on.wait()
        return web.Response(body=data)

    await take(desk, store, "a", "run")
    store.answer = wait
    task = asyncio.create_task(take(desk, store, "b", "run"))
    await listed.wait()
    await desk.tidy(known())
    going_on.set()
    await task
    assert entries(tmp_path) == {"a", "b"}
    assert [path.name for path in (tmp_path / "resources/pins").iterdir()] == ["run.json"]


async def test_a_restart_is_given_the_same_without_the_source(make_desk: MakeDesk, store: Store) -> None:
    folder = await take(make_desk(), store, "a")
    store.asked.clear()
    store.objects["a/file"] = b"another one by now"
    assert await take(make_desk(), store, "a") == folder
    assert store.asked == []
    # What another run is given is what is there now.
    other = await take(make_desk(), store, "a", "other")
    assert contents(other) == {"file": b"another one by now"}
    assert contents(folder) == {"file": FILES["a/file"]}


async def test_an_entry_that_was_removed_by_hand_is_fetched_anew(make_desk: MakeDesk, store: Store) -> None:
    desk = make_desk()
    folder = await take(desk, store, "a")
    shutil.rmtree(folder.parent)
    assert contents(await take(desk, store, "a", "other")) == {"file": FILES["a/file"]}
    assert contents(await take(desk, store, "a")) == {"file": FILES["a/file"]}


async def test_the_bound_of_one_job(make_desk: MakeDesk, store: Store) -> None:
    desk = make_desk(job=2_500_000)
    await take(desk, store, "a")
    await take(desk, store, "b")
    with pytest.raises(ResourceFailed, match="this job's remote data come to more than 2,500,000 bytes"):
        await take(desk, store, "c")
    # The same data once more are no more data; another job has its own bound.
    (mount,) = await have(desk, s3(f"{store.url}/a"), operation=99)
    assert contents(mount) == {"file": FILES["a/file"]}
    await take(desk, store, "c", "other")


async def test_free_space_that_the_disk_keeps(make_desk: MakeDesk, store: Store, tmp_path: Path) -> None:
    desk = make_desk(keep_free=1 << 60)
    with pytest.raises(ResourceFailed, match="too many for the disk"):
        await take(desk, store, "a")
    assert store.asked == ["LIST"]


async def test_giving_way_to_what_jobs_need(make_desk: MakeDesk, store: Store, tmp_path: Path) -> None:
    desk = make_desk()
    for name in "abcd":
        await take(desk, store, name, f"run-{name}")
        if name != "b":
            await desk.release(f"run-{name}")
        await asyncio.sleep(0.01)
    await desk.give_way(1)
    assert entries(tmp_path) == {"b", "c", "d"}
    await desk.give_way(1_500_000)
    assert entries(tmp_path) == {"b"}
    await desk.give_way(1_500_000)
    assert entries(tmp_path) == {"b"}


async def test_a_download_cut_off_makes_room_for_others(make_desk: MakeDesk, store: Store, tmp_path: Path) -> None:
    desk = make_desk(cache=1_500_000)
    reached = asyncio.Event()

    async def half(request: web.Request, data: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[:700_000])
        await asyncio.sleep(0.2)
        reached.set()
        await asyncio.sleep(60)
        return response

    store.answer = half
    task = asyncio.create_task(take(desk, store, "a"))
    await reached.wait()
    # While it is under way its room is taken.
    with pytest.raises(ResourceFailed, match="there is no room"):
        await take(desk, store, "b", "other")
    task.cancel()
    await asyncio.wait([task])
    assert len(list((tmp_path / "resources/partial").iterdir())) == 1
    store.answer = None
    await take(desk, store, "b", "other")
    assert list((tmp_path / "resources/partial").iterdir()) == []


async def test_private_data_are_kept_from_others(make_desk: MakeDesk, tmp_path: Path) -> None:
    async with hub_server(Hub({"model.bin": b"m" * 5000}, private=True)) as hub:
        desk = make_desk(hub=hub.base)
        (mine,) = await have(desk, hugging_face(), login=ResourceLogin(token=TOKEN))
        for login in (None, ResourceLogin(token="hf_other")):
            with pytest.raises(ResourceFailed, match="status code 401"):
                await have(desk, hugging_face(), run="other", login=login)
        # Open by now: who comes without the login still meets an entry of his own.
        hub.private = False
        (open_to_all,) = await have(desk, hugging_face(), run="other")
        (shared,) = await have(desk, hugging_face(), run="third")
        assert mine.folder != open_to_all.folder == shared.folder


async def test_a_key_says_nothing_of_its_login(
    make_desk: MakeDesk, closed_s3: str, buckets: Path, tmp_path: Path
) -> None:
    (buckets / "bucket/private").write_bytes(b"private")
    login = ResourceLogin(access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    names = []
    for place in ("one", "two"):
        desk = ResourceDesk(make_desk()._settings, tmp_path / place, exempt=lambda host, port: True)
        (mount,) = await have(desk, s3(f"{closed_s3}/bucket/private"), login=login)
        names.append(Path(mount.folder).parent.name)
        root = tmp_path / place
        assert root.stat().st_mode & 0o777 == 0o711
        assert {path.stat().st_mode & 0o077 for path in (root / "salt", *(root / "pins").iterdir())} == {0}
        assert (root / "pins").stat().st_mode & 0o777 == 0o700
        assert (root / "entries").stat().st_mode & 0o777 == 0o711
    # Another host, another name for the same: nobody can work it out from what is public.
    assert names[0] != names[1]


async def test_content_that_nothing_identifies_is_not_shared(make_desk: MakeDesk) -> None:
    served = [b"first", b"second"]

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        if "Range" not in request.headers:
            await response.write(served.pop(0))
        return response

    app = web.Application()
    app.router.add_get("/files/{name}", answer)
    from tests.content.resources.hub import running

    async with running(app) as base:
        desk = make_desk()
        found = [await have(desk, s3(f"{base}/files", files=("x",)), run=run) for run in ("one", "two")]
    assert [contents(mount) for (mount,) in found] == [{"x": b"first"}, {"x": b"second"}]


@pytest.mark.parametrize("run", ["", "../x", "a/b", ".hidden", "x" * 200, "a\0b"])
async def test_names_that_no_run_has(make_desk: MakeDesk, run: str) -> None:
    desk = make_desk()
    with pytest.raises(ResourceFailed, match="no name of a run"):
        await have(desk, run=run)
    with pytest.raises(ResourceFailed, match="no name of a run"):
        await desk.release(run)


async def test_releasing_what_was_never_prepared(make_desk: MakeDesk) -> None:
    await make_desk().release("unknown")
