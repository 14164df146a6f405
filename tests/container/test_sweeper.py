"""What belongs to no job is removed after its grace; what is not ours never."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import docker
import pytest

from node.container.docker import DockerEngine
from node.container.sweeper import Sweeper, Swept
from node.errors import EngineRejected, EngineUnavailable
from node.records import Address
from tests.container.engine_double import FakeEngine
from tests.container.operations import operation
from tests.container.test_runner import QuickClock

NODE = Address("node")


def job_of(spec: Any) -> Address:
    return Address(dict(spec.labels)["gpunode.job"])


async def test_unknown_is_removed_after_its_grace_and_known_never() -> None:
    engine, clock = FakeEngine(), QuickClock()
    orphan = operation("image", NODE, "true").container
    owned = operation("image", NODE, "true").container
    for spec in (orphan, owned):
        await engine.ensure_network(spec.network, dict(spec.labels))
        await engine.create(spec)

    async def known() -> frozenset[Address]:
        return frozenset({job_of(owned)})

    sweeper = Sweeper(engine, NODE, known, grace=60, clock=clock)
    assert await sweeper.sweep() == Swept((), ())
    clock.now += 59
    assert await sweeper.sweep() == Swept((), ())
    clock.now += 1
    assert await sweeper.sweep() == Swept((orphan.name,), (orphan.network,))
    assert [box.spec.name for box in engine.containers.values()] == [owned.name]
    assert list(engine.network_labels) == [owned.network]
    clock.now += 1000
    assert await sweeper.sweep() == Swept((), ())


async def test_grace_begins_anew_when_a_job_becomes_known() -> None:
    engine, clock = FakeEngine(), QuickClock()
    spec = operation("image", NODE, "true").container
    await engine.create(spec)
    jobs: set[Address] = set()

    async def known() -> frozenset[Address]:
        return frozenset(jobs)

    sweeper = Sweeper(engine, NODE, known, grace=60, clock=clock)
    await sweeper.sweep()
    clock.now += 50
    jobs.add(job_of(spec))
    await sweeper.sweep()
    jobs.clear()
    clock.now += 50
    assert await sweeper.sweep() == Swept((), ())
    clock.now += 60
    assert await sweeper.sweep() == Swept((spec.name,), ())


async def test_an_engine_that_filters_wrongly_costs_nobody_a_container() -> None:
    class Careless(FakeEngine):
        async def find(self, labels: Any) -> Any:
            return await super().find({})

    engine, clock = Careless(), QuickClock()
    mine, theirs = operation("image", NODE, "true").container, operation("image", "other", "true").container
    await engine.create(mine)
    await engine.create(theirs)
    await engine.create(replace(theirs, name="plain", labels=()))
    sweeper = Sweeper(engine, NODE, _nothing, grace=0, clock=clock)
    assert (await sweeper.sweep()).containers == (mine.name,)
    assert {box.spec.name for box in engine.containers.values()} == {theirs.name, "plain"}


async def test_trouble_with_one_does_not_keep_the_others() -> None:
    engine = FakeEngine()
    first, second = (operation("image", NODE, "true").container for _ in range(2))
    await engine.create(first)
    await engine.create(second)
    engine.fail["remove"] = [EngineRejected("busy", status=409)]
    sweeper = Sweeper(engine, NODE, _nothing, grace=0, clock=QuickClock())
    assert (await sweeper.sweep()).containers == (second.name,)
    assert (await sweeper.sweep()).containers == (first.name,)
    engine.down = True
    with pytest.raises(EngineUnavailable):
        await sweeper.sweep()


@pytest.mark.docker
async def test_on_a_real_engine(
    docker_engine: DockerEngine, docker_client: docker.APIClient, busybox_image: str, node_address: str
) -> None:
    orphan = operation(busybox_image, node_address, "sleep 60").container
    stranger = operation(busybox_image, f"{node_address}-other", "sleep 60").container
    ids = []
    try:
        for spec in (orphan, stranger):
            await docker_engine.ensure_network(spec.network, dict(spec.labels))
            await docker_engine.ensure_network(spec.network, dict(spec.labels))
            ids.append(await docker_engine.create(spec))
        await docker_engine.start(ids[0])
        assert await docker_engine.remove_network(orphan.network) is False
        sweeper = Sweeper(docker_engine, Address(node_address), _nothing, grace=0, clock=QuickClock())
        assert await sweeper.sweep() == Swept((orphan.name,), (orphan.network,))
        assert await docker_engine.inspect(ids[0]) is None
        assert await docker_engine.inspect(ids[1]) is not None
        assert docker_client.networks(names=[stranger.network])
    finally:
        for container in ids:
            await docker_engine.remove(container)
        await docker_engine.remove_network(stranger.network)
        await docker_engine.remove_network(orphan.network)


async def _nothing() -> frozenset[Address]:
    return frozenset()
