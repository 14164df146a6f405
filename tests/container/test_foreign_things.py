"""On a real engine: what is ours goes, and what stands beside it stays, however much it looks like ours."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import secrets
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import docker
import docker.errors
import pytest
from aiohttp import web

from node.container.cache import ImageCache
from node.container.disk import EngineDisk
from node.container.docker import DockerEngine
from node.container.runner import OperationRunner
from node.container.stop import StopSignal
from node.container.sweeper import Sweeper, Swept
from node.journal.journal import Journal
from node.records import Address, OperationState
from node.retry import Retry
from tests.container.operations import operation
from tests.container.test_runner import QuickClock
from tests.e2e import images
from tests.e2e.registry import registry

pytestmark = pytest.mark.docker


async def _nothing() -> frozenset[Address]:
    return frozenset()


async def _no_names() -> frozenset[str]:
    return frozenset()


# --- containers, networks, volumes ------------------------------------------------------------------------------


async def test_the_sweeper_takes_ours_alone(
    docker_engine: DockerEngine, docker_client: docker.APIClient, busybox_image: str, node_address: str
) -> None:
    client = docker_client
    mine = operation(busybox_image, node_address, "sleep 60").container
    other = operation(busybox_image, f"{node_address}x", "sleep 60").container
    labels = dict(mine.labels)
    networks, volumes, containers = [], [], []
    try:
        for spec in (mine, other):
            await docker_engine.ensure_network(spec.network, {**dict(spec.labels)})
            networks.append(spec.network)
            containers.append(await docker_engine.create(spec))
        # Our labels under another name: an image committed from our container hands them on.
        committed = client.commit(containers[0])["Id"]
        heir = client.create_container(committed, ["sleep", "60"], name=f"heir-{secrets.token_hex(4)}")["Id"]
        assert client.inspect_container(heir)["Config"]["Labels"]["gpunode.node"] == node_address
        # Our name pattern without labels, and with those of another key.
        bare = client.create_container(busybox_image, ["true"], name=f"{labels['gpunode.job']}-1")["Id"]
        containers += [heir, bare]
        lookalike = f"{mine.network[:-1]}{'0' if mine.network[-1] != '0' else '1'}"
        client.create_network(lookalike, labels=labels)
        unlabelled = f"gpn{secrets.token_hex(6)}"
        client.create_network(unlabelled)
        networks += [lookalike, unlabelled]
        for name, given in (
            (f"{mine.network}-data", labels),
            (f"{labels['gpunode.job']}-data", labels),
            (f"{labels['gpunode.job']}data", labels),
            (f"precious-{labels['gpunode.job']}", labels),
            (f"{dict(other.labels)['gpunode.job']}-data", dict(other.labels)),
            (f"{lookalike}-bare", {}),
        ):
            client.create_volume(name, labels=given)
            volumes.append(name)
        before = _everything(client)
        sweeper = Sweeper(docker_engine, Address(node_address), _nothing, grace=0, clock=QuickClock())
        swept = await sweeper.sweep()
        assert (swept.containers, swept.networks) == ((mine.name,), (mine.network,))
        assert swept.volumes == (f"{labels['gpunode.job']}-data",)
        gone = before - _everything(client)
        assert {name for name in gone if name in (*networks, *volumes, *containers)} == {
            containers[0],
            mine.network,
            f"{labels['gpunode.job']}-data",
        }
        assert await sweeper.sweep() == Swept((), ())
    finally:
        for container in containers:
            await docker_engine.remove(container)
        for network in client.networks():
            if network["Name"] in networks:
                client.remove_network(network["Id"])
        for volume in volumes:
            await docker_engine.remove_volume(volume)
        client.remove_image(committed, force=True)


def _everything(client: docker.APIClient) -> set[str]:
    return {
        *(row["Id"] for row in client.containers(all=True)),
        *(network["Name"] for network in client.networks()),
        *(volume["Name"] for volume in client.volumes()["Volumes"] or ()),
    }


async def test_a_volume_that_a_container_has_is_not_removed(
    docker_engine: DockerEngine, docker_client: docker.APIClient, busybox_image: str
) -> None:
    name = f"gpunode-test-{secrets.token_hex(6)}"
    docker_client.create_volume(name)
    host = docker_client.create_host_config(binds=[f"{name}:/data"])
    container = docker_client.create_container(busybox_image, ["true"], host_config=host, volumes=["/data"])["Id"]
    try:
        assert await docker_engine.remove_volume(name) is False
    finally:
        await docker_engine.remove(container)
    assert await docker_engine.remove_volume(name) is True
    assert await docker_engine.remove_volume(name) is True, "missing counts as removed"


# --- images -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(docker_client: docker.APIClient) -> Iterator[str]:
    """A registry with images `one` to `four`, none of them on the host."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with registry(Path(folder)) as host:
                for name in ("one", "two", "three", "four"):
                    built = images.image_of({"mark": secrets.token_bytes(8)}, client=docker_client, name="shop")
                    docker_client.tag(built, f"{host}/{name}", "1")
                    for line in docker_client.push(f"{host}/{name}", tag="1", stream=True, decode=True):
                        assert "error" not in line, line
                    docker_client.remove_image(f"{host}/{name}:1")
                    docker_client.remove_image(built)
                yield host
                for row in docker_client.images():
                    for tag in row["RepoTags"] or row["RepoDigests"] or ():
                        if tag.startswith((host, "gpunode-test/kept")):
                            docker_client.remove_image(tag, force=True)
        except images.NoEngine as error:
            pytest.skip(str(error))


