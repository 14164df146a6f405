"""The main job with a real IPFS node as the only store and gateway: definition, result and receipt live there."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from node.api.client import ControlClient
from node.content.cid import CHUNK_BYTES, file_cid
from node.content.library import open_library
from node.proof.receipt import verify_receipt
from node.records import Cid, JobState
from node.settings import Settings
from tests.content.kubo import KuboNode, kubo_node
from tests.e2e.market_place import MarketPlace, market_place, queued, settings_tree, settled, single, until

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

TOKEN = "agent-and-nobody-else"


@pytest.fixture(scope="module")
def kubo(kubo_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KuboNode]:
    """A node that takes files from whoever has the token, and gives them to everyone."""
    with kubo_node(kubo_binary, tmp_path_factory.mktemp("kubo"), token=TOKEN) as node:
        yield node


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(kubo: KuboNode, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MarketPlace]:
    folder = tmp_path_factory.mktemp("on-kubo")
    token = folder / "token"
    token.write_text(f"{TOKEN}\n")
    stores = [{"kind": "kubo", "url": kubo.api, "jwt_file": str(token)}]
    async with market_place(folder) as made:
        tree = settings_tree(made.net, folder) | {"content": {"stores": stores, "gateways": [kubo.gateway]}}
        settings = Settings.model_validate(tree)
        library = open_library(settings.content, None)
        yield replace(made, settings=settings, library=library)
        await library.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent(place: MarketPlace) -> AsyncIterator[ControlClient]:
    async with place.agent() as client:
        yield client


async def served(url: str) -> bytes:
    async with httpx.AsyncClient(timeout=10) as client:
        answer = await client.get(url)
    assert answer.status_code == 200, answer.text
    return answer.content


async def verified(place: MarketPlace, job: str, gateway: str) -> dict[str, Any]:
    """What `gpunode verify` prints of a job to someone who has an endpoint and a gateway."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from node.cli import main; main()", "verify", job, "--json"),
        *("--cluster", "localnet", "--rpc", place.net.rpc_url, "--gateway", gateway),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode() + out.decode()
    document: dict[str, Any] = json.loads(out)
    return document


@pytest.mark.parametrize(
    "layout",
    [["--cid-version=0"], ["--cid-version=0", "--raw-leaves", "--chunker=size-100", "--trickle"]],
    ids=["default", "foreign"],
)
async def test_the_main_job_with_a_real_ipfs_node(
    place: MarketPlace, agent: ControlClient, kubo: KuboNode, busybox_image: str, layout: list[str]
) -> None:
    # Enough log for a result of several chunks.
    definition = json.dumps(single(busybox_image, "seq 1 30000; echo $NOSANA_ID")).encode()
    cid = Cid(kubo.add(definition, *layout))
    assert (cid == file_cid(definition)) == (layout == ["--cid-version=0"])
    await until(lambda: queued(agent))
    posted = await place.list_job(cid)
    run = await settled(agent, posted.job)
    job = await place.job(posted.job)
    assert (job.state, job.definition_cid, job.result_cid) == (JobState.DONE, cid, run["result_cid"])

    kubo.run("repo", "gc", "--quiet")
    body = await served(kubo.gateway + run["result_cid"])
    assert len(body) > 2 * CHUNK_BYTES
    assert file_cid(body) == run["result_cid"]
    (operation,) = json.loads(body)["opStates"]
    assert [operation["exitCode"], operation["logs"][-1]["log"]] == [0, f"{posted.job}\n"]
    receipt = verify_receipt(await served(kubo.gateway + run["receipt_cid"]), place.node)
    assert (receipt.job, receipt.definition, receipt.result) == (posted.job, cid, run["result_cid"])

    report = await verified(place, posted.job, kubo.gateway)
    assert report["ok"] is True
    for check in ("settled", "receipt_cid", "receipt_signature", "receipt_names_job", "result_cid", "host_card_cid"):
        assert report["verified"][check] is True
    # The market's own content store was not asked to keep anything.
    async with httpx.AsyncClient() as client:
        for unknown in (cid, run["result_cid"], run["receipt_cid"]):
            assert (await client.get(f"{place.net.content_url}/ipfs/{unknown}")).status_code == 404


async def test_a_definition_that_is_a_directory_is_quit_at_once(
    place: MarketPlace, agent: ControlClient, kubo: KuboNode, tmp_path: Path
) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "index.html").write_text('{"version":"0.1","type":"container","ops":[]}')
    folder = Cid(kubo.run("add", "-Qr", "--cid-version=0", str(tmp_path / "job")))
    await until(lambda: queued(agent))
    posted = await place.list_job(folder)
    run = await settled(agent, posted.job)
    assert (run["settlement"]["kind"], run["settlement"]["pay"]) == ("quit", 0)
    assert "it is a directory" in run["refusal"]
