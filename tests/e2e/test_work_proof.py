"""A GPU work proof made by an agent that waits for jobs, and named by the receipt of the job that then comes."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from node.api.client import ControlClient
from node.gpu.work.document import parse_proof
from node.proof.work import verify_work
from node.proof.work_anchors import find_anchors
from node.records import Cid
from tests.e2e.market_place import MarketPlace, market_place, queued, settled, single, until

pytestmark = pytest.mark.docker
LIMIT = 1 << 24


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[MarketPlace]:
    async with market_place(tmp_path) as made:
        yield made


async def newest(agent: ControlClient) -> dict[str, Any] | None:
    proof: dict[str, Any] | None = (await agent.proofs())["work"][0]["newest"]
    return proof


async def receipt_of(place: MarketPlace, run: dict[str, Any]) -> dict[str, Any]:
    body = (await place.library.fetch(Cid(run["receipt_cid"]), LIMIT)).body
    statement = json.loads(base64.b64decode(json.loads(body)["payload"]))
    predicate: dict[str, Any] = statement["predicate"]
    return predicate


async def test_a_proof_made_while_queued_is_named_by_the_next_receipt(place: MarketPlace, busybox_image: str) -> None:
    place.set_up(work_proof={"engine": "cpu", "seconds": 1, "size": 256})
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        made = await until(lambda: newest(agent))
        assert made is not None
        assert (made["engine"], made["gpu"], made["size"], made["rate"]) == ("cpu", "cpu", 256, None)
        posted = await place.post(single(busybox_image, "echo done"))
        run = await settled(agent, posted.job)
        known = await agent.proofs()
        # The store has it, as it has the receipt.
        body = (await until(lambda: fetched(place, Cid(made["cid"])))) or b""

    named = (await receipt_of(place, run))["work"]
    assert named["sha256"] == made["sha256"] == hashlib.sha256(body).hexdigest()
    assert (named["cid"], named["root"], named["engine"]) == (made["cid"], made["root"], "cpu")
    proof = parse_proof(body)
    anchors = await find_anchors(place.rpc, proof)
    verdict = verify_work(body, node=place.node, gpu="cpu", anchors=anchors)
    assert verdict.ok, verdict.failed
    (lane,) = known["work"]
    assert not lane["running"]
    assert 5.9 * 3600 < lane["next_at"] - time.time() <= 6 * 3600
    assert 0 < known["joules_today"] == made["joules"] <= 1000


async def fetched(place: MarketPlace, cid: Cid) -> bytes | None:
    try:
        return (await place.library.fetch(cid, LIMIT)).body
    except Exception:
        return None