@asynccontextmanager
async def cache_of(engine: DockerEngine, folder: Path, budget: int) -> AsyncIterator[tuple[ImageCache, Journal]]:
    async with await Journal.open(folder / "journal.sqlite") as journal:
        disk = EngineDisk(engine, folder)
        yield (
            ImageCache(engine, journal.images, _no_names, disk, budget=budget, retry=Retry(attempts=1, total=0.0)),
            journal,
        )


async def test_images_of_the_host_stay_and_ours_go(
    docker_engine: DockerEngine, docker_client: docker.APIClient, shop: str, tmp_path: Path
) -> None:
    client = docker_client
    ours, used, named, theirs = (f"{shop}/{name}:1" for name in ("one", "two", "three", "four"))
    client.pull(f"{shop}/four", tag="1")
    before = {row["Id"] for row in client.images()}
    async with cache_of(docker_engine, tmp_path, budget=0) as (cache, journal):
        pulled = [await journal.images.all()]
        for name in (ours, used, named):
            assert await cache.present(name) is None
        # The first is pulled last: each pull brings the cache within its budget of nothing.
        await cache.pull(used, lambda _line: None)
        container = client.create_container(used, ["true"])["Id"]
        await cache.pull(named, lambda _line: None)
        client.tag(named, "gpunode-test/kept", shop.rpartition(":")[2])
        await cache.pull(ours, lambda _line: None)
        assert await cache.present(theirs) is not None
        pulled.append(await journal.images.all())
        assert [row.reference for row in pulled[1]] == [used, named, ours]
        try:
            assert await cache.tidy() == (ours,)
            assert await docker_engine.image(ours) is None
            for name in (used, named, theirs):
                assert await docker_engine.image(name) is not None
            assert {row["Id"] for row in client.images()} >= before
        finally:
            await docker_engine.remove(container)
        assert await cache.tidy() == (used,)
        client.remove_image(f"gpunode-test/kept:{shop.rpartition(':')[2]}")
        assert await cache.make_room(1, frozenset({named})) == ()
        assert await cache.make_room(1, frozenset()) == (named,)
        assert await journal.images.all() == ()
    assert {row["Id"] for row in client.images()} >= before


