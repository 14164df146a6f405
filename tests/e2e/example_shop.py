"""A market with one agent that serves directly, and the poster of examples who visits what they expose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from node.api.client import ControlClient
from node.records import Address
from tests.e2e import examples
from tests.e2e.market_place import MarketPlace, market_place, queued, settled, until
from tests.e2e.test_service_job import Owner, free_port


@dataclass
class Shop:
    """Runs one example after the other."""

    place: MarketPlace
    agent: ControlClient
    owner: Owner
    session: aiohttp.ClientSession
    images: dict[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The agent's listener."""
        return f"http://127.0.0.1:{self.place.settings.service.port}"

    @asynccontextmanager
    async def posted(self, name: str, **variables: str) -> AsyncIterator[Running]:
        """An example on the market; ended by its owner when the block ends, unless it has ended by itself."""
        await until(lambda: queued(self.agent))
        definition = examples.example(name, self.images, **variables)
        job = (await self.place.post(definition)).job
        running = Running(self, job, definition)
        try:
            yield running
        finally:
            if not running.ended:
                await self.owner.post(job, "/stop")
                await settled(self.agent, job)

    async def run(self, name: str, **variables: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """The result of an example that ends by itself, and its operations by their ids."""
        async with self.posted(name, **variables) as running:
            return await running.end()


@dataclass
class Running:
    """A posted example."""

    shop: Shop
    job: Address
    definition: dict[str, Any]
    ended: bool = False

    async def end(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Its result once it is settled, and its operations by their ids."""
        document = await self.document()
        return document, examples.judge(document, self.definition)

    async def document(self) -> dict[str, Any]:
        """Its result once it is settled, whatever it is."""
        run = await settled(self.shop.agent, self.job)
        self.ended = True
        assert run["settlement"]["kind"] == "finish", run
        return await self.shop.place.result(await self.shop.place.job(self.job))

    async def stop(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Ended by its owner through the API; then as `end`."""
        assert await self.shop.owner.post(self.job, "/stop") == (200, "job stopped successfully")
        return await self.end()

    async def until_ops(self, wanted: Mapping[str, str]) -> None:
        """Wait until the owner's API says this of the operations."""
        seen: Any = None

        async def look() -> bool:
            nonlocal seen
            seen = await self.shop.owner.get(self.job, "/ops")
            return bool(seen == wanted)

        try:
            await until(look)
        except TimeoutError:
            raise AssertionError(f"operations stay {seen}") from None

    async def services(self, *, online: bool = True) -> dict[tuple[str, str], str]:
        """Ids of the services by operation and port, once there are any, and are online where that is wanted."""
        seen: Any = None

        async def look() -> bool:
            nonlocal seen
            seen = await self.shop.owner.get(self.job, "/endpoints")
            return isinstance(seen, dict) and (not online or all(url["status"] == "ONLINE" for url in urls(seen)))

        try:
            await until(look)
        except TimeoutError:
            raise AssertionError(f"services stay {seen}") from None
        for name, each in seen["urls"].items():
            assert each["url"] == f"http://{name}.localhost:{self.shop.place.settings.service.port}"
        return {(each["opID"], str(each["port"])): name for name, each in seen["urls"].items()}

    async def page(self, service: str, path: str = "/") -> str:
        """What the service answers, as soon as it does."""
        text = ""

        async def look() -> bool:
            nonlocal text
            status, text = await self.visit(service, path)
            return status == 200

        await until(look, seconds=30)
        return text

    async def visit(self, service: str, path: str = "/", body: Any = None) -> tuple[int, str]:
        """One request to a service by its name: POST with a body, else GET."""
        verb, headers = ("GET" if body is None else "POST"), {"Host": f"{service}.localhost"}
        async with self.shop.session.request(verb, self.shop.base + path, headers=headers, json=body) as answer:
            return answer.status, await answer.text()

    async def info(self) -> dict[str, Any]:
        """The job's state now."""
        async for view in self.shop.owner.info(self.job):
            return view
        raise AssertionError("no state")


def urls(endpoints: dict[str, Any]) -> list[dict[str, Any]]:
    """The services of an answer of `/endpoints`."""
    return list(endpoints["urls"].values())


@asynccontextmanager
async def shop(folder: Path, **more: Any) -> AsyncIterator[Shop]:
    """A shop until the block ends. `more`: settings of the agent."""
    connector = aiohttp.TCPConnector(force_close=True)  # names share an address here
    async with market_place(folder) as place, aiohttp.ClientSession(connector=connector) as session:
        place.set_up(service={"tunnel": "direct", "port": free_port()}, **more)
        async with place.agent() as agent:
            yield Shop(place, agent, Owner(place, session), session)
