"""A service of a job, reached from outside through the agent's own listener, and its owner's API beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from solders.keypair import Keypair

from node.base58 import b58encode
from node.job.exposure import public_id
from node.records import Address
from tests.e2e.market_place import MarketPlace, market_place, queued, settled, until
from tests.e2e.test_whole_job import definition, run

pytestmark = pytest.mark.docker

SERVER = "mkdir /tmp/www; echo $HOSTNAME > /tmp/www/index.html; echo serving; httpd -f -p 8080 -h /tmp/www"
CHECK = {"type": "http", "path": "/", "method": "GET", "expected_status": 200, "continuous": True}


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[MarketPlace]:
    async with market_place(tmp_path) as made:
        made.set_up(service={"tunnel": "direct", "port": free_port()})
        yield made


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Owner:
    """The poster's way to the agent."""

    def __init__(self, place: MarketPlace, session: aiohttp.ClientSession) -> None:
        key = Keypair.from_json((place.folder / "poster.json").read_text())
        self._key = key
        self._session = session
        self._base = f"http://127.0.0.1:{place.settings.service.port}"
        self._node = place.node

    def _headers(self, job: Address) -> dict[str, str]:
        signature = b58encode(bytes(self._key.sign_message(job.encode())))
        return {"Host": f"{self._node}.localhost", "authorization": f"{job}:{signature}"}

    async def get(self, job: Address, path: str) -> Any:
        async with self._session.get(f"{self._base}/job/{job}{path}", headers=self._headers(job)) as answer:
            text = await answer.text()
            return json.loads(text) if answer.status == 200 else text

    async def post(self, job: Address, path: str) -> tuple[int, str]:
        async with self._session.post(f"{self._base}/job/{job}{path}", headers=self._headers(job)) as answer:
            return answer.status, await answer.text()

    async def visit(self, service: str) -> tuple[int, str]:
        async with self._session.get(self._base, headers={"Host": f"{service}.localhost"}) as answer:
            return answer.status, await answer.text()

    async def info(self, job: Address) -> AsyncIterator[dict[str, Any]]:
        async with self._session.get(f"{self._base}/job/{job}/info", headers=self._headers(job)) as answer:
            async for line in answer.content:
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])

    async def log(self, job: Address) -> AsyncIterator[dict[str, Any]]:
        async with self._session.ws_connect(self._base, headers={"Host": f"{self._node}.localhost"}) as socket:
            header = self._headers(job)["authorization"]
            await socket.send_json({"path": "/flog", "header": header, "body": {"jobAddress": job}})
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    yield json.loads(json.loads(message.data)["data"])


