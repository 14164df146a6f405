"""Clients of the chains that tests start."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import docker
import httpx
import pytest
import pytest_asyncio

from node.localnet.app import Localnet
from tests.content.fixtures import kubo_binary  # noqa: F401
from tests.localnet.rpc import RpcClient


@pytest_asyncio.fixture
async def rpc(still_localnet: Localnet) -> AsyncIterator[RpcClient]:
    """A client of a chain whose slots pass only on `rpc.net.advance()`."""
    async with httpx.AsyncClient(timeout=5) as http:
        yield RpcClient(still_localnet, http)


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    try:
        engine = docker.from_env()
        engine.ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no container engine: {error}")
    yield engine
    engine.close()
