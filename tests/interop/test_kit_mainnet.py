"""The same with the addresses of the main network: the kit's other preset, and an agent with `ids: mainnet`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions
from tests.interop.agent import Agent
from tests.interop.client import Client
from tests.interop.conftest import StartClient
from tests.interop.nodes import new_node
from tests.interop.test_kit_agent import DONE, agent, busybox_image, docker_client, post, shell_job, until
from tests.interop.test_kit_chain import post_job

__all__ = ["agent", "busybox_image", "docker_client"]

pytestmark = pytest.mark.interop


@pytest_asyncio.fixture
async def localnet() -> AsyncIterator[Localnet]:
    """A chain with the main network's addresses."""
    async with Localnet.start(LocalnetOptions(rpc_port=0, content_port=0, slot_ms=50, ids="mainnet")) as net:
        yield net


async def test_a_job_ended_early_is_completed_by_the_kit(
    kit: Client, start_kit: StartClient, localnet: Localnet
) -> None:
    # Only here: whatever the network, this client sends `complete` to the main network's program.
    node = await start_kit(new_node(localnet))
    await node.call("work", market=localnet.market)
    posted = await post_job(kit, localnet.market)
    await kit.call("end", job=posted["job"])
    result = await node.call("pin", document={"status": "stopped"})
    await node.call("complete", job=posted["job"], cid=result)
    job = await kit.call("job", address=posted["job"])
    assert (job["state"], job["ipfsResult"]) == (DONE, result)


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.slow
async def test_the_agent_serves_a_chain_with_the_main_addresses(
    kit: Client, agent: Agent, localnet: Localnet, busybox_image: str
) -> None:
    assert localnet.cluster.jobs.startswith("nosJhNRq")
    posted = await post(kit, localnet, shell_job(busybox_image, "echo served"))
    job = await until(kit, "job", posted["job"], lambda seen: seen["state"] == DONE, agent)
    assert job["node"] == agent.address
    result = await kit.call("retrieve", cid=job["ipfsResult"])
    assert [entry["log"].strip() for entry in result["opStates"][0]["logs"]] == ["served"]
