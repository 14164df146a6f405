"""Downloads that break off go on where they stood: after a lost connection, a killed helper, an ended agent."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from node.content.resources import download as download_room
from node.content.resources.desk import ResourceDesk
from node.content.resources.listing import RemoteFile, listing_of
from node.content.resources.web import Web, as_is
from node.errors import ResourceFailed
from tests.content.resources.conftest import MakeDesk
from tests.content.resources.hub import Hub, hub_server
from tests.content.resources.life import desk_at
from tests.content.resources.store import Store, cut_at, stall_at, store_server
from tests.content.resources.wants import contents, have, hugging_face, s3

DATA = os.urandom(3_000_000)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with store_server(Store({"pre/big": DATA, "pre/small": b"small"})) as running:
        yield running


async def test_a_lost_connection(make_desk: MakeDesk, store: Store) -> None:
    store.answer = cut_at(1_000_000, times=2)
    (mount,) = await have(make_desk(parallel=1), s3(f"{store.url}/pre"))
    assert contents(mount) == {"big": DATA, "small": b"small"}
    asked = [line.split("bytes=")[1].split("-")[0] for line in store.asked if line.startswith("pre/big bytes=")]
    assert len(asked) == 2
    assert all(int(start) > 0 for start in asked)


async def test_a_server_that_loses_every_connection_at_once_is_given_up(make_desk: MakeDesk, store: Store) -> None:
    store.answer = cut_at(0, times=1000)
    with pytest.raises(ResourceFailed, match="broke off") as failed:
        await have(make_desk(parallel=1, patience=0.5), s3(f"{store.url}/pre"))
    assert "again" in failed.value.hint
    tries = [line for line in store.asked if line.startswith("pre/big")]
    assert len(tries) == download_room.FRUITLESS_TRIES


async def test_a_server_that_falls_silent_is_asked_anew(make_desk: MakeDesk, store: Store) -> None:
    store.answer = stall_at(1_000_000, asyncio.Event())
    (mount,) = await have(make_desk(patience=0.5), s3(f"{store.url}/pre"))
    assert contents(mount)["big"] == DATA


async def test_a_server_that_asks_to_be_left_alone_is(make_desk: MakeDesk, store: Store) -> None:
    at: list[float] = []

    async def busy(request: web.Request, data: bytes) -> web.StreamResponse:
        at.append(asyncio.get_running_loop().time())
        if len(at) == 1:
            return web.Response(status=429, headers={"Retry-After": "2"})
        return web.Response(body=data)

    store.objects, store.answer = {"pre/big": DATA}, busy
    (mount,) = await have(make_desk(), s3(f"{store.url}/pre"))
    assert contents(mount) == {"big": DATA}
    assert at[1] - at[0] >= 2


async def half_way(desk: ResourceDesk, store: Store, run: str = "run") -> asyncio.Task[object]:
    """A task that is in the middle of the download."""
    reached = asyncio.Event()
    store.answer = stall_at(2_000_000, reached)
    task: asyncio.Task[object] = asyncio.create_task(have(desk, s3(f"{store.url}/pre"), run=run))
    await asyncio.wait_for(reached.wait(), 20)
    return task


def helpers(parent: int | None = None) -> list[int]:
    """Download helpers of a process, by default this one."""
    named = str(parent or os.getpid()).encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"node.content.resources.helper" in words and named in words:
            found.append(int(path.name))
    return found


async def test_cancelling_ends_the_helper_and_the_next_goes_on(
    make_desk: MakeDesk, store: Store, tmp_path: Path
) -> None:
    task = await half_way(make_desk(), store)
    assert len(helpers()) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert helpers() == []
    # Nothing of it looks like data that can be used.
    assert list((tmp_path / "resources/entries").iterdir()) == []
    store.asked.clear()
    # Another life of the agent, on the same folder.
    (mount,) = await have(make_desk(), s3(f"{store.url}/pre"))
    assert contents(mount)["big"] == DATA
    (line,) = [line for line in store.asked if line.startswith("pre/big")]
    assert line.startswith("pre/big bytes=")
    assert int(line.split("=")[1].split("-")[0]) > 1_000_000


async def test_a_killed_helper_fails_the_resource_and_the_next_goes_on(make_desk: MakeDesk, store: Store) -> None:
    desk = make_desk()
    task = await half_way(desk, store)
    (helper,) = helpers()
    os.kill(helper, signal.SIGKILL)
    with pytest.raises(ResourceFailed, match="helper ended"):
        await task
    (mount,) = await have(desk, s3(f"{store.url}/pre"))
    assert contents(mount)["big"] == DATA


def is_alive(pid: int) -> bool:
    try:
        # Whoever has ended and was not waited for yet is a zombie; with its last threads ending it still runs.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def test_a_killed_agent_takes_its_helper_along(store: Store, tmp_path: Path) -> None:
    reached = asyncio.Event()
    store.objects = {"a/big": DATA[:2_400_000]}
    store.answer = stall_at(2_000_000, reached)
    root = tmp_path / "resources"
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.content.resources.life", str(root), store.url, "", ""
    )
    await asyncio.wait_for(reached.wait(), 30)
    (helper,) = helpers(agent.pid)
    agent.kill()
    await agent.wait()
    async with asyncio.timeout(10):
        while is_alive(helper):
            await asyncio.sleep(0.02)
    store.asked.clear()
    (mount,) = await have(desk_at(root), s3(f"{store.url}/a"))
    assert contents(mount) == {"big": DATA[:2_400_000]}
    (line,) = [line for line in store.asked if line != "LIST"]
    assert int(line.split("=")[1].split("-")[0]) > 1_000_000


async def test_the_largest_files_are_asked_for_in_slices(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_room, "SLICE", 1_000_000)

    async def anywhere(host: str, port: int) -> bool:
        return True

    tag = hashlib.md5(DATA).hexdigest()
    files = [RemoteFile("big", f"{store.url}/pre/big", len(DATA), etag=tag, etag_is_md5=True, known_by=tag)]
    listing = listing_of(files, "", most_files=9, most_bytes=1 << 30)
    async with contextlib.aclosing(Web(patience=5, may=anywhere)) as client:
        download = download_room.Download(client, listing, tmp_path, prepare=as_is, patience=5)
        await download.run(2)
    assert (tmp_path / "data/big").read_bytes() == DATA
    assert [line.split("=")[1] for line in store.asked] == ["0-999999", "1000000-1999999", "2000000-2999999"]
    assert (download.progress.bytes_current, download.progress.files_current) == (len(DATA), 1)


async def test_who_waited_goes_on_when_the_first_gives_up(make_desk: MakeDesk, store: Store) -> None:
    desk = make_desk()
    first = await half_way(desk, store)
    said: list[str] = []
    second = asyncio.create_task(have(desk, s3(f"{store.url}/pre"), run="second", said=said))
    while not any("another job is fetching" in line for line in said):
        await asyncio.sleep(0.02)
    first.cancel()
    (mount,) = await second
    assert contents(mount)["big"] == DATA
    assert sum(line == "pre/big" for line in store.asked) == 1


@pytest.mark.long
async def test_several_waiters_share_one_download(make_desk: MakeDesk, store: Store) -> None:
    desk = make_desk()
    mounts = await asyncio.gather(*(have(desk, s3(f"{store.url}/pre"), run=f"run{n}") for n in range(4)))
    assert len({mount.folder for (mount,) in mounts}) == 1
    assert sum(line == "pre/big" for line in store.asked) == 1


async def test_a_file_that_changed_meanwhile_is_another_download(make_desk: MakeDesk, store: Store) -> None:
    task = await half_way(make_desk(), store)
    task.cancel()
    await asyncio.wait([task])
    store.objects["pre/big"] = new = os.urandom(3_000_000)
    store.asked.clear()
    (mount,) = await have(make_desk(), s3(f"{store.url}/pre"))
    assert contents(mount)["big"] == new
    assert "pre/big" in store.asked


async def test_a_part_on_the_disk_that_went_bad_is_fetched_anew(
    make_desk: MakeDesk, store: Store, tmp_path: Path
) -> None:
    task = await half_way(make_desk(), store)
    task.cancel()
    await asyncio.wait([task])
    (part,) = [path for path in (tmp_path / "resources/partial").glob("*/parts/*") if path.stat().st_size > 1_000_000]
    with part.open("r+b") as file:
        file.seek(5000)
        file.write(b"bad")
    (mount,) = await have(make_desk(), s3(f"{store.url}/pre"))
    assert contents(mount)["big"] == DATA


async def test_the_hub_s_storage_is_asked_for_the_rest(make_desk: MakeDesk, tmp_path: Path) -> None:
    async with hub_server(Hub({"model.safetensors": DATA, "config.json": b"{}"})) as hub:
        desk = make_desk(hub=hub.base)
        (mount,) = await have(desk, hugging_face())
        await desk.release("run")
        # As a helper leaves it that was killed: the start of the large file, the small one done.
        (entry,) = (tmp_path / "resources/entries").iterdir()
        staging = tmp_path / "resources/partial" / entry.name
        entry.rename(staging)
        (staging / "parts").mkdir()
        name = hashlib.sha256(b"model.safetensors").hexdigest()
        (staging / "parts" / name).write_bytes(DATA[:1_234_567])
        (staging / "data/model.safetensors").unlink()
        hub.asked.clear()
        (mount,) = await have(make_desk(hub=hub.base), hugging_face())
        assert contents(mount) == hub.files
        ranges = [line.split(" ")[2] for line in hub.asked if "bytes=" in line]
        assert set(ranges) == {f"bytes=1234567-{len(DATA) - 1}"}
        assert not any("resolve" in line and "config.json" in line for line in hub.asked)
