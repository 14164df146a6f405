"""The official clients, or a printed reason why they cannot run here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from solders.keypair import Keypair

from node.localnet.app import Localnet
from tests.interop.client import Client
from tests.interop.packages import ClientsMissing, clients_folder

StartClient = Callable[..., Awaitable[Client]]


@pytest.fixture(scope="session")
def clients() -> Path:
    """Folder of the official clients' packages."""
    try:
        return clients_folder()
    except ClientsMissing as reason:
        pytest.skip(str(reason))


@pytest_asyncio.fixture
async def start_kit(clients: Path, localnet: Localnet) -> AsyncIterator[StartClient]:
    """Start one more kit, connected to the localnet with the given wallet."""
    async with AsyncExitStack() as stack:

        async def start(key: Keypair, **options: Any) -> Client:
            client = await stack.enter_async_context(Client.start("kit", clients))
            assert await client.connect(localnet, key, **options) == str(key.pubkey())
            return client

        yield start


@pytest_asyncio.fixture
async def kit(start_kit: StartClient, localnet: Localnet) -> Client:
    """A kit with the chain's poster as its wallet."""
    return await start_kit(localnet.keys["poster"])
