"""Hugging Face repositories from a server with the Hub's routes, which the Hub's own client is driven against too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.errors import ResourceFailed
from node.logins import ResourceLogin
from tests.content.resources.conftest import MakeDesk
from tests.content.resources.hub import COMMIT, TOKEN, Hub, hub_server
from tests.content.resources.wants import contents, have, hugging_face

FILES = {
    "config.json": b'{"small": true}',
    "model.safetensors": bytes(range(256)) * 5000,
    "folder/weights one.bin": b"w" * 5000,
    "folder/note.txt": b"note",
    ".gitattributes": b"*.bin filter=lfs",
}


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    async with hub_server(Hub(dict(FILES))) as running:
        yield running


@pytest.fixture
async def private_hub() -> AsyncIterator[Hub]:
    async with hub_server(Hub(dict(FILES), private=True)) as running:
        yield running


@pytest.mark.parametrize("private", [False, True])
async def test_the_hub_s_own_client_takes_this_server_for_the_hub(
    private: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    import huggingface_hub
    from huggingface_hub.errors import RepositoryNotFoundError

    async with hub_server(Hub(dict(FILES), private=private)) as hub:
        api = huggingface_hub.HfApi(endpoint=hub.base, token=TOKEN if private else False)
        info = await asyncio.to_thread(api.model_info, "owner/name", revision="main")
        assert info.sha == COMMIT
        rows = await asyncio.to_thread(lambda: list(api.list_repo_tree("owner/name", recursive=True, revision=COMMIT)))
        sizes = {row.path: row.size for row in rows if isinstance(row, huggingface_hub.hf_api.RepoFile)}
        assert sizes == {name: len(data) for name, data in FILES.items()}
        folder = await asyncio.to_thread(
            api.snapshot_download, "owner/name", local_dir=tmp_path / "snapshot", cache_dir=tmp_path / "cache"
        )
        kept = {name: data for name, data in contents(Path(folder)).items() if not name.startswith(".cache/")}
        assert kept == FILES
        if private:
            stranger = huggingface_hub.HfApi(endpoint=hub.base, token=False)
            with pytest.raises(RepositoryNotFoundError):
                await asyncio.to_thread(stranger.model_info, "owner/name")


async def test_a_whole_repository(make_desk: MakeDesk, hub: Hub) -> None:
    said: list[str] = []
    (mount,) = await have(make_desk(hub=hub.base), hugging_face(), said=said)
    assert contents(mount) == FILES
    assert said[-1] == "resource HF owner/name: 1 of 1 MB, 5 of 5 files"
    assert f"GET /owner/name/resolve/{COMMIT}/model.safetensors" in hub.asked


@pytest.mark.parametrize("revision", ["main", "refs/pr/1", COMMIT])
async def test_files_of_a_revision(make_desk: MakeDesk, hub: Hub, revision: str) -> None:
    wanted = hugging_face(revision=revision, files=("model.safetensors", "folder"))
    (mount,) = await have(make_desk(hub=hub.base), wanted)
    assert set(contents(mount)) == {"model.safetensors", "folder/weights one.bin", "folder/note.txt"}


async def test_a_mirror_without_trees(make_desk: MakeDesk, private_hub: Hub) -> None:
    private_hub.has_trees = False
    desk, login = make_desk(hub=private_hub.base), ResourceLogin(token=TOKEN)
    (mount,) = await have(desk, hugging_face(files=("folder",)), login=login)
    assert set(contents(mount)) == {"folder/weights one.bin", "folder/note.txt"}
    assert private_hub.leaks == []
    # What its files are is known all the same.
    for name in ("model.safetensors", "config.json"):
        private_hub.damaged.add(name)
        with pytest.raises(ResourceFailed, match="does not match its checksum"):
            await have(desk, hugging_face(files=(name,)), login=login, run=name)


async def test_what_is_not_there(make_desk: MakeDesk, hub: Hub) -> None:
    desk = make_desk(hub=hub.base)
    with pytest.raises(ResourceFailed, match=r"has no file 'missing\.bin'"):
        await have(desk, hugging_face(files=("missing.bin",)))
    with pytest.raises(ResourceFailed, match="status code 404"):
        await have(desk, hugging_face(revision="v9"))
    for name in ("owner/name/x", "owner/..", ""):
        with pytest.raises(ResourceFailed, match="no name of a repository"):
            await have(desk, hugging_face(name))


async def test_a_private_repository_opens_to_its_token_alone(make_desk: MakeDesk, private_hub: Hub) -> None:
    desk = make_desk(hub=private_hub.base)
    (mount,) = await have(desk, hugging_face(), login=ResourceLogin(token=TOKEN))
    assert contents(mount) == FILES
    # The bytes come from another host by a signed address: the token is none of its business.
    assert private_hub.leaks == []
    for login in (None, ResourceLogin(token="hf_" + "y" * 34)):
        with pytest.raises(ResourceFailed, match="status code 401"):
            await have(desk, hugging_face(), login=login, run="stranger")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
async def test_bytes_that_do_not_match_are_not_used(make_desk: MakeDesk, hub: Hub, name: str, tmp_path: Path) -> None:
    hub.damaged.add(name)
    desk = make_desk(hub=hub.base)
    with pytest.raises(ResourceFailed, match="does not match its checksum"):
        await have(desk, hugging_face())
    assert list((tmp_path / "resources/entries").iterdir()) == []
    hub.damaged.clear()
    (mount,) = await have(desk, hugging_face())
    assert contents(mount) == FILES
