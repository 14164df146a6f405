"""An engine that only these tests have, where that can be; else the machine's own, with its own runtime only."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest

from node.container.docker import DockerEngine
from tests.container.topology import Topology, topology
from tests.e2e import images
from tests.hostile.arena import Arena
from tests.hostile.gvisor import runtime_options
from tests.hostile.host import Host
from tests.hostile.program import attack_program

RULES = """
from node.container.egress.ruleset import Rules
from node.settings_network import NetworkSettings
print(Rules.of(NetworkSettings()).script())
"""
"""Prints the packet filter as the agent loads it on the host where this runs."""


@pytest.fixture(scope="session")
def program() -> bytes:
    """The attacking program."""
    try:
        return attack_program()
    except images.NoEngine as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def town() -> Iterator[Topology | None]:
    """A home network with an engine in it; None where there cannot be one."""
    with tempfile.TemporaryDirectory(prefix="gpnh", ignore_cleanup_errors=True) as name:
        try:
            with topology(Path(name), options=runtime_options(Path(name))) as place:
                place.host.filter(place.host.python(RULES))
                yield place
                return
        except images.NoEngine:
            pass
    yield None


@pytest.fixture(scope="session")
def socket(town: Topology | None) -> Path | None:
    """The engine's socket; None for the machine's own engine."""
    return town.socket if town is not None else None


@pytest.fixture(scope="session")
def client(socket: Path | None) -> Iterator[docker.APIClient]:
    """For looking at the engine from outside."""
    try:
        client = images.connect(f"unix://{socket}" if socket else None)
    except images.NoEngine as error:
        pytest.skip(str(error))
    yield client
    client.close()


@pytest.fixture(params=["runc", pytest.param("runsc", marks=pytest.mark.gvisor)])
async def arena(
    request: pytest.FixtureRequest, socket: Path | None, client: docker.APIClient, program: bytes, tmp_path: Path
) -> AsyncIterator[Arena]:
    """Where a test's attacks run; the host must be the same afterwards."""
    if request.param not in client.info()["Runtimes"]:
        pytest.skip(f"the engine has no runtime {request.param}")
    engine = DockerEngine(socket)
    place = Arena(engine, client, program, request.param, f"TestNode{secrets.token_hex(12)}", tmp_path)
    before = Host.now()
    yield place
    await engine.aclose()
    filters = {"label": f"gpunode.node={place.node}"}
    for row in client.containers(all=True, filters=filters):
        client.remove_container(row["Id"], force=True, v=True)
    for network in client.networks(filters=filters):
        client.remove_network(network["Id"])
    place.clear()
    before.assert_unchanged()
