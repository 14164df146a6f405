"""Confidential jobs on a whole market: nothing of definition or result is pinned, and a kill -9 loses neither."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from node.api.client import ControlClient
from node.chain.policy import SpendingPolicy
from node.chain.wallet import Wallet
from node.cli.job.confidential import NodeApi, collect, deliver
from node.content.cid import file_cid
from node.content.merkle import merkle_root
from node.job.travel import BLANK_DEFINITION
from node.localnet.app import Localnet
from node.proof.commitments import read_reveal
from node.proof.envelope import canonical
from node.proof.receipt import verify_receipt
from node.proof.result_checks import log_lines
from node.records import Address
from node.retry import SystemClock
from tests.agent.test_logistics import poster_serving
from tests.e2e.market_place import MarketPlace, market_place, queued, settled, single, until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

SECRET = "weights-of-ours"


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[MarketPlace]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with market_place(tmp_path) as made:
        made.set_up(service={"tunnel": "direct", "port": port})
        yield made


def api_of(place: MarketPlace, job: Address) -> NodeApi:
    wallet = Wallet.load(place.folder / "poster.json")
    sign = wallet.signer(SpendingPolicy(place.net.cluster, {})).sign_document
    return NodeApi(f"http://localhost:{place.settings.service.port}", job, sign, SystemClock())


def secret_job(image: str, script: str = "sleep 1") -> bytes:
    return json.dumps(single(image, f"{script}; echo {SECRET}")).encode()


async def pinned_result(place: MarketPlace, job: Address) -> dict[str, Any]:
    return await place.result(await place.job(job))


def assert_nothing_was_pinned(place: MarketPlace) -> None:
    """Nothing in the store that everybody reads has a word of it."""
    assert isinstance(place.net, Localnet)
    folder = place.settings.locations.content
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


async def test_both_ways_through_the_owners_api(place: MarketPlace, busybox_image: str) -> None:
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        posted = await place.post(dict(BLANK_DEFINITION))
        api = api_of(place, posted.job)
        node = await deliver(place.poster, api, posted.job, secret_job(busybox_image), lambda line: None)
        assert node == place.node
        async with asyncio.timeout(60):
            full = await collect(api, node)
        run = await settled(agent, posted.job)
    assert full["status"] == "waiting-for-result"
    (operation,) = full["opStates"]
    assert [entry["log"] for entry in operation["logs"]] == [f"{SECRET}\n"]
    result = await pinned_result(place, posted.job)
    assert (result["status"], result["opStates"], result["errors"]) == ("success", [], [])
    assert run["settlement"]["kind"] == "finish"
    receipt = json.loads((await place.library.fetch(run["receipt_cid"], 1 << 20)).body)
    assert SECRET not in json.dumps(receipt)
    fields = verify_receipt(canonical(receipt), place.node)
    openings = read_reveal(full["gpunode"]["openings"])
    assert openings.wrong(fields.commitments) == ()
    assert set(openings.commitments) == set(fields.commitments)
    revealed = {opening.name: opening.value for opening in openings.openings}
    assert (revealed["operations.0.id"], fields.operations[0].id) == (operation["operationId"], "0")
    assert revealed["delivered"] == file_cid(secret_job(busybox_image))
    assert merkle_root([b"".join(log_lines(operation["logs"]))]) == revealed["operations.0.log"]["root"]
    assert_nothing_was_pinned(place)
    assert list((place.settings.locations.data / "definitions").iterdir()) == []


@pytest.mark.long
async def test_a_kill_as_soon_as_the_definition_was_received(place: MarketPlace, busybox_image: str) -> None:
    async with place.agent_process() as agent:
        await until(lambda: queued(agent.client))
        posted = await place.post(dict(BLANK_DEFINITION))
        api = api_of(place, posted.job)
        await deliver(place.poster, api, posted.job, secret_job(busybox_image), lambda line: None)
        agent.process.kill()  # As soon as its sender was told that it is there.
    async with place.agent_process() as agent:
        async with asyncio.timeout(60):
            full = await collect(api, place.node)
        run = await settled(agent.client, posted.job)
    assert full["opStates"][0]["exitCode"] == 0
    assert run["settlement"]["kind"] == "finish"
    assert (await pinned_result(place, posted.job))["errors"] == []
    assert_nothing_was_pinned(place)


@pytest.mark.long
async def test_a_kill_while_the_result_waits_for_its_owner(place: MarketPlace, busybox_image: str) -> None:
    async with place.agent_process() as agent:
        await until(lambda: queued(agent.client))
        posted = await place.post(dict(BLANK_DEFINITION))
        api = api_of(place, posted.job)
        await deliver(place.poster, api, posted.job, secret_job(busybox_image), lambda line: None)
        await until(lambda: reporting(agent.client, posted.job))
        agent.process.kill()
    async with place.agent_process() as agent:
        async with asyncio.timeout(60):
            full = await collect(api, place.node)
        await settled(agent.client, posted.job)
    assert full["opStates"][0]["logs"][0]["log"] == f"{SECRET}\n"
    assert (await pinned_result(place, posted.job))["errors"] == []


async def reporting(agent: ControlClient, job: Address) -> bool:
    return any(run["job"] == job and run["stage"] == "report" for run in (await agent.jobs())["jobs"])


@pytest.mark.long
async def test_both_ways_through_an_address_of_the_posters(place: MarketPlace, busybox_image: str) -> None:
    async with poster_serving() as (poster, url), place.agent() as agent:
        poster.definition = secret_job(busybox_image)
        half = {"type": "api", "args": {"endpoint": f"{url}/%%global.job%%"}}
        await until(lambda: queued(agent))
        posted = await place.post({**BLANK_DEFINITION, "logistics": {"send": half, "receive": half}})
        await settled(agent, posted.job)
        fetched, handed = poster.asked
    assert (fetched[0], fetched[1], handed[0], handed[1]) == ("GET", f"/{posted.job}", "POST", f"/{posted.job}")
    full = json.loads(handed[3])
    assert full["status"] == "success"
    assert full["opStates"][0]["logs"][0]["log"] == f"{SECRET}\n"
    assert (await pinned_result(place, posted.job))["opStates"] == []
    assert_nothing_was_pinned(place)


@pytest.mark.long
async def test_the_posters_command_does_it_all(place: MarketPlace, busybox_image: str) -> None:
    file = place.folder / "job.json"
    file.write_bytes(secret_job(busybox_image, "sleep 2"))
    chain = ("--cluster", "localnet", "--rpc", place.net.rpc_url)
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        document = await command(
            *("job", "post", str(file), "--confidential", "--wait", "--timeout", "5m", *chain),
            *("--nodes", f"http://localhost:{place.settings.service.port}", "--content", place.net.content_url),
            *("--market", str(place.net.market), "--wallet", str(place.folder / "poster.json")),
        )
        await settled(agent, Address(document["job"]))
        look = ("verify", document["job"], *chain, "--gateway", f"{place.net.content_url}/ipfs/")
        verified = await command(*look)
        full = place.folder / "full.json"
        full.write_text(json.dumps(document["outcome"]["result"]))
        opened = await command(*look, "--result", str(full))
    assert (document["node"], document["succeeded"], document["ending"]) == (place.node, True, "done")
    result = document["outcome"]["result"]
    assert (result["status"], result["opStates"][0]["logs"][0]["log"]) == ("success", f"{SECRET}\n")
    assert_nothing_was_pinned(place)
    assert verified["ok"]
    labels = {check["name"]: check["label"] for check in verified["checks"]}
    assert labels["operations"] == labels["log_root"] == labels["commitments"] == "not_checked"
    assert opened["ok"]
    assert all(opened["verified"][name] for name in ("commitments", "full_result", "operations", "log_root"))


async def command(*arguments: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "node.cli", *arguments, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, (arguments, out.decode(), err.decode())
    document: dict[str, Any] = json.loads(out)
    return document


@pytest.mark.long
async def test_a_definition_that_breaks_the_rules(place: MarketPlace) -> None:
    async with place.agent() as agent:
        await until(lambda: queued(agent))
        posted = await place.post(dict(BLANK_DEFINITION))
        api = api_of(place, posted.job)
        await deliver(place.poster, api, posted.job, json.dumps({SECRET: 1}).encode(), lambda line: None)
        async with asyncio.timeout(60):
            full = await collect(api, place.node)
        await settled(agent, posted.job)
    assert full["errors"][0]
    result = await pinned_result(place, posted.job)
    assert result["status"] == "validation-error"
    assert all("value" not in error for error in result["errors"][0])
