"""The demo's visit to a service: by name, patiently, and not taken in by what answers something else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from node.errors import LocalnetError
from node.localnet import visit as visits
from node.localnet.ports import free_port
from node.localnet.visit import Reach, visit

MODELS = {"data": [{"id": "pydoc-ngram"}, {"id": "all-MiniLM-L6-v2"}]}
VECTORS = {"data": [{"embedding": vector} for vector in ([1.0, 0.0], [0.8, 0.6], [0.0, 1.0])]}
STREAM = (
    b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": null}]}\n\n'
    b'data: {"choices": [{"delta": {"content": "sl"}, "finish_reason": null}]}\n\n'
    b'data: {"choices": [{"delta": {"content": "eep"}, "finish_reason": "stop"}]}\n\n'
    b'data: {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}}\n\n'
    b"data: [DONE]\n\n"
)


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[Reach]:
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield Reach(f"http://abc.localhost:{port}", f"127.0.0.1:{port}")
    finally:
        await runner.cleanup()


def service(vectors: object = VECTORS, *, busy: int = 0) -> tuple[web.Application, list[str]]:
    """An app that answers as the service does, 502 at first `busy` times; and the Host headers it saw."""
    hosts: list[str] = []

    async def models(request: web.Request) -> web.Response:
        hosts.append(request.headers["Host"])
        return web.Response(status=502) if len(hosts) <= busy else web.json_response(MODELS)

    async def embeddings(request: web.Request) -> web.Response:
        hosts.append(request.headers["Host"])
        return web.json_response(vectors)

    async def chat(request: web.Request) -> web.Response:
        hosts.append(request.headers["Host"])
        return web.Response(body=STREAM, content_type="text/event-stream")

    app = web.Application()
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/embeddings", embeddings)
    app.router.add_post("/v1/chat/completions", chat)
    return app, hosts


async def test_it_waits_and_asks_by_name() -> None:
    app, hosts = service(busy=2)
    told: list[str] = []
    waited: list[str] = []
    async with served(app) as reach:
        found = await visit(reach, told.append, waited.append)
    assert set(hosts) == {reach.host}
    assert reach.host.startswith("abc.localhost:")
    assert waited == ["waiting for the service: status 502"] * 2
    assert found["url"] == reach.url
    assert found["models"] == ["pydoc-ngram", "all-MiniLM-L6-v2"]
    assert found["similarity"] == [0.8, 0.0]
    assert (found["answer"], found["finish_reason"]) == ("sleep", "stop")
    assert found["tokens"] == {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    assert any(reach.url in line for line in told)


async def test_what_is_no_such_service_is_said() -> None:
    app, _ = service(vectors={"data": []})
    async with served(app) as reach:
        with pytest.raises(LocalnetError, match="does not answer as it should"):
            await visit(reach, lambda _: None, lambda _: None)


async def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "READY_SECONDS", 0.3)
    port = free_port()
    with pytest.raises(LocalnetError, match=f"did not answer at http://abc.localhost:{port} in"):
        await visit(Reach(f"http://abc.localhost:{port}", f"127.0.0.1:{port}"), lambda _: None, lambda _: None)
