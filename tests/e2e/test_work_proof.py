"""A GPU work proof made by an agent that waits for jobs, and named by the receipt of the job that then comes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from node.agent.work_room import CPU_WATTS
from node.api.client import ControlClient
from node.gpu.ladder.record import kept_ladder
from node.gpu.work.document import parse_proof
from node.journal.journal import Journal
from node.proof.verify import verify_job
from node.proof.work import verify_work
from node.proof.work_anchors import find_anchors
from node.records import Cid
from tests.api.double import LADDER
from tests.e2e.market_place import MarketPlace, market_place, queued, real_market_place, settled, single, until
from tests.proof.outside import signed as outside

pytestmark = pytest.mark.docker
LIMIT = 1 << 24


@pytest_asyncio.fixture(params=["localnet", pytest.param("real", marks=pytest.mark.realchain)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MarketPlace]:
    if request.param == "real":
        request.getfixturevalue("validator_binary")
    start = real_market_place if request.param == "real" else market_place
    async with start(tmp_path) as made:
        yield made


async def newest(agent: ControlClient) -> dict[str, Any] | None:
    proof: dict[str, Any] | None = (await agent.proofs())["work"][0]["newest"]
    return proof


async def receipt_of(place: MarketPlace, run: dict[str, Any]) -> dict[str, Any]:
    body = (await place.library.fetch(Cid(run["receipt_cid"]), LIMIT)).body
    statement = json.loads(base64.b64decode(json.loads(body)["payload"]))
    predicate: dict[str, Any] = statement["predicate"]
    assert outside.receipt_of(body, place.node) == predicate, "a verifier that shares no code with ours"
    return predicate


async def test_a_proof_made_while_queued_is_named_by_the_next_receipt(place: MarketPlace, busybox_image: str) -> None:
    place.set_up(work_proof={"engine": "cpu", "seconds": 1, "size": 256})
    ladder = kept_ladder(LADDER.replace(b'"gpu":"GPU-1","kind":"cuda"', b'"gpu":null,"kind":"cpu"'))
    async with await Journal.open(place.settings.locations.journal) as journal:
        await journal.work.add_ladder(ladder)
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

    receipt = await receipt_of(place, run)
    assert receipt["ladder"] == ladder.digest
    named = receipt["work"]
    assert named["sha256"] == made["sha256"] == hashlib.sha256(body).hexdigest()
    assert (named["cid"], named["root"], named["engine"]) == (made["cid"], made["root"], "cpu")
    proof = parse_proof(body)
    anchors = await find_anchors(place.rpc, proof)
    verdict = verify_work(body, node=place.node, gpu="cpu", anchors=anchors)
    assert verdict.ok, verdict.failed
    # And by somebody who knows nothing but the job's address.
    found = await verify_job(posted.job, cluster=place.net.cluster, chain=place.rpc, content=place.library)
    assert found.ok, [check for check in found.checks if check.ok is False]
    assert {"work_sha256", "work_anchor", "work_after_block", "work_products", "work_reference"} <= {
        check.name for check in found.checks if check.ok
    }
    (lane,) = known["work"]
    assert not lane["running"]
    assert 5.9 * 3600 < lane["next_at"] - time.time() <= 6 * 3600
    assert 0 < known["joules_today"] == made["joules"] <= 2 * CPU_WATTS
    # The memo's fee is booked like any other: the day's limit counts it.
    ((booked,),) = rows(place, "SELECT lamports FROM spending WHERE purpose LIKE 'memo:work:%'")
    landed = await place.rpc.get_transaction(made["signature"])
    assert landed is not None
    assert 5000 <= booked == landed.fee < 20_000


@pytest.mark.long
async def test_a_job_that_comes_meanwhile_finds_the_helper_gone(place: MarketPlace, busybox_image: str) -> None:
    place.set_up(work_proof={"engine": "cpu", "seconds": 600, "size": 1024, "daily_energy": 1000})
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        await until(lambda: until_running(agent))
        (helper,) = helpers()
        posted = await place.post(single(busybox_image, "echo done"))
        run = await settled(agent, posted.job)
        assert helper not in helpers()
    assert run["settlement"]["kind"] == "finish"
    assert (await receipt_of(place, run))["work"] is None
    ((outcome, ended, joules),) = rows(place, "SELECT outcome, ended, joules FROM work_runs ORDER BY id LIMIT 1")
    assert (outcome, joules > 0) == ("cut", True)
    # It was ended before the job's first stage was over.
    ((created,),) = rows(place, f"SELECT created FROM jobs WHERE job = '{posted.job}'")
    assert abs(ended - created) < 5


async def until_running(agent: ControlClient) -> bool:
    return bool((await agent.proofs())["work"][0]["running"]) and bool(helpers())


def helpers() -> set[int]:
    """Processes that make work proofs for this one."""
    mine = f"node.gpu.work.helper\0{os.getpid()}\0".encode()
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mine in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
    return found


def rows(place: MarketPlace, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{place.settings.locations.journal}?mode=ro", uri=True) as db:
        return db.execute(query).fetchall()


async def fetched(place: MarketPlace, cid: Cid) -> bytes | None:
    try:
        return (await place.library.fetch(cid, LIMIT)).body
    except Exception:
        return None
