"""Jobs for real: posted on a chain, run by Docker, settled and paid; and what becomes of those that fail.

One chain and one agent serve all tests of this file, one job after the other; then all of it on a real node.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import docker
import pytest
import pytest_asyncio

from node.api.client import ControlClient
from node.api.money import parse_money
from node.chain import addresses
from node.content.cid import file_cid
from node.proof.receipt import verify_receipt
from node.records import Cid, JobState, PaySource
from tests.e2e.market_place import MarketPlace, market_place, queued, real_market_place, settled, single, until, working

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["localnet", pytest.param("real", marks=pytest.mark.realchain)]
)
async def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[MarketPlace, ControlClient]]:
    if request.param == "real":
        request.getfixturevalue("validator_binary")
    start = real_market_place if request.param == "real" else market_place
    async with start(tmp_path_factory.mktemp("main-job")) as place, place.agent() as client:
        yield place, client


@pytest_asyncio.fixture(loop_scope="module")
async def place(shared: tuple[MarketPlace, ControlClient]) -> MarketPlace:
    return shared[0]


@pytest_asyncio.fixture(loop_scope="module")
async def agent(shared: tuple[MarketPlace, ControlClient]) -> ControlClient:
    """The agent, waiting in the queue."""
    await until(lambda: queued(shared[1]))
    return shared[1]


async def test_a_job_is_run_settled_and_paid(
    place: MarketPlace, agent: ControlClient, busybox_image: str, docker_client: docker.APIClient
) -> None:
    posted = await place.post(single(busybox_image, "echo hello; echo oops >&2; sleep 1; echo $NOSANA_ID"))
    run = await settled(agent, posted.job)
    job = await place.job(posted.job)
    assert (job.state, job.node, job.result_cid) == (JobState.DONE, place.node, run["result_cid"])
    result = await place.result(job)
    assert result["status"] == "success"
    (operation,) = result["opStates"]
    assert operation["exitCode"] == 0
    logs = {kind: [e["log"] for e in operation["logs"] if e["type"] == kind] for kind in ("stdout", "stderr")}
    assert logs == {"stdout": ["hello\n", f"{posted.job}\n"], "stderr": ["oops\n"]}

    paid = job.price * (job.time_end - job.time_start)
    account = addresses.token_account(place.net.cluster, place.node)
    assert run["settlement"]["pay"] == paid == await place.rpc.get_token_amount(account) > 0
    landed = await place.rpc.get_transaction(run["settlement"]["signature"])
    assert landed is not None
    receipt_file = await place.library.fetch(Cid(run["receipt_cid"]), 1 << 20)
    receipt = verify_receipt(receipt_file.body, place.node)
    assert (receipt.job, receipt.run, receipt.result) == (posted.job, posted.run, job.result_cid)
    assert receipt.start.slot < (receipt.end.slot if receipt.end else 0)
    assert receipt.operations[0].log is not None
    assert docker_client.containers(all=True, filters={"label": f"gpunode.job={posted.job}"}) == []
    await until(lambda: queued(agent))
    await _check_money(place, agent, run)


async def _check_money(place: MarketPlace, agent: ControlClient, run: dict[str, Any]) -> None:
    """The running agent's ledger has the job's pay, and the lane says that it earns."""
    money = parse_money(await agent.money(0, 1 << 40))
    (job,) = (each for each in money.jobs if each.run == run["run"])
    assert (job.pay, job.pay_source) == (run["settlement"]["pay"], PaySource.BALANCES)
    assert (job.gpus, job.millijoules) == ((), None), "it asked for no GPU, and nothing else is metered"
    (lane,) = (await agent.status())["lanes"]
    assert lane["earning"]["earning"] is True
    assert lane["earning"]["code"] == "queued"


async def test_receipts_are_a_chain(place: MarketPlace, agent: ControlClient, busybox_image: str) -> None:
    runs = []
    for _ in range(2):
        await until(lambda: queued(agent))
        posted = await place.post(single(busybox_image, "true"))
        runs.append(await settled(agent, posted.job))
    second = verify_receipt((await place.library.fetch(Cid(runs[1]["receipt_cid"]), 1 << 20)).body, place.node)
    assert second.prev is not None
    assert second.prev.receipt == runs[0]["receipt_cid"]
    assert second.prev.settle == runs[0]["settlement"]["signature"]


@pytest.mark.long
async def test_an_extension_moves_the_deadline_and_expiry_settles(
    place: MarketPlace, agent: ControlClient, busybox_image: str
) -> None:
    posted = await place.post(single(busybox_image, "echo begun; sleep 600"), seconds=6)
    await working(agent, posted.job)
    await place.poster.extend(posted.job, 3)
    run = await settled(agent, posted.job)
    assert run["cause"] == "expired"
    job = await place.job(posted.job)
    assert job.timeout == 9
    # The chain counts whole seconds of a clock of its own: it may see the ninth begin just after it is over here.
    lasted = job.time_end - job.time_start
    assert lasted >= 8, "six seconds were paid first"
    assert run["settlement"]["pay"] == min(lasted, 9) * job.price, "never more than the timeout is paid"
    result = await place.result(job)
    assert result["status"] == "success"
    assert result["opStates"][0]["diagnostics"]["reason"]["jobExpired"] is True
    assert [entry["log"] for entry in result["opStates"][0]["logs"]] == ["begun\n"]


async def test_an_end_by_the_poster_is_answered_with_complete(
    place: MarketPlace, agent: ControlClient, busybox_image: str
) -> None:
    posted = await place.post(single(busybox_image, "echo begun; sleep 600"))
    await working(agent, posted.job)
    await place.poster.stop(posted.job)
    run = await settled(agent, posted.job)
    assert (run["cause"], run["settlement"]["kind"]) == ("stopped", "complete")
    result = await place.result(await place.job(posted.job))
    assert result["status"] == "stopped"
    assert result["opStates"][0]["diagnostics"]["reason"]["jobStopped"] is True


async def test_an_invalid_definition_is_settled_as_a_validation_error(place: MarketPlace, agent: ControlClient) -> None:
    posted = await place.post(b'{"version":"0.1","type":"container","ops":[{"type":"container/run","id":"a"}]}')
    run = await settled(agent, posted.job)
    assert (run["cause"], run["settlement"]["kind"]) == ("invalid", "finish")
    result = await place.result(await place.job(posted.job))
    assert (result["status"], result["opStates"]) == ("validation-error", [])
    assert result["errors"][0][0]["path"].startswith("$input")


async def test_an_image_that_cannot_be_pulled_is_a_failed_result(place: MarketPlace, agent: ControlClient) -> None:
    posted = await place.post(single("localhost:1/no/such:image", "true"))
    run = await settled(agent, posted.job)
    assert run["settlement"]["kind"] == "finish"
    result = await place.result(await place.job(posted.job))
    (operation,) = result["opStates"]
    assert (operation["status"], operation["exitCode"]) == ("failed", 2)
    assert operation["errors"][0]["event"] == "image-pull-error"


@pytest.mark.parametrize("image", ["", "a\0b"])
async def test_a_job_without_an_image_is_given_back(place: MarketPlace, agent: ControlClient, image: str) -> None:
    posted = await place.post(single(image, "true"), seconds=30)
    assert (await settled(agent, posted.job))["settlement"]["kind"] == "quit"


@pytest.mark.parametrize("image", ["UPPER/Case:tag", "../containers/json"])
async def test_a_malformed_image_name_costs_the_job_and_not_the_lane(
    place: MarketPlace, agent: ControlClient, image: str
) -> None:
    posted = await place.post(single(image, "true"), seconds=30)
    run = await settled(agent, posted.job)
    assert (run["cause"], run["settlement"]["kind"]) == ("completed", "finish")
    result = await place.result(await place.job(posted.job))
    (operation,) = result["opStates"]
    assert (operation["status"], operation["exitCode"]) == ("failed", 2)
    assert [error["event"] for error in operation["errors"]] == ["image-pull-error"]


async def test_a_job_without_operations_succeeds_at_once(place: MarketPlace, agent: ControlClient) -> None:
    posted = await place.post({"version": "0.1", "type": "container", "ops": []})
    run = await settled(agent, posted.job)
    assert run["settlement"]["kind"] == "finish"
    result = await place.result(await place.job(posted.job))
    assert (result["status"], result["opStates"]) == ("success", [])


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("cat /no/such/file", 1), ("/no/such/command", 127)])
async def test_a_command_that_fails_is_a_result(
    place: MarketPlace, agent: ControlClient, busybox_image: str, script: str, code: int
) -> None:
    posted = await place.post(single(busybox_image, script))
    await settled(agent, posted.job)
    result = await place.result(await place.job(posted.job))
    assert result["opStates"][0]["exitCode"] == code


async def test_a_container_killed_for_memory_is_a_result_that_says_so(
    place: MarketPlace, agent: ControlClient, busybox_image: str
) -> None:
    posted = await place.post(single(busybox_image, "echo begun; tail /dev/zero"))
    await settled(agent, posted.job)
    result = await place.result(await place.job(posted.job))
    (operation,) = result["opStates"]
    assert operation["exitCode"] == 137
    # Not every engine notices what the kernel did (control groups version 1); the error follows its word.
    said = [error["message"] for error in operation["errors"]]
    assert any("out of memory" in message for message in said) == operation["diagnostics"]["state"]["OOMKilled"]
    assert [entry["log"] for entry in operation["logs"] if entry["type"] == "stdout"] == ["begun\n"]


async def test_a_container_that_does_not_start_is_a_result(
    place: MarketPlace, agent: ControlClient, busybox_image: str
) -> None:
    posted = await place.post(single(busybox_image, "true", work_dir="/etc/passwd"))
    await settled(agent, posted.job)
    result = await place.result(await place.job(posted.job))
    assert result["opStates"][0]["errors"][0]["event"] == "container-runtime-error"
    assert result["opStates"][0]["status"] == "failed"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"this is no JSON", "cannot be read"),
        (b'{"a":"' + b"x" * (1 << 20) + b'"}', "more than 1,048,576 bytes"),
    ],
)
async def test_a_definition_that_is_no_document_is_quit(
    place: MarketPlace, agent: ControlClient, body: bytes, reason: str
) -> None:
    posted = await place.post(body)
    run = await settled(agent, posted.job)
    assert (run["settlement"]["kind"], run["settlement"]["pay"]) == ("quit", 0)
    assert reason in run["refusal"]
    assert (await place.job(posted.job)).state is JobState.STOPPED
    await place.poster.recover(posted.job)


async def test_a_definition_that_does_not_exist_is_quit(place: MarketPlace, agent: ControlClient) -> None:
    posted = await place.list_job(file_cid(b"nobody has this"), seconds=5)
    run = await settled(agent, posted.job)
    assert run["settlement"]["kind"] == "quit"
    assert run["settlement"]["pay"] == 0


async def test_what_is_not_offered_is_quit_with_its_reason(
    place: MarketPlace, agent: ControlClient, busybox_image: str
) -> None:
    posted = await place.post(single(busybox_image, "true", expose=8080))
    run = await settled(agent, posted.job)
    assert run["settlement"]["kind"] == "quit"
    assert "exposes services" in run["refusal"]


async def test_drain_and_resume_over_the_control_socket(
    place: MarketPlace, agent: ControlClient, busybox_image: str
) -> None:
    assert place.net.market is not None
    await agent.drain()

    async def drained() -> bool:
        return "drained" in (await agent.status())["lanes"][0]["reason"]

    await until(drained)
    market = await place.ledger_context.ledger.market(place.net.market)
    assert place.node not in market.queue
    posted = await place.post(single(busybox_image, "echo late"))
    await agent.resume()
    run = await settled(agent, posted.job)
    assert run["settlement"]["kind"] == "finish"
