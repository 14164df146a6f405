"""A host whose data folder was lost: it serves on, and its next receipt shows the break."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from node.agent.receipt_chain import FIRST, LOST
from node.proof.receipt import Receipt, verify_receipt
from node.proof.verify import verify_job
from node.records import Address
from tests.e2e.market_place import MarketPlace, market_place, queued, settled, single, until

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.long]


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[MarketPlace]:
    async with market_place(tmp_path) as made:
        yield made


async def done(place: MarketPlace, image: str) -> tuple[Address, Receipt, str]:
    """A job by a life of the agent of its own: its address, its receipt and what settled it."""
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        job = (await place.post(single(image, "echo done"))).job
        run = await settled(agent, job)
    body = (await place.library.fetch(run["receipt_cid"], 1 << 20)).body
    return job, verify_receipt(body, place.node), run["settlement"]["signature"]


async def test_a_lost_journal_shows_in_the_next_receipt(place: MarketPlace, busybox_image: str) -> None:
    _, first, _ = await done(place, busybox_image)
    assert (first.prev, first.prev_reason, first.prev_seen) == (None, FIRST, None)
    _, second, settle = await done(place, busybox_image)
    assert second.prev is not None
    shutil.rmtree(place.settings.locations.data)
    job, third, signature = await done(place, busybox_image)
    assert (third.prev, third.prev_reason) == (None, LOST)
    assert third.prev_seen is not None
    assert third.prev_seen.settle == settle
    _, fourth, _ = await done(place, busybox_image)
    assert fourth.prev is not None
    assert (fourth.prev.settle, fourth.prev_seen) == (signature, None)
    found = await verify_job(job, cluster=place.net.cluster, chain=place.rpc, content=place.library)
    assert found.ok, [check for check in found.checks if check.ok is False]
