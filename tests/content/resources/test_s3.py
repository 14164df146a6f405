"""S3 data from a real server: open, signed, one bucket or several, whole or by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.content.resources.wire import request_for
from node.errors import ResourceFailed
from node.logins import ResourceLogin
from node.plan_records import FolderMount
from node.settings_resources import ResourceSettings
from tests.content.kubo import KuboNode
from tests.content.resources.conftest import MakeDesk
from tests.content.resources.rclone import ACCESS_KEY, SECRET_KEY
from tests.content.resources.store import Store, store_server
from tests.content.resources.wants import contents, have, s3

FILES = {
    "model/a.bin": bytes(range(256)) * 9000,
    "model/sub/b c+ü&.txt": b"with signs in its name",
    "model/empty": b"",
    "model2/other": b"begins alike and is none of it",
    "top": b"beside",
}
LONG = [f"{number:05}" for number in range(2500)]
LOGIN = ResourceLogin(access_key=ACCESS_KEY, secret_key=SECRET_KEY, region="eu-west-1")


@pytest.fixture(scope="module", autouse=True)
def filled(buckets: Path) -> None:
    for name, data in FILES.items():
        path = buckets / "bucket" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (buckets / "second").mkdir()
    (buckets / "long").mkdir()
    for name in LONG:
        (buckets / "long" / name).touch()
    (buckets / "second" / "more").write_bytes(b"from the second bucket")
    (buckets / "second" / "empty").write_bytes(b"and not empty at all")


MODEL = {name.removeprefix("model/"): data for name, data in FILES.items() if name.startswith("model/")}


async def test_a_prefix_of_an_open_bucket(make_desk: MakeDesk, open_s3: str) -> None:
    said: list[str] = []
    (mount,) = await have(make_desk(), s3(f"{open_s3}/bucket/model"), said=said)
    assert mount == FolderMount(mount.folder, "/data", False)
    assert contents(mount) == MODEL
    assert said[-1] == f"resource S3 {open_s3}/bucket/model: 2 of 2 MB, 3 of 3 files"
    folder = Path(mount.folder)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o644}


async def test_a_whole_bucket_and_a_single_object(make_desk: MakeDesk, open_s3: str) -> None:
    whole, single = await have(make_desk(), s3(f"{open_s3}/bucket/"), s3(f"{open_s3}/bucket/model/a.bin"))
    assert contents(whole) == FILES
    assert contents(single) == {"a.bin": FILES["model/a.bin"]}


async def test_files_by_name_and_a_folder_among_them(make_desk: MakeDesk, open_s3: str) -> None:
    (mount,) = await have(make_desk(), s3(f"{open_s3}/bucket", files=("top", "/model/empty", "model/sub/")))
    assert set(contents(mount)) == {"top", "model/empty", "model/sub/b c+ü&.txt"}


async def test_a_file_that_is_not_there(make_desk: MakeDesk, open_s3: str) -> None:
    with pytest.raises(ResourceFailed, match=r"'nothing': .*status code 404") as failed:
        await have(make_desk(), s3(f"{open_s3}/bucket", files=("top", "nothing")))
    assert failed.value.status == 404
    with pytest.raises(ResourceFailed, match="no files"):
        await have(make_desk(), s3(f"{open_s3}/bucket/nothing"))


async def test_several_buckets_are_one_folder(make_desk: MakeDesk, open_s3: str) -> None:
    (mount,) = await have(make_desk(), s3(f"{open_s3}/bucket/model", f"{open_s3}/second"))
    # As one download after the other into the same folder: the later one is on top.
    assert contents(mount) == {**MODEL, "more": b"from the second bucket", "empty": b"and not empty at all"}


async def test_s3_addresses_with_a_login(make_desk: MakeDesk, closed_s3: str) -> None:
    (mount,) = await have(make_desk(s3=closed_s3), s3("s3://bucket/model"), login=LOGIN)
    assert contents(mount) == MODEL


async def test_a_bucket_beside_the_address(make_desk: MakeDesk, closed_s3: str) -> None:
    (mount,) = await have(make_desk(), s3(f"{closed_s3}/model", bucket="bucket"), login=LOGIN)
    assert contents(mount) == MODEL
    (again,) = await have(make_desk(), s3(f"{closed_s3}/bucket/model", bucket="bucket"), login=LOGIN, run="other")
    assert contents(again) == MODEL


async def test_files_by_name_with_a_login(make_desk: MakeDesk, closed_s3: str) -> None:
    (mount,) = await have(make_desk(), s3(f"{closed_s3}/bucket", files=("model/sub/b c+ü&.txt",)), login=LOGIN)
    assert contents(mount) == {"model/sub/b c+ü&.txt": FILES["model/sub/b c+ü&.txt"]}


@pytest.mark.parametrize("login", [None, ResourceLogin(access_key=ACCESS_KEY, secret_key="not this one")])
async def test_a_closed_bucket_stays_closed(make_desk: MakeDesk, closed_s3: str, login: ResourceLogin | None) -> None:
    with pytest.raises(ResourceFailed, match=r"status code 40[03]") as failed:
        await have(make_desk(), s3(f"{closed_s3}/bucket/model"), login=login)
    # This server calls a missing signature a bad request.
    assert failed.value.status == (400 if login is None else 403)


async def test_a_bucket_name_counts_only_with_a_login(make_desk: MakeDesk, open_s3: str) -> None:
    (mount,) = await have(make_desk(), s3(f"{open_s3}/bucket/model", bucket="second"))
    assert contents(mount) == MODEL


@pytest.mark.parametrize("login", [None, LOGIN])
async def test_a_host_that_is_the_bucket(make_desk: MakeDesk, login: ResourceLogin | None) -> None:
    # As the network's own one, and as content networks in front of buckets.
    objects = {f"deep/{name}": data for name, data in FILES.items()}
    async with store_server(Store(objects, at="")) as store:
        desk = make_desk(mirrors={"s3://the-network-s-own": store.url})
        (mount,) = await have(desk, s3("s3://the-network-s-own/deep/model"), login=login)
        assert contents(mount) == MODEL
        (named,) = await have(desk, s3(f"{store.url}/deep", files=("top",)), run="other", login=login)
        assert contents(named) == {"top": FILES["top"]}


async def test_pages_of_a_long_list(make_desk: MakeDesk, open_s3: str) -> None:
    (mount,) = await have(make_desk(), s3(f"{open_s3}/long"))
    assert list(contents(mount)) == LONG


async def test_a_file_of_an_ipfs_gateway(make_desk: MakeDesk, kubo: KuboNode) -> None:
    # Definitions of the network name gateways as S3 addresses, with CIDs as files.
    cid = kubo.add(FILES["model/a.bin"])
    (mount,) = await have(make_desk(), s3(kubo.gateway, files=(cid,), writable=True))
    assert contents(mount) == {cid: FILES["model/a.bin"]}


async def test_neither_url_nor_buckets(make_desk: MakeDesk) -> None:
    with pytest.raises(ResourceFailed, match="neither url nor buckets"):
        await have(make_desk(), s3())


async def test_the_own_copy_of_a_run(make_desk: MakeDesk, open_s3: str, tmp_path: Path) -> None:
    desk = make_desk()
    mine, shared = await have(desk, s3(f"{open_s3}/bucket/model", writable=True), s3(f"{open_s3}/bucket/model"))
    assert (mine.writable, shared.writable) == (True, False)
    assert (mine.size, shared.size) == (sum(map(len, MODEL.values())), 0)
    assert contents(mine) == contents(shared) == MODEL
    folder = Path(mine.folder)
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o666}
    assert {path.stat().st_mode & 0o777 for path in (folder, folder / "sub")} == {0o777}
    (folder / "a.bin").write_bytes(b"changed")
    (folder / "new").write_bytes(b"made by the job")
    (other,) = await have(desk, s3(f"{open_s3}/bucket/model", writable=True), run="other")
    assert contents(other) == contents(shared) == MODEL
    # The same run is given its own work again, also by another life of the agent.
    (again,) = await have(make_desk(), s3(f"{open_s3}/bucket/model", writable=True))
    assert contents(again)["a.bin"] == b"changed"
    await desk.release("run")
    assert not folder.exists()
    assert contents(other) == MODEL


def test_the_network_s_own_bucket_has_another_address() -> None:
    settings = ResourceSettings()

    def leads(url: str) -> str:
        return request_for(s3(url), None, settings).addresses[0].url

    assert leads("s3://nos-ai-models-qllsn32u/ollama/llama3.1/8b") == "https://models.nosana.io/ollama/llama3.1/8b"
    assert leads("s3://nos-ai-models-qllsn32u") == "https://models.nosana.io"
    assert leads("s3://nos-ai-models-qllsn32u-2/x") == "s3://nos-ai-models-qllsn32u-2/x"
