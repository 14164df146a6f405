"""Fixtures for tests with a real engine; a conftest imports those it wants."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import docker
import pytest

from node.container.docker import DockerEngine
from tests.e2e import images


@pytest.fixture(scope="session")
def docker_client() -> Iterator[docker.APIClient]:
    """A plain client, for looking at the engine from outside; skips the test where there is no engine."""
    try:
        client = images.connect()
    except images.NoEngine as error:
        pytest.skip(str(error))
    yield client
    client.close()


@pytest.fixture(scope="session")
def busybox_image(docker_client: docker.APIClient) -> str:
    """Name of a small image with a shell."""
    try:
        return images.busybox_image(docker_client)
    except images.NoEngine as error:
        pytest.skip(str(error))


@pytest.fixture
async def docker_engine(docker_client: docker.APIClient) -> AsyncIterator[DockerEngine]:
    """The engine under test."""
    engine = DockerEngine()
    yield engine
    await engine.aclose()


@pytest.fixture
def node_address(docker_client: docker.APIClient) -> Iterator[str]:
    """A node address of this test alone; whatever carries it as a label is removed afterwards."""
    address = f"TestNode{secrets.token_hex(12)}"
    yield address
    filters = {"label": f"gpunode.node={address}"}
    for row in docker_client.containers(all=True, filters=filters):
        docker_client.remove_container(row["Id"], force=True, v=True)
    for network in docker_client.networks(filters=filters):
        docker_client.remove_network(network["Id"])
    for volume in docker_client.volumes(filters=filters)["Volumes"] or ():
        docker_client.remove_volume(volume["Name"], force=True)