async def test_a_service_is_reached_restarted_and_ended_by_its_owner(place: MarketPlace, busybox_image: str) -> None:
    job = definition(
        run("web", busybox_image, SERVER, {"group": "g"}, expose=[{"port": 8080, "health_checks": [CHECK]}]),
        run("beside", busybox_image, "echo began; sleep 300", {"group": "g", "depends_on": ["web"]}),
    )
    connector = aiohttp.TCPConnector(force_close=True)  # names share an address here
    async with aiohttp.ClientSession(connector=connector) as session, place.agent() as agent:
        await until(lambda: queued(agent))
        posted = await place.post(job)
        address, owner = posted.job, Owner(place, session)
        service = public_id(0, "8080", address)

        async def online() -> bool:
            endpoints = await owner.get(address, "/endpoints")
            return isinstance(endpoints, dict) and endpoints["status"] == "ONLINE"

        await until(online)
        status, first = await owner.visit(service)
        assert status == 200
        urls = (await owner.get(address, "/endpoints"))["urls"]
        assert [(name, each["opID"], str(each["port"])) for name, each in urls.items()] == [(service, "web", "8080")]
        assert urls[service]["url"] == f"http://{service}.localhost:{place.settings.service.port}"

        (shown,) = (await agent.status())["services"]
        assert (shown["operation"], shown["url"], shown["status"]) == ("web", urls[service]["url"], "ONLINE")

        async def both() -> bool:
            return (await owner.get(address, "/ops")) == {"web": "running", "beside": "running"}

        await until(both)
        assert (await owner.post(address, "/group/g/operation/web/restart"))[0] in (200, 202)

        async def another() -> bool:
            try:
                status, text = await owner.visit(service)
            except aiohttp.ClientError:
                return False
            return status == 200 and text != first

        await until(another)
        assert (await owner.post(address, "/group/g/operation/beside/stop"))[0] == 200

        async def stopped() -> bool:
            return (await owner.get(address, "/ops"))["beside"] == "stopped"

        await until(stopped)
        lines = []
        async with asyncio.timeout(20):
            async for line in owner.log(address):
                lines.append(line)
                if sum(each.get("message") == "serving\n" for each in lines) == 2:
                    break
        assert [each["opId"] for each in lines if each.get("message") == "began\n"] == ["beside"]

        async def ends() -> dict[str, Any]:
            async for view in owner.info(address):
                if view["endTime"] is not None:
                    return view
            raise AssertionError("the stream ended too early")

        async with asyncio.TaskGroup() as group:
            ending = group.create_task(ends())
            assert (await owner.post(address, "/stop")) == (200, "job stopped successfully")
        assert ending.result()["status"] == "success"
        assert (await settled(agent, address))["settlement"]["kind"] == "finish"
        assert (await owner.visit(service))[0] >= 400
    document = await place.result(await place.job(address))
    states = {state["operationId"]: state for state in document["opStates"]}
    assert document["status"] == "success"
    assert (states["web"]["status"], states["web"]["diagnostics"]["reason"]["jobExpired"]) == ("success", True)
    assert states["beside"]["status"] == "stopped"
    assert [entry["log"] for entry in states["web"]["logs"]].count("serving\n") == 2


@pytest.mark.long
async def test_a_service_goes_on_over_a_kill(place: MarketPlace, busybox_image: str) -> None:
    private = "sleep 4; echo began; sleep 300"
    job = definition(
        run(
            "web",
            busybox_image,
            SERVER,
            {"group": "g"},
            expose=[{"port": 8080, "health_checks": [CHECK]}],
            private=True,
        ),
        run("beside", busybox_image, private, {"group": "g", "depends_on": ["web"], "stop_if_dependent_stops": True}),
        run("later", busybox_image, "echo later"),
    )
    connector = aiohttp.TCPConnector(force_close=True)  # names share an address here
    async with aiohttp.ClientSession(connector=connector) as session:
        owner = Owner(place, session)
        async with place.agent_process() as agent:
            await until(lambda: queued(agent.client))
            posted = await place.post(job)
            address = posted.job

            async def both() -> bool:
                return (await owner.get(address, "/ops")) == {"web": "running", "beside": "running", "later": "pending"}

            await until(both)
            urls = (await owner.get(address, "/endpoints"))["urls"]
            (service,) = urls
            assert service != public_id(0, "8080", address)
            first = await owner.visit(service)
            assert first[0] == 200
            assert (await agent.client.status())["services"][0]["url"] == ""
            agent.process.kill()
            await agent.process.wait()
        async with place.agent_process() as agent:

            async def again() -> bool:
                try:
                    return await owner.visit(service) == first
                except aiohttp.ClientError:
                    return False

            await until(again)
            await until(both)
            assert (await owner.post(address, "/group/g/operation/web/stop"))[0] == 200
            assert (await settled(agent.client, address))["settlement"]["kind"] == "finish"
    document = await place.result(await place.job(address))
    states = {state["operationId"]: state for state in document["opStates"]}
    assert [states[name]["status"] for name in ("web", "beside", "later")] == ["stopped", "stopped", "success"]
    assert "operation web ended" in states["beside"]["diagnostics"]["reason"]["reason"]
    assert document["status"] == "success"
