"""The description for machines: every route is in it, and every answer is as it says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from node.api.owner.app import make_app
from node.api.owner.openapi import openapi_document
from tests.api.conftest import PLENTY, listening
from tests.api.owner_double import JOB, AgentDouble, header, sample, view

STREAMS = ("/job/{job}/info", "/job/{job}/stats/stream")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server in a thread of its own: the client that checks it is synchronous."""
    agent = AgentDouble()
    agent.current = view("success", ended=1)
    agent.samples = (sample("hello", 1000),)
    loop = asyncio.new_event_loop()
    ready, done = threading.Event(), asyncio.Event()
    urls: list[str] = []

    async def serve() -> None:
        async with listening(make_app(agent, PLENTY)) as url:
            urls.append(url)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield urls[0]
    loop.call_soon_threadsafe(done.set)
    thread.join(10)
    loop.close()


def test_every_route_is_described() -> None:
    described = {(path, method.upper()) for path, one in openapi_document()["paths"].items() for method in one}
    served = {
        (route.resource.canonical, route.method)
        for route in make_app(AgentDouble(), PLENTY).router.routes()
        if route.method != "HEAD" and isinstance(route.resource, web.Resource)
    }
    assert described == served


schema = schemathesis.openapi.from_dict(openapi_document())
schema.config.generation.update(modes=list(schemathesis.GenerationMode))


@schema.exclude(path=list(STREAMS)).parametrize()
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
def test_every_answer_is_as_described(case: Any, address: str) -> None:
    # What is about a job is asked about ours: of any other it is only said that it is not here.
    if "job" in case.path_parameters:
        case.path_parameters["job"] = JOB
    # Whether a definition is sound, or waited for, is not the schema's to say.
    case.call_and_validate(
        base_url=address, headers=header(), excluded_checks=[negative_data_rejection, positive_data_acceptance]
    )


@schema.include(path=list(STREAMS)).parametrize()
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
def test_streams_are_refused_as_described(case: Any, address: str) -> None:
    case.call_and_validate(base_url=address, excluded_checks=[negative_data_rejection, positive_data_acceptance])


async def test_the_description_is_served() -> None:
    async with (
        listening(make_app(AgentDouble(), PLENTY)) as url,
        aiohttp.ClientSession() as client,
        client.get(f"{url}/openapi.json") as answer,
    ):
        assert answer.content_type == "application/json"
        assert await answer.json() == openapi_document()