async def test_two_names_of_one_image_go_together_and_by_digest(
    docker_engine: DockerEngine, docker_client: docker.APIClient, shop: str, tmp_path: Path
) -> None:
    tag = f"{shop}/one:1"
    async with cache_of(docker_engine, tmp_path, budget=1 << 60) as (cache, journal):
        image = await cache.pull(tag, lambda _line: None)
        by_digest = f"{shop}/one@{image.digest_for(tag)}"
        assert await cache.present(by_digest) is not None
        assert await cache.make_room(1, frozenset({by_digest})) == (), "wanted under its other name"
        await cache.make_room(1, frozenset())
        assert await cache.present(by_digest) is None
        await cache.pull(by_digest, lambda _line: None)
        assert await cache.make_room(1, frozenset()) == (by_digest,)
        assert await docker_engine.image(by_digest) is None
        assert await journal.images.all() == ()


@asynccontextmanager
async def slow_registry() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A registry whose one image `x:1` has a layer that drips for ever, and an event: the layer was asked for."""
    asked = asyncio.Event()
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        entry = tarfile.TarInfo("filling")
        entry.size = 8 << 20
        tar.addfile(entry, io.BytesIO(secrets.token_bytes(entry.size)))
    body = layer.getvalue()
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest]}, "config": {}}
    ).encode()
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    part = "application/vnd.docker.image.rootfs.diff.tar"
    about = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config)}
    about["digest"] = f"sha256:{hashlib.sha256(config).hexdigest()}"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": about,
            "layers": [{"mediaType": part, "size": len(body), "digest": digest}],
        }
    ).encode()

    async def serve(request: web.Request) -> web.StreamResponse:
        if "/manifests/" in request.path:
            headers = {"Docker-Content-Digest": f"sha256:{hashlib.sha256(manifest).hexdigest()}"}
            return web.Response(body=manifest, content_type=kind, headers=headers)
        if request.path.endswith(str(about["digest"])):
            return web.Response(body=config)
        if "/blobs/" not in request.path:
            return web.Response()
        answer = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await answer.prepare(request)
        for start in range(0, len(body), 4096):
            await answer.write(body[start : start + 4096])
            asked.set()
            await asyncio.sleep(0.05)
        return answer

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"localhost:{port}", asked
    await runner.cleanup()


async def test_a_pull_that_is_cut_off_leaves_nothing_on_the_engine(docker_engine: DockerEngine, tmp_path: Path) -> None:
    partial = Path((await docker_engine.info()).root_dir, "tmp")
    before = set(partial.glob("GetImageBlob*"))
    async with slow_registry() as (host, asked), cache_of(docker_engine, tmp_path, 1 << 60) as (cache, journal):
        async with asyncio.TaskGroup() as group:
            pulling = group.create_task(cache.pull(f"{host}/x:1", lambda _line: None))
            async with asyncio.timeout(30):
                await asked.wait()
            assert [row.id for row in await journal.images.all()] == [""]
            pulling.cancel()
        assert await cache.tidy() == ()
        assert await journal.images.all() == ()
        await asyncio.sleep(0.5)
        assert await docker_engine.image(f"{host}/x:1") is None
    assert set(partial.glob("GetImageBlob*")) <= before, "what had come is gone as well"


async def test_a_foreign_container_with_our_labels_is_neither_adopted_nor_removed(
    docker_engine: DockerEngine, busybox_image: str, node_address: str, tmp_path: Path
) -> None:
    op = operation(busybox_image, node_address, "echo mine")
    await docker_engine.ensure_network(op.container.network, dict(op.container.labels))
    foreign = await docker_engine.create(replace(op.container, name=f"host-{secrets.token_hex(4)}"))
    states: list[OperationState] = []

    async def on_change(state: OperationState) -> None:
        states.append(state)

    try:
        runner = OperationRunner(docker_engine, tmp_path)
        state = await runner.run_operation(op, None, on_change=on_change, stop=StopSignal())
        assert (state.exit_code, state.starts) == (0, 1)
        assert await docker_engine.inspect(foreign) is not None
    finally:
        await docker_engine.remove(foreign)
